"""The benchmarks behind the documentation's figures: `python -m benchmarks`, or `make bench`.

Benchmarks of the application start it as users do; those of the library (such as embed and gpu)
run it alone. Both sides of a comparison run alternately in one run, so that other load on the
machine affects both alike.
"""
