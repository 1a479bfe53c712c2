"""Clean-up, failed tasks and the health of workers."""
