"""When the desk runs by itself: the timetable, who may change it, and the process that keeps it."""
