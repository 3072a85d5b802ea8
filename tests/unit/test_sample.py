"""The generator: repeatable, close to the published figures, broken where asked, parseable elsewhere."""

import gzip
from itertools import pairwise

import numpy as np
import pytest

from jobs.errors import UsageError
from jobs.sample.broken import N_KINDS
from jobs.sample.chunks import CHUNK_ROWS, FORM, draw_chunks
from jobs.sample.facts import published
from jobs.sample.ids import FormIds
from jobs.sample.write import plan_sample, write_sample
from speed.contract import FEATURES

TWO_CHUNKS = CHUNK_ROWS + 4_000


def naive_packed(line):
    """One packed line as (id, submissions, views, features), or None: plain Python, nothing of the generator."""
    fields = line.split(",")
    if len(fields) != 4 or not fields[0] or not (fields[1].isdigit() and fields[2].isdigit()):
        return None
    features = fields[3].split("-")
    if len(features) != 47 or not all(part.replace(".", "", 1).isdigit() for part in features):
        return None
    submissions, views = int(fields[1]), int(fields[2])
    if not 0 <= submissions <= views or views < 1:
        return None
    return fields[0], submissions, views, [float(part) for part in features]


def sample_lines(path, *, layout="packed", rows=3_000, seed=3, broken=0.0, duplicates=0.0):
    write_sample(plan_sample(rows, seed, broken, duplicates), layout, path)
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.fixture(scope="module")
def chunks():
    return list(draw_chunks(plan_sample(TWO_CHUNKS, 11, 0.0, 0.0)))


def test_sample_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    names = {"a.csv.gz": 5, "b.csv.gz": 5, "c.csv.gz": 6}
    for name, seed in names.items():
        write_sample(plan_sample(2_000, seed, 0.01, 0.01), "packed", tmp_path / name)
    first, again, other = ((tmp_path / name).read_bytes() for name in names)
    assert first == again
    assert gzip.decompress(first) != gzip.decompress(other)


def test_sample_marginals_are_the_published_ones(chunks):
    vectors = np.concatenate([chunk.vectors for chunk in chunks])
    for name, facts, column in zip(FEATURES, published().features, vectors.T, strict=True):
        assert (column == 0).mean() == pytest.approx(facts.zero_share, abs=0.012), name
        # At the exact level a quantile may sit on a step: a little to both sides must enclose it.
        for level, wanted in ((0.5, facts.p50), (0.9, facts.p90)):
            assert np.quantile(column, level - 0.012) <= wanted <= np.quantile(column, level + 0.012), name
        assert column.max() <= facts.max, name


def test_sample_features_depend_on_each_other(chunks):
    vectors = np.concatenate([chunk.vectors for chunk in chunks]).astype(float)
    errors = np.abs(np.corrcoef(vectors.T) - published().correlation)
    assert errors[np.triu_indices(47, 1)].mean() < 0.02
    assert errors.max() < 0.3


def test_sample_rates_and_views_are_the_published_ones(chunks):
    views = np.concatenate([chunk.views for chunk in chunks])
    rates = np.concatenate([chunk.submissions for chunk in chunks]) / views
    facts = published().completion_rate
    assert (rates.mean(), rates.std()) == pytest.approx((facts["mean"], facts["std"]), abs=0.01)
    assert np.quantile(rates, [0.25, 0.5, 0.75]) == pytest.approx(
        [facts["p25"], facts["p50"], facts["p75"]], abs=0.015
    )
    wanted = [published().views[name] for name in ("p25", "p50", "p75", "p90")]
    assert np.quantile(views, [0.25, 0.5, 0.75, 0.9]) == pytest.approx(wanted, rel=0.05)


