"""Following the desk as it works: who may see what, one reading for all who follow, streams of events and sockets."""
