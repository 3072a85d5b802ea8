"""How often the gate errs, and how soon it sees a better model: `python -m benchmarks.gate_year`.

Years of nights with simulated losses and the real rules (jobs.model.gate). Writes benchmarks/GATE.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from jobs.model.gate import decide, terms_against
from jobs.model.paired import Array
from jobs.settings import ROOT, Settings

YEAR = 365
SIZES = (400, 2_000, 20_000)
GAINS = (0.005, 0.01, 0.02)
# A form's error is its own noise and what a model adds to it: the MAE is 0.17 as on real forms, and the difference of
# two models' losses deviates by 0.03, as that of boosted trees trained on two nights does.
_NOISE, _MODEL = 0.21, 0.0215
_START = datetime(2026, 1, 1, 2, tzinfo=UTC)
_SETTINGS = {name: Settings.model_fields[name].default for name in ("least_gain", "stale_after_days")}
_PATIENCE = 120  # nights after which a better model counts as never seen


@dataclass(frozen=True)
class World:
    """forms: held out. gain: share of the first champion's loss by which every challenger's is lower in truth.

    same_forms: the holdout is the same every night, as it nearly is in a lake; else nights are independent.
    """

    forms: int
    gain: float = 0.0
    same_forms: bool = False


@dataclass(frozen=True)
class Promotion:
    """review: the champion gave way in a stale review."""

    night: int
    review: bool


def promotions(world: World, nights: int, seed: int, resamples: int) -> Iterator[Promotion]:
    """The nights, from 1 on, on which a challenger takes the champion's place; the first champion is of night 0."""
    random = np.random.default_rng(seed)
    noise, champion = _noise(world, random), _model(world, random)
    trained, reviews, gain = _START, list[datetime](), world.gain
    for night in range(1, nights + 1):
        if not world.same_forms:
            noise, champion = _noise(world, random), _model(world, random)
        challenger, now = _model(world, random), _START + timedelta(days=night)
        terms = terms_against(
            trained,
            now,
            reviews,
            stale_after=timedelta(days=_SETTINGS["stale_after_days"]),
            least_gain=_SETTINGS["least_gain"],
        )
        mine, theirs = np.abs(noise + challenger) * (1 - gain), np.abs(noise + champion)
        decision = decide(mine, theirs, names=("a", "b"), terms=terms, seed=night, resamples=resamples)
        if terms.review:
            reviews.append(now)
        if decision.promoted:
            # From here on, challengers are as good as the champion.
            trained, champion, reviews, gain = now, challenger, [], 0.0
            yield Promotion(night, terms.review)


def _noise(world: World, random: np.random.Generator) -> Array:
    return random.normal(0, _NOISE, world.forms)


def _model(world: World, random: np.random.Generator) -> Array:
    return random.normal(0, _MODEL, world.forms)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_year", description=__doc__)
    parser.add_argument("--years", type=int, default=20, help="years of equal models, of each kind")
    parser.add_argument("--trials", type=int, default=100, help="better models, of each kind")
    parser.add_argument("--resamples", type=int, default=999, help="of the bootstrap; a real night has 20,000")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "GATE.md", help="what is written")
    asked = parser.parse_args()
    lines = [
        "# How often the gate errs",
        "",
        f"Made by `python -m benchmarks.gate_year --years {asked.years} --trials {asked.trials} --resamples "
        f"{asked.resamples}`: simulated nights, decided by the rules of `jobs/model/gate.py` "
        "([ADR 0015](../docs/adr/0015-an-error-budget-for-promotions.md)). The losses have a mean of 0.17, their "
        "differences a deviation of 0.03. Seeds are fixed, so the same command gives the same figures.",
        "",
        f"False promotions a year among models that are all equally good, over {asked.years} years of each kind:",
        "",
        "| held-out forms | new forms every night | of these in reviews | the same forms | of these in reviews |",
        "|---:|---:|---:|---:|---:|",
    ]
    for forms in SIZES:
        cells = [cell for same in (False, True) for cell in _errors(World(forms, same_forms=same), asked)]
        lines.append(f"| {forms:,} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "Nights until a better model replaces a new champion: the median, and how many nine of ten need.",
        "",
        f"| held-out forms | {' | '.join(f'{gain:.1%} better' for gain in GAINS)} |",
        "|---:|---:|---:|---:|",
    ]
    for forms in SIZES:
        lines.append(f"| {forms:,} | {' | '.join(_power(World(forms, gain), asked) for gain in GAINS)} |")
        print(lines[-1], flush=True)
    asked.page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _errors(world: World, asked: argparse.Namespace) -> list[str]:
    """All promotions a year, and those in reviews."""
    made = [each for year in range(asked.years) for each in promotions(world, YEAR, year, asked.resamples)]
    return [f"{count / asked.years:.2f}" for count in (len(made), sum(each.review for each in made))]


def _power(world: World, asked: argparse.Namespace) -> str:
    first = [next(promotions(world, _PATIENCE, seed, asked.resamples), None) for seed in range(asked.trials)]
    nights = sorted(each.night if each else _PATIENCE + 1 for each in first)
    middle, most = (nights[int(share * (len(nights) - 1))] for share in (0.5, 0.9))
    return ", ".join(str(n) if n <= _PATIENCE else f"over {_PATIENCE}" for n in (middle, most))


if __name__ == "__main__":
    main()
