"""What goes in and out over HTTP. Extra fields are refused, amounts are text, times are ISO 8601 in UTC."""
