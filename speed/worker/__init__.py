"""Answers requests from a queue: the deployment without Spark and without an open port."""
