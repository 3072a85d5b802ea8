"""Synthetic forms, drawn from published statistics of a real data set: nothing in them is a real form."""
