"""What can go wrong, as exit codes: each error is one plain sentence with its remedy."""


class FormcastError(Exception):
    """Something unexpected; the sentence says what, where, and what to do."""

    exit_code = 1


class UsageError(FormcastError):
    """The command was called in a way that makes no sense."""

    exit_code = 2


class ContractError(FormcastError):
    """The data broke the contract: a retry cannot help."""

    exit_code = 3


class MissingError(FormcastError):
    """Something that is needed is not there: Java, a table, a model, a jar."""

    exit_code = 4


class DamagedError(FormcastError):
    """What is there is not what was written: a wrong checksum, an unreadable manifest, a model that cannot score.

    Like MissingError, it says something about the lake. A store that cannot be read for now (the network, a right, a
    disk) says nothing: that is a plain FormcastError, which nobody may take for an answer.
    """


class BusyError(FormcastError):
    """Another run has the lake: the same call succeeds once that has ended."""

    exit_code = 75
