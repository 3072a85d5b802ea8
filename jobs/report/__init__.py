"""A run's report: facts gathered from the lake, charts, and the page that they make."""
