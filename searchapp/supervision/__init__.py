"""Run the whole application on one machine, under a supervisor."""
