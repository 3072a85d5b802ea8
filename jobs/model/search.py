"""Better parameters within a budget of seconds: successive halving over rows and trees. Pure orchestration."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from jobs.model.families import Family, Params

# (share of the rows, share of the trees) of a rung. A third of the rows with half of the trees costs about a sixth.
RUNGS: tuple[tuple[float, float], ...] = ((1 / 9, 1 / 4), (1 / 3, 1 / 2), (1.0, 1.0))
_KEPT = 1 / 3  # of a rung's candidates go on to the next one
_CAUTION = 1.2  # fits on a busy machine take longer than those before them
LEAST_GAIN = 0.0005  # of the defaults' loss: two fits of like quality differ by as much on 100,000 forms by chance
_DRAWS = 200  # in vain, before the space counts as exhausted

FitAndJudge = Callable[[Params, float], float]


@dataclass(frozen=True)
class Trial:
    """One fit of a search: a candidate's params, and what was fitted of it in this rung."""

    params: Params
    rung: int
    rows: float
    """The share of the rows that were fitted on."""
    trees: int | None
    """How many trees or iterations were fitted; None where the family has none."""
    loss: float
    seconds: float


@dataclass
class _Race:
    """The trials so far, and what the next one may cost."""

    family: Family
    fit_and_judge: FitAndJudge
    deadline: float
    clock: Callable[[], float]
    trials: list[Trial] = field(default_factory=list)

    def left(self) -> float:
        return self.deadline - self.clock()

    def run(self, params: Params, rung: int) -> Trial:
        rows, share_of_trees = RUNGS[rung]
        trees = None
        if self.family.grows in params:
            trees = max(1, round(params[self.family.grows] * share_of_trees))
        fitted = params if trees is None else params | {self.family.grows: trees}
        start = self.clock()
        loss = self.fit_and_judge(fitted, rows)
        self.trials.append(Trial(params, rung, rows, trees, loss, self.clock() - start))
        return self.trials[-1]

    def of(self, rung: int) -> list[Trial]:
        """The rung's trials, the best first; of equals the earlier, so that the defaults win a draw."""
        return sorted((trial for trial in self.trials if trial.rung == rung), key=_loss)

    def next_seconds(self, trial: Trial) -> float:
        """What a trial's params may take in the next rung: a start that stays, and work that grows with the rungs.

        The start is what the defaults' two fits tell, but no more than the quickest fit of the rung took: the very
        first fit also pays for the libraries' warming up.
        """
        grown = _grown(self.family, trial.rung)
        here, there = (self.defaults(trial.rung + more).seconds for more in (0, 1))
        start = min(max(here * grown - there, 0.0) / (grown - 1), *(each.seconds for each in self.of(trial.rung)))
        return start + (trial.seconds - start) * grown

    def defaults(self, rung: int) -> Trial:
        return next(trial for trial in self.of(rung) if trial.params == self.family.params)

    def first_rung_seconds(self) -> float:
        """What one more fit of the first rung may take: as the slowest so far, but for the defaults' cold one."""
        others = [trial.seconds for trial in self.of(0) if trial.params != self.family.params]
        return max(others) if others else min(trial.seconds for trial in self.trials)


def search(
    family: Family,
    fit_and_judge: FitAndJudge,
    budget_seconds: float,
    seed: int,
    *,
    known: Sequence[Params] = (),
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Params, list[Trial]]:
    """The best params found, and every trial in the order of their fits.

    fit_and_judge: (params, share of the rows) -> loss on rows that the fit has not seen, the same ones each time; a
    larger share holds the rows of a smaller one. params come with the trees already cut.
    known: params to try first and to look around, the champion's before others.
    The defaults go through every rung first: what wins has beaten them on all rows with all trees, by more than may
    be chance. A fit that would end after the budget, as far as those before it tell, is not begun; where the defaults
    alone would take longer, they are the answer, with fewer trials. Repeatable for the same times and losses.
    Source: successive halving, Jamieson & Talwalkar 2016, with the rungs' sizes given by time in place of counts.
    """
    race = _Race(family, fit_and_judge, clock() + budget_seconds, clock)
    if not family.space or budget_seconds <= 0 or not _climb(race):
        return family.params, race.trials
    candidates = _candidates(family, known, random.Random(seed))  # noqa: S311  (no secret)
    last = len(RUNGS) - 1
    # Each rung may take the same time: the first one as many candidates as fit in.
    first_ends = race.left() * (1 - 1 / len(RUNGS))
    for params in candidates:
        if _CAUTION * race.first_rung_seconds() > race.left() - first_ends:
            break
        race.run(params, 0)
    for rung in range(1, last + 1):
        rung_ends = race.left() * (1 - 1 / (last - rung + 1))
        climbers = [trial for trial in race.of(rung - 1) if trial.params != family.params]
        for trial in climbers[: max(1, math.ceil(len(climbers) * _KEPT))]:
            if _CAUTION * race.next_seconds(trial) <= race.left() - rung_ends:
                race.run(trial.params, rung)
    best, defaults = race.of(last)[0], race.defaults(last)
    by_chance = best.loss > (1 - LEAST_GAIN) * defaults.loss
    return family.params if by_chance else best.params, race.trials


def _climb(race: _Race) -> bool:
    """Take the defaults through every rung; False where the budget would not hold that."""
    for rung in range(len(RUNGS)):
        if rung and race.trials[-1].seconds * _grown(race.family, rung - 1) > race.left():
            return False
        race.run(race.family.params, rung)
    return True


def _grown(family: Family, rung: int) -> float:
    """How many times larger a fit is in the next rung: in rows, and in trees where it has some."""
    (rows, trees), (more_rows, more_trees) = RUNGS[rung : rung + 2]
    return more_rows / rows * (more_trees / trees if family.grows else 1)


def _candidates(family: Family, known: Sequence[Params], draw: random.Random) -> Iterator[Params]:
    """Each set of params once, but for the defaults: the known ones, then in turns one near the first, one anywhere.

    Near: one parameter a step up or down in the order of its choices, or, half of the time, two.
    """
    seen = {_key(family.params)}
    base = family.params | dict(known[0] if known else {})
    for given in known:
        params = family.params | given
        if _key(params) not in seen:
            seen.add(_key(params))
            yield params
    turn, vain = 0, 0
    while vain < _DRAWS:
        params = _near(family, base, draw) if turn % 2 == 0 else _anywhere(family, draw)
        turn += 1
        if _key(params) in seen:
            vain += 1
            continue
        vain = 0
        seen.add(_key(params))
        yield params


def _anywhere(family: Family, draw: random.Random) -> Params:
    return family.params | {name: draw.choice(choices) for name, choices in family.space.items()}


def _near(family: Family, base: Params, draw: random.Random) -> Params:
    names = draw.sample(list(family.space), min(len(family.space), draw.choice((1, 2))))
    return base | {name: _step(family.space[name], base.get(name), draw) for name in names}


def _step(choices: tuple[object, ...], value: object, draw: random.Random) -> object:
    """The choice beside `value`; any of them where that is none of them."""
    if value not in choices:
        return draw.choice(choices)
    place = choices.index(value) + draw.choice((-1, 1))
    return choices[min(max(place, 0), len(choices) - 1)]


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _loss(trial: Trial) -> float:
    return trial.loss if math.isfinite(trial.loss) else math.inf
