"""What can go wrong here, as one sentence."""


class PackageError(Exception):
    """The sentence says what is wrong, where, and what to do."""
