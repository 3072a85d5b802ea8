from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.gate_year import YEAR, World, promotions
from jobs.model.gate import FIRST, NIGHTLY_CONFIDENCE, REVIEW_CONFIDENCE, Terms, decide, terms_against
from jobs.model.paired import Interval, paired_bootstrap

NAMES, FEW = ("challenger", "champion"), 2_000
NIGHTLY, REVIEW = Terms(NIGHTLY_CONFIDENCE, 0.001), Terms(REVIEW_CONFIDENCE, 0.001, review=True)
DAY, FIRST_NIGHT = timedelta(days=1), datetime(2026, 1, 1, 2, tzinfo=UTC)


def errors(shift: float, n: int = 4_000):
    """Absolute errors of a champion, and of a challenger that is off by exactly `shift` on average, with noise."""
    random = np.random.default_rng(1)
    champion, noise = random.random(n) * 0.4, random.normal(0, 0.02, n)
    return champion + noise - noise.mean() + shift, champion


@pytest.mark.parametrize(
    ("standard_errors", "promoted"),
    [
        (-6.3, {"first", "nightly", "review"}),
        (-2.7, {"first", "review"}),  # too little for a night, of which a year has 365
        (-2.15, {"first"}),
        (-1.8, set()),
        (0.0, set()),  # as good: no reason to change, however old the champion is
        (2.7, set()),
    ],
)
def test_decide_asks_for_less_at_a_review_and_least_where_there_is_no_champion(standard_errors, promoted):
    shift = standard_errors * 0.02 / np.sqrt(4_000)
    for name, terms in (("first", FIRST), ("nightly", NIGHTLY), ("review", REVIEW)):
        decision = decide(*errors(shift), names=NAMES, terms=terms, seed=1, resamples=FEW)
        assert decision.promoted is (name in promoted), (name, decision.reason)
        assert decision.review is terms.review
        assert "MAE 0." in decision.reason and "4,000 held-out forms" in decision.reason


@pytest.mark.parametrize("terms", [NIGHTLY, REVIEW])
def test_decide_never_promotes_what_lies_wholly_above_zero(terms):
    """A "not worse" with a tolerance did: here the interval is about +0.00039 to +0.00069."""
    decision = decide(*errors(0.00054, 100_000), names=NAMES, terms=terms, seed=1, resamples=FEW)
    assert decision.interval.lower > 0.0003 and not decision.promoted


@pytest.mark.parametrize("terms", [NIGHTLY, REVIEW])
def test_decide_leaves_a_champion_alone_for_a_gain_that_is_sure_but_small(terms):
    _, champion = errors(0)
    decision = decide(champion - 0.00002, champion, names=NAMES, terms=terms, seed=1, resamples=FEW)
    assert decision.interval.upper < 0 and not decision.promoted
    assert (
        "challenger is better than champion, but only by 0.010%, less than the least gain of 0.1%" in decision.reason
    )
    assert decide(
        champion - 0.00002, champion, names=NAMES, terms=Terms(terms.confidence), seed=1, resamples=FEW
    ).promoted
    assert decide(champion * 0.9985, champion, names=NAMES, terms=terms, seed=1, resamples=FEW).promoted


@pytest.mark.parametrize(
    ("terms", "shift", "start", "interval"),
    [
        (NIGHTLY, -0.002, "challenger is better than champion: ", "99.8 % interval -0.00"),
        (NIGHTLY, 0.0, "challenger is not shown to be better than champion: ", "99.8 % interval -0.00"),
        (REVIEW, -0.002, "In a stale review, challenger is better than champion: ", "98 % interval -0.00"),
        (
            REVIEW,
            0.0,
            "In a stale review, challenger is not shown to be better than champion: ",
            "98 % interval -0.00",
        ),
        (FIRST, -0.002, "challenger is better than champion: ", "95 % interval -0.00"),
    ],
)
def test_decide_says_why_and_which_interval_it_went_by(terms, shift, start, interval):
    decision = decide(*errors(shift), names=NAMES, terms=terms, seed=1, resamples=FEW)
    assert decision.reason.startswith(start) and interval in decision.reason
    assert decision.interval.confidence == terms.confidence