def test_sample_rate_depends_on_features_beyond_a_line(chunks):
    # The pair (feat_09, feat_43): each alone lowers what both together do not.
    nines, threes = (np.concatenate([chunk.vectors[:, j] > 0 for chunk in chunks]) for j in (8, 42))
    rates = np.concatenate([chunk.submissions / chunk.views for chunk in chunks])
    one, both = rates[nines ^ threes].mean(), rates[nines & threes].mean()
    neither = rates[~nines & ~threes].mean()
    assert 2 * one - both - neither > 0.08


def test_sample_counts_broken_and_duplicates_exactly(tmp_path):
    lines = sample_lines(tmp_path / "s.csv", rows=TWO_CHUNKS, broken=0.013, duplicates=0.021)
    parsed = [naive_packed(line) for line in lines]
    good = [record for record in parsed if record]
    assert len(lines) == TWO_CHUNKS
    assert len(lines) - len(good) == round(TWO_CHUNKS * 0.013)
    assert len(good) - len({record[0] for record in good}) == round(TWO_CHUNKS * 0.021)


def test_sample_duplicates_follow_their_form_with_no_more_views(tmp_path):
    seen, repeats = {}, []
    for form_id, submissions, views, features in map(naive_packed, sample_lines(tmp_path / "s.csv", duplicates=0.2)):
        if form_id in seen:
            repeats.append((seen[form_id], (submissions, views, features)))
        seen.setdefault(form_id, (submissions, views, features))
    assert all(now[2] == then[2] and now[1] <= then[1] and now[0] <= then[0] for then, now in repeats)
    assert any(now[1] < then[1] for then, now in repeats)
    assert any(now == then for then, now in repeats)


def test_sample_breaks_lines_in_every_way(tmp_path):
    for layout in ("packed", "wide"):
        path = tmp_path / f"{layout}.csv"
        whole = set(sample_lines(path, layout=layout, rows=200))
        mixed = sample_lines(path, layout=layout, rows=200, broken=N_KINDS / 200)
        assert "" in mixed
        assert len(set(mixed)) == len(mixed)
        assert len([line for line in mixed if line not in whole]) == N_KINDS


def test_sample_wide_and_packed_hold_the_same_data(tmp_path):
    packed = [naive_packed(line) for line in sample_lines(tmp_path / "p.csv", duplicates=0.1)]
    header, *rows = sample_lines(tmp_path / "w.csv", layout="wide", duplicates=0.1)
    wide = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert packed == [
        (row["form_id"], int(row["submissions"]), int(row["views"]), [float(row[name]) for name in FEATURES])
        for row in wide
    ]


@pytest.mark.parametrize("total", [1, 2, 7, 1_000, 2_000_000])
def test_form_ids_are_unique_when_few_and_when_crowded(total):
    # Several calls, as the chunks make them; far more forms than the published range has room for included.
    ids = FormIds.create(total, seed=9)
    edges = [0, total // 3, total]
    rng = np.random.default_rng(0)
    drawn = np.concatenate([ids.take(rng, a, b) for a, b in pairwise(edges)])
    assert len(np.unique(drawn)) == total
    assert drawn.min() >= published().form_id[0]


def test_sample_failure_leaves_no_file(tmp_path, monkeypatch):
    def stop(*_):
        raise OSError("disk full")

    monkeypatch.setattr("jobs.sample.write.to_bytes", stop)
    with pytest.raises(OSError, match="disk full"):
        write_sample(plan_sample(10, 1, 0, 0), "packed", tmp_path / "s.csv")
    assert list(tmp_path.iterdir()) == []


def test_sample_says_what_is_wrong_with_the_call(tmp_path):
    with pytest.raises(UsageError, match="not there"):
        write_sample(plan_sample(10, 1, 0, 0), "packed", tmp_path / "nowhere" / "s.csv")
    for rows, broken in ((0, 0.0), (10, 0.7), (1, 0.5 + 1e-9)):
        with pytest.raises(UsageError):
            plan_sample(rows, 1, broken, 0.0)


def test_first_line_is_a_form_however_many_are_broken():
    first = next(draw_chunks(plan_sample(4, 1, 0.5, 0.25)))
    assert first.kind[0] == FORM
