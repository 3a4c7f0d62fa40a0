"""The benchmarks: `python -m tests.bench`; how to run them stands in `tests/bench/__main__.py`."""
