"""Errors of the speed layer: each is one plain sentence."""


class SpeedError(Exception):
    """Something that a person must mend; the sentence says what, where, and what to do."""


class StoreError(SpeedError):
    """A store cannot be read or written: it cannot be reached, or refuses it. Says nothing about what it holds."""


class StoreMissingError(StoreError):
    """What was asked for is not there: nothing is published yet, or the generation is not kept."""


class StoreDamagedError(StoreError):
    """What is there is not what was published: a broken manifest, a wrong checksum, a model that cannot score."""


class ThrottledError(SpeedError):
    """A store takes no more requests for now: try again later."""


class VectorError(ValueError):
    """A vector that is not 47 non-negative decimals. position: of the first bad value, from 1; None for the whole."""

    def __init__(self, sentence: str, position: int | None = None) -> None:
        super().__init__(sentence)
        self.position = position
