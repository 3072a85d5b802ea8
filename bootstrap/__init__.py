"""Sets this checkout up on a fresh machine: `python3 -m bootstrap`. Standard library only."""
