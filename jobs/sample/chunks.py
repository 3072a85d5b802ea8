"""The lines of a sample as numbers, chunk by chunk: forms, broken ones and duplicates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jobs.sample.ids import FormIds
from jobs.sample.outcome import draw_outcomes
from jobs.sample.vectors import VectorSource

CHUNK_ROWS = 65_536  # part of what a seed means: another size draws other forms
_REMEMBERED = 4_096  # forms of earlier chunks that a duplicate may repeat
_SAME_LINE = 0.25  # of the duplicates repeat the line itself, the others an older state with fewer views

FORM, BROKEN, DUPLICATE = 0, 1, 2


@dataclass(frozen=True)
class Plan:
    """How many lines, and how many of them are broken or duplicates."""

    rows: int
    broken: int
    duplicates: int
    seed: int

    @property
    def forms(self) -> int:
        """Lines that are neither: each a form with an id of its own."""
        return self.rows - self.broken - self.duplicates


@dataclass(frozen=True)
class Chunk:
    """n lines. kind, form_id, views, submissions: (n,). vectors: (n, 47) counts. All but `kind` as if unbroken."""

    kind: np.ndarray
    form_id: np.ndarray
    views: np.ndarray
    submissions: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def at(self, rows: np.ndarray) -> "Chunk":
        """The lines at these positions."""
        return Chunk(
            self.kind[rows], self.form_id[rows], self.views[rows], self.submissions[rows], self.vectors[rows]
        )


def draw_chunks(plan: Plan) -> Iterator[Chunk]:
    """All lines of the plan, at most CHUNK_ROWS at a time. Every chunk has a random stream of its own."""
    source = VectorSource.create(np.random.default_rng([plan.seed, 0]))
    ids = FormIds.create(plan.rows - plan.duplicates, plan.seed)
    memory: Chunk | None = None
    drawn = 0
    for number, start in enumerate(range(0, plan.rows, CHUNK_ROWS), start=1):
        rng = np.random.default_rng([plan.seed, number])
        kind = _kinds(rng, plan, start, min(start + CHUNK_ROWS, plan.rows))
        fresh = int((kind != DUPLICATE).sum())
        vectors = source.draw(rng, fresh)
        views, submissions = draw_outcomes(rng, vectors)
        own = Chunk(kind[kind != DUPLICATE], ids.take(rng, drawn, drawn + fresh), views, submissions, vectors)
        drawn += fresh
        yield _with_duplicates(rng, kind, own, memory)
        memory = _remember(rng, own, memory)


def _kinds(rng: np.random.Generator, plan: Plan, start: int, stop: int) -> np.ndarray:
    """The kind of the lines start..stop-1; over all chunks the numbers of the plan come out exactly."""

    def due(total: int) -> int:
        return stop * total // plan.rows - start * total // plan.rows

    kind = np.full(stop - start, FORM, dtype=np.int8)
    # The first line of all is a form: layouts are told from it, and a duplicate needs something to repeat.
    places = rng.permutation(np.arange(1 if start == 0 else 0, stop - start))
    kind[places[: due(plan.broken)]] = BROKEN
    kind[places[due(plan.broken) :][: due(plan.duplicates)]] = DUPLICATE
    return kind


def _with_duplicates(rng: np.random.Generator, kind: np.ndarray, own: Chunk, memory: Chunk | None) -> Chunk:
    """The chunk's lines in their order: its own ones, and repeats of forms that came before."""
    n_memory = 0 if memory is None else len(memory)
    known = own if memory is None else _concat(memory, own)
    order = np.empty(len(kind), dtype=np.int64)
    order[kind != DUPLICATE] = n_memory + np.arange(len(own))

    places = np.flatnonzero(kind == DUPLICATE)
    candidates = np.flatnonzero(known.kind == FORM)
    # Only forms from earlier chunks or above the duplicate's own line.
    earlier = n_memory + np.cumsum(kind == FORM)[places]
    pick = (rng.random(len(places)) * earlier).astype(np.int64)
    order[places] = candidates[pick]

    lines = known.at(order)
    older = places[(rng.random(len(places)) >= _SAME_LINE) & (lines.views[places] > 1)]
    _age(rng, lines, older)
    return Chunk(kind, lines.form_id, lines.views, lines.submissions, lines.vectors)


def _age(rng: np.random.Generator, lines: Chunk, rows: np.ndarray) -> None:
    """Set these lines back to a moment when they had fewer views (at least 1)."""
    before = lines.views[rows]
    lines.views[rows] = 1 + (rng.random(len(rows)) * (before - 1)).astype(np.int64)
    lines.submissions[rows] = lines.submissions[rows] * lines.views[rows] // before


def _remember(rng: np.random.Generator, own: Chunk, memory: Chunk | None) -> Chunk:
    forms = own.at(np.flatnonzero(own.kind == FORM))
    known = forms if memory is None else _concat(memory, forms)
    return known.at(rng.permutation(len(known))[:_REMEMBERED])


def _concat(first: Chunk, second: Chunk) -> Chunk:
    return Chunk(
        np.concatenate([first.kind, second.kind]),
        np.concatenate([first.form_id, second.form_id]),
        np.concatenate([first.views, second.views]),
        np.concatenate([first.submissions, second.submissions]),
        np.concatenate([first.vectors, second.vectors]),
    )
