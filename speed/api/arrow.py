"""Batches as Arrow streams: columns feat_01 to feat_47 and, where known, views, as in the table `forms`.

A stream describes its own memory, and Arrow believes it: a column of 10,000 rows may come with a buffer for seven, or
with none. Nothing may look at a value before its batch is validated in full.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from speed.api import problems
from speed.api.problems import ProblemError
from speed.api.vectors import Vectors, check_count, check_vectors
from speed.contract import FEATURES
from speed.scorer import Scored
from speed.stores.records import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

VIEWS = "views"
_RECORD_BATCH = 3
_COMPRESSION = 3  # the number of that field in the metadata of a record batch


def read_arrow(body: bytes | memoryview, limit: int) -> Vectors:
    """The vectors of a stream; columns of other names are left out. Raises ProblemError."""
    import pyarrow as pa  # noqa: PLC0415  (few send Arrow, and loading it takes 50 MB)

    try:
        columns = _schema_of(pa.ipc.MessageReader.open_stream(body))
        _check_columns(columns)
        used = [columns.get_field_index(name) for name in (*FEATURES, VIEWS) if name in columns.names]
        with pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(included_fields=used)) as reader:
            read, rows = [], 0
            for batch in reader:
                # Before anything else: a column that claims more rows than it has would be read from foreign memory.
                batch.validate(full=True)
                rows += batch.num_rows
                check_count(rows, limit)
                read.append(batch)
            table = pa.Table.from_batches(read, reader.schema)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise ProblemError(problems.BAD_REQUEST, f"The body is no Arrow stream: {error}.") from error
    features = np.column_stack([_values(table.column(name)) for name in FEATURES])
    views = _values(table.column(VIEWS)) if VIEWS in table.column_names else np.full(len(features), np.nan)
    vectors = Vectors(features, views)
    check_vectors(vectors)
    return vectors


def write_arrow(scored: Scored, manifest: Manifest) -> bytes:
    """Columns rate, lower and upper, null for no bound; the schema says which generation and model they are from."""
    import pyarrow as pa  # noqa: PLC0415

    columns = {name: pa.array(values, from_pandas=True) for name, values in scored._asdict().items()}
    told = {"generation": manifest.generation, "model_version": manifest.model_version}
    table = pa.table(columns, metadata=told)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _schema_of(messages: Iterable[pa.Message]) -> pa.Schema:
    """The schema that a stream begins with. Raises ProblemError if what follows is anything but plain batches."""
    import pyarrow as pa  # noqa: PLC0415

    first, *batches = messages
    if first.type != "schema":  # read_schema takes it on trust, and crashes on any other message
        raise ValueError("it does not begin with a schema")
    for message in batches:
        _check_plain(message)
    return pa.ipc.read_schema(first)


def _check_columns(schema: pa.Schema) -> None:
    import pyarrow as pa  # noqa: PLC0415

    for name in (*FEATURES, VIEWS):
        places = schema.get_all_field_indices(name)
        if len(places) > 1 or (not places and name != VIEWS):
            raise ProblemError(problems.BAD_BODY, f"The stream has {len(places)} columns {name}: it must have one.")
        kind = schema.field(places[0]).type if places else pa.float64()
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise ProblemError(problems.BAD_BODY, f"The column {name} is of the type {kind}: it must hold numbers.")


def _check_plain(message: pa.Message) -> None:
    """Raises ProblemError for compressed data and for dictionaries: a small body must not unpack to a huge table."""
    metadata = bytes(message.metadata)
    plain = message.type == "record batch"
    if plain:
        header = _field(metadata, struct.unpack_from("<I", metadata)[0], 2)
        table = header + struct.unpack_from("<I", metadata, header)[0]
        plain = not _field(metadata, table, _COMPRESSION)
    if not plain:
        raise ProblemError(problems.BAD_BODY, "The stream has compressed batches or dictionaries: send it without.")


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a table of a flatbuffer is, 0 for one that is not set (flatbuffers.dev/internals)."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    (size,) = struct.unpack_from("<H", metadata, vtable)
    if (place := 4 + 2 * number) >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, vtable + place)
    return table + offset if offset else 0


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) float64, NaN where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    values: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    return values
