"""Operations: clean-up, failed tasks, and the health of workers."""
