"""The parts of ``benchmarks/performance.py``: what is measured, where it is kept, and the page that is made of it."""
