"""What spark-submit starts on EMR: the command line of `formcast`, with its words and its exit codes."""

from jobs.cli import main

main()
