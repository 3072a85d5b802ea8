"""Faults at random moments of real runs, and what an operator does then, against an undisturbed twin.

    make faults [MINUTES=60 FAULTS=200 SEED=1 PLACE=folder|s3]

The twin is a lake on which every step of the campaign's runs is done once, with a copy kept after each. A trial takes
the copy from before a step, does that step with a fault in it, then does it again as an operator would, and compares
the whole lake, what is served and what the API answers with the twin's, row by row. All the while a reader polls.
"""
