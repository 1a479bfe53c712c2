"""What backs every figure in the documentation: `python -m benchmarks`, or `make bench`.

Those of the application run the whole of it as its users start it; those of the library (embed,
gpu, quality) run that alone. What they are compared with runs in the same run, in turns, so that
what else the machine does falls on both alike.
"""
