"""The files of scores that a generation holds: read from the tables, packed, and written as LMDB environments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.edge.delta_errors import READ_ERRORS, first_line, is_lost
from jobs.edge.lineage import scoring_of
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.schemas import PREDICTIONS
from jobs.transforms.predictions import features_of
from speed.contract import FEATURES
from speed.stores.records import RECORD, pack_features

PACKED = pa.schema([("form_id", pa.string()), ("packed", pa.binary())])
_READ = pa.schema([*PACKED, ("views", pa.int64())])


class Scores(NamedTuple):
    """What `predictions` says. rows: form_id and the columns of RECORD; the rest is the same for every row."""

    rows: pa.Table
    run_id: str
    model_version: str
    scored_at: datetime


class Contents(NamedTuple):
    """What a generation is built of. packed: (form_id, packed features), in the order of the scores.

    predictions_version, forms_version: those that score wrote and read, whatever versions have their rows today.
    """

    scores: Scores
    packed: pa.Table
    predictions_version: int
    forms_version: int
    data_until: datetime


def read_contents(tables: Tables, version: int) -> Contents:
    """The predictions as of `version`, and the forms that they were made from.

    Raises MissingError if it is not known which forms those were, or if maintenance has deleted them.
    """
    try:
        return _read_contents(tables, version)
    except READ_ERRORS as error:
        what = f"Version {version} of predictions, or the forms that it was made from, cannot be read"
        if not is_lost(error):
            raise FormcastError(f"{what} for now ({first_line(error)}): run the step again.") from error
        raise MissingError(
            f"{what} ({first_line(error)}). Maintenance deletes what is older than FORMCAST_RETENTION_DAYS: go back "
            "to a later run, or score anew."
        ) from error


def _read_contents(tables: Tables, version: int) -> Contents:
    scoring = scoring_of(tables, version)
    scores, forms = read_scores(tables, scoring.predictions), read_forms(tables, scoring.forms)
    is_own = scores.run_id == scoring.entry.run_id
    if not is_own or any(not forms[name].equals(scores.rows[name]) for name in ("form_id", "views")):
        raise FormcastError("The forms are not those of the predictions: run score again before publish.")
    packed, versions = forms.select(PACKED.names), (scoring.wrote, scoring.read)
    return Contents(scores, packed, *versions, _data_until(tables, scores))


def read_scores(tables: Tables, version: int) -> Scores:
    """The predictions as of `version`, in order of form_id. Raises FormcastError where none are, or of two runs."""
    made_by = {name: set[Any]() for name in ("run_id", "model_version", "scored_at")}
    batches = []
    for batch in tables.batches("predictions", PREDICTIONS.names, version):
        # The same three values stand in every row: they are checked and let go, not held ten million times.
        for name, values in made_by.items():
            values.update(pc.unique(batch[name]).to_pylist())
        batches.append(batch.select(["form_id", *(RECORD.names or ())]))
    if any(len(values) != 1 for values in made_by.values()):
        raise FormcastError("The table predictions is empty or mixes runs: run score again before publish.")
    return Scores(pa.Table.from_batches(batches).sort_by("form_id"), *(values.pop() for values in made_by.values()))


def read_forms(tables: Tables, version: int) -> pa.Table:
    """PACKED and views of the forms as of `version`, in order of form_id. Packed batch by batch: forms are many."""
    batches = [
        pa.record_batch(
            [batch["form_id"], pa.array(pack_features(features_of(batch)), pa.binary()), batch["views"]], schema=_READ
        )
        for batch in tables.batches("forms", ["form_id", "views", *FEATURES], version)
        if batch.num_rows
    ]
    return pa.Table.from_batches(batches, _READ).sort_by("form_id")


def _data_until(tables: Tables, scores: Scores) -> datetime:
    """The cut-off of the last whole dump before these scores; where none was noted, all that streams is newer."""
    rows = tables.query("select value, at from metrics where name = 'data_until' order by at", "metrics")
    known = [row["value"] for row in rows if row["at"] <= scores.scored_at]
    return datetime.fromtimestamp(known[-1] if known else 0.0, UTC)


def write_scores(file: Path, scores: pa.Table) -> None:
    """scores: as `read_scores` gives them."""
    _write(file, scores["form_id"], records_of(scores), scores.num_rows * RECORD.itemsize)


def write_features(file: Path, packed: pa.Table) -> None:
    """packed: as PACKED, in order of form_id."""
    values = (value for batch in packed.to_batches(max_chunksize=100_000) for value in batch["packed"].to_pylist())
    _write(file, packed["form_id"], values, pc.sum(pc.binary_length(packed["packed"])).as_py() or 0)


def records_of(scores: pa.Table) -> Iterator[bytes]:
    """Each row as a RECORD."""
    records = np.empty(scores.num_rows, RECORD)
    for name in RECORD.names or ():
        records[name] = scores[name].to_numpy()  # a null becomes NaN
    packed, width = records.tobytes(), RECORD.itemsize
    return (packed[at : at + width] for at in range(0, len(packed), width))


def _write(file: Path, form_ids: pa.ChunkedArray, values: Iterable[bytes], value_bytes: int) -> None:
    """Write in key order, which lets LMDB append: no page is split, none half empty."""
    key_bytes = pc.sum(pc.binary_length(form_ids)).as_py() or 0
    # The map is address space, not disk: far more than pages and their headers can need.
    size = 4 * (key_bytes + value_bytes + len(form_ids) * 32) + (64 << 20)
    with lmdb.open(str(file), subdir=False, map_size=size, lock=False, sync=False, writemap=False) as env:
        with env.begin(write=True) as transaction, transaction.cursor() as cursor:
            _, added = cursor.putmulti(zip(_keys(form_ids), values, strict=True), append=True, overwrite=False)
        if added != len(form_ids):
            raise FormcastError(f"Of {len(form_ids):,} scores {added:,} have a form id of their own: score again.")
        env.sync(True)


def _keys(form_ids: pa.ChunkedArray) -> Iterator[bytes]:
    for chunk in form_ids.chunks:
        for start in range(0, len(chunk), 100_000):
            yield from chunk.slice(start, 100_000).cast(pa.binary()).to_pylist()