@pytest.mark.parametrize("terms", [FIRST, NIGHTLY, REVIEW])
def test_decide_does_not_let_the_same_model_replace_itself(terms):
    _, champion = errors(0)
    for losses in (champion, np.zeros(100)):
        assert not decide(losses, losses, names=NAMES, terms=terms, seed=1, resamples=FEW).promoted


def test_decide_pairs_the_forms():
    """An advantage far below the spread of the errors shows only when the same forms are compared."""
    _, champion = errors(0)
    better = champion - 0.0005 * (champion > 0.1)
    assert decide(better, champion, names=NAMES, terms=NIGHTLY, seed=1, resamples=FEW).promoted


def terms_on(night: float, reviews, stale_after: float = 7) -> Terms:
    """For a challenger of so many nights after the champion, which was reviewed on these nights."""
    return terms_against(
        FIRST_NIGHT,
        FIRST_NIGHT + night * DAY,
        [FIRST_NIGHT + review * DAY for review in reviews],
        stale_after=stale_after * DAY,
        least_gain=0.001,
    )


def test_terms_against_review_a_stale_champion_once_in_as_many_days():
    reviews: list[int] = []
    for night in range(1, 31):
        terms = terms_on(night, reviews)
        assert terms == (REVIEW if terms.review else NIGHTLY)
        reviews += [night] if terms.review else []
    assert reviews == [8, 15, 22, 29]
    assert [night for night in range(1, 30) if terms_on(night, [], stale_after=21).review][:1] == [22]


def test_terms_against_are_the_same_for_whoever_decides_again():
    """A run that decides again knows its own review no more, but those that came after it."""
    assert terms_on(8, [15, 22]).review and terms_on(15, [8, 22]).review
    assert not terms_on(9, [8, 15]).review
    # The run of night 8 failed before its review, that of night 9 had one: the week has had its review.
    assert not terms_on(8, [9]).review


def test_a_year_of_equal_models_has_at_most_one_false_promotion():
    """On average. At 95 % every night there are 9, and up to 50 if a stale champion yields to its equals."""
    years = [100, 100, 100, 400, 400]
    made = [each for seed, forms in enumerate(years) for each in promotions(World(forms), YEAR, seed, 999)]
    assert len(made) <= len(years)


def test_a_model_one_percent_better_is_promoted_within_a_few_nights():
    nights = {
        forms: sorted(next(promotions(World(forms, 0.01), 60, seed, 999)).night for seed in range(9))
        for forms in (2_000, 20_000)
    }
    assert nights[2_000][4] <= 5 and nights[20_000] == [1] * 9


@pytest.mark.parametrize(("n", "confidence"), [(3_000, 0.95), (5_001, 0.98), (150_001, 0.998)])
def test_paired_bootstrap_has_the_width_of_the_normal_approximation(n, confidence):
    """Above 5,000 forms groups are resampled: the interval must not get narrower for that."""
    challenger, champion = errors(-0.001, n)
    difference = challenger - champion
    half = {0.95: 1.960, 0.98: 2.326, 0.998: 3.090}[confidence] * difference.std() / np.sqrt(n)
    found = paired_bootstrap(challenger, champion, seed=5, confidence=confidence)
    assert found.difference == pytest.approx(difference.mean())
    assert found.lower == pytest.approx(found.difference - half, abs=0.08 * half)
    assert found.upper == pytest.approx(found.difference + half, abs=0.08 * half)
    assert found == paired_bootstrap(challenger, champion, seed=5, confidence=confidence)


def test_paired_bootstrap_is_not_too_sure_of_few_forms():
    """Of the least holdout, 10 forms, percentiles alone lie below 0 ten times as often as they promise."""
    random, n = np.random.default_rng(0), 2_000
    nights = [
        paired_bootstrap(random.normal(0, 1, 10), np.zeros(10), 1, confidence=0.998, resamples=999) for _ in range(n)
    ]
    assert sum(night.upper < 0 for night in nights) <= 0.003 * n
    assert sum(night.lower > 0 for night in nights) <= 0.003 * n


def test_paired_bootstrap_of_one_form_is_the_form_and_of_too_few_resamples_an_error():
    assert paired_bootstrap(np.ones(1), np.zeros(1), 1) == Interval(1.0, 1.0, 1.0, 0.95)
    with pytest.raises(ValueError, match=r"900 resamples are too few for an interval of 99\.80%"):
        paired_bootstrap(*errors(0), 1, confidence=0.998, resamples=900)
