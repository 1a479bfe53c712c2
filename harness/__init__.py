"""What tests and benchmarks share: a running installation, a browser, kills, edited pictures."""
