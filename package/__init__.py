"""Formcast as EMR runs it: a package that is built from a commit and uploaded once. Run as `python -m package`."""
