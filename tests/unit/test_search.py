from __future__ import annotations

import math

import pytest

from jobs.model.families import Family
from jobs.model.search import RUNGS, search


class World:
    """A clock that only fits move, by their rows times their trees times `cost`, and a loss that is known."""

    def __init__(self, loss, cost=lambda params: 1.0):
        self.now, self.loss, self.cost, self.calls = 100.0, loss, cost, []

    def clock(self):
        return self.now

    def fit_and_judge(self, params, rows):
        self.calls.append((params, rows))
        self.now += self.cost(params) * rows * params.get("trees", 1)
        return self.loss(params)


def a_family(**changes):
    facts = {"params": {"trees": 40, "depth": 5, "kind": "x"}, "grows": "trees"}
    space = {"trees": (20, 40, 80), "depth": (3, 4, 5, 6, 7), "kind": ("x", "y")}
    return Family(name="f", fit=None, portable=None, space=space, **(facts | changes))


def run(world, budget, family=None, **options):
    return search(family or a_family(), world.fit_and_judge, budget, 7, clock=world.clock, **options)


def test_search_finds_the_best_params_in_time_and_climbs_rungs():
    world = World(lambda params: abs(params["depth"] - 7) + (params["kind"] == "x") + 1 / params["trees"])
    best, trials = run(world, budget=1_000)
    assert (best["depth"], best["kind"]) == (7, "y")
    assert world.now - 100 <= 1_000
    # The rows and trees that were fitted are those of the rung; a trial keeps its candidate's own params.
    for trial, (fitted, rows) in zip(trials, world.calls, strict=True):
        assert (trial.rows, rows) == (RUNGS[trial.rung][0],) * 2
        assert fitted == trial.params | {"trees": trial.trees}
        assert trial.trees == round(trial.params["trees"] * RUNGS[trial.rung][1])
    sizes = [sum(trial.rung == rung for trial in trials) for rung in range(3)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 3 * 5 * 2  # the whole space, each once
    # Those that climbed were the best of the rung below.
    for rung in (1, 2):
        below = sorted(t.loss for t in trials if t.rung == rung - 1)
        climbed = [t.params for t in trials if t.rung == rung and t.params != a_family().params]
        assert all(t.loss <= below[len(climbed)] for t in trials if t.rung == rung - 1 and t.params in climbed)


@pytest.mark.parametrize(("gain", "depth"), [(0.0001, 5), (0.001, 7)])
def test_search_keeps_the_defaults_where_a_gain_may_be_chance(gain, depth):
    best, _ = run(World(lambda params: 0.2 * (1 - gain * (params["depth"] == 7))), budget=1_000)
    assert best["depth"] == depth


def test_search_is_never_worse_than_the_defaults_where_early_rungs_mislead():
    """Cut trees make another candidate look good that is bad in full."""
    world = World(lambda params: 0.5 if params == a_family().params else (0.1 if params["trees"] < 20 else 0.9))
    best, trials = run(world, budget=2_000)
    assert best == a_family().params
    assert max(trial.rung for trial in trials if trial.params != best) == 2


@pytest.mark.parametrize("budget", [0, 1, 10, 55, 60, 75, 100, 150, 300])
def test_search_ends_in_time_whatever_the_budget(budget):
    world = World(lambda params: params["depth"], cost=lambda params: params["depth"] / 5)
    best, trials = run(world, budget)
    assert world.now - 100 <= max(budget, 1.12)  # the first, smallest fit is how anything is known
    if not any(trial.rung == 2 for trial in trials):
        assert best == a_family().params
    else:
        assert best["depth"] <= 5


def test_search_is_not_misled_by_a_cold_first_fit():
    """Libraries warm up in the first fit: that must not make every later one look too long to begin."""
    world = World(lambda params: params["depth"])
    world.cost = lambda _params: 1.0 if len(world.calls) > 1 else 20.0
    best, trials = run(world, budget=200)
    assert best["depth"] == 3
    assert sum(trial.rung == 2 for trial in trials) > 1
    assert world.now - 100 <= 200


def test_search_begins_with_the_champion_and_looks_around_it():
    champion = {"trees": 80, "depth": 7, "kind": "y"}
    world = World(lambda params: 1.0)
    _, trials = run(world, budget=150, known=[champion])
    assert trials[3].params == champion
    assert len({name for name in champion if trials[4].params[name] != champion[name]}) in (1, 2)
    again = World(lambda params: 1.0)
    assert run(again, budget=150, known=[champion])[1] == trials


def test_search_takes_a_draw_and_what_is_no_number_for_the_defaults():
    best, _ = run(World(lambda _params: 1.0), budget=500)
    assert best == a_family().params
    best, _ = run(World(lambda params: 1.0 if params == a_family().params else math.nan), budget=500)
    assert best == a_family().params


def test_search_without_a_space_has_nothing_to_try():
    world = World(lambda _params: 1.0)
    family = Family(name="f", params={"a": 1}, fit=None, portable=None)
    assert run(world, 100, family) == ({"a": 1}, [])
