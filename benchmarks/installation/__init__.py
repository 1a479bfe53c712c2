"""Running installations to measure: processes, memory, filled datasets."""
