"""The stream of new and changed forms: sources at the edge, a task that validates and scores, a thin loop."""
