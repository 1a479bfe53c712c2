"""What backs every figure in the documentation: `python -m benchmarks`, or `make bench`.

Each benchmark runs the whole application as its users start it, and the peer that it is compared
with in the same run, in turns, so that what else the machine does falls on both alike.
"""
