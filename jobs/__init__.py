"""Jobs: the command line, settings, the clock, schedules, and one file a job."""
