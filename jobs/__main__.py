"""`python -m jobs` is `formcast`."""

from jobs.cli import main

main()
