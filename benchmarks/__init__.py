"""What is measured, against what. `python -m benchmarks --help`; the last figures are in RESULTS.md."""
