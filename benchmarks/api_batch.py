"""Batches of vectors in each format that the API takes."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.api_load import body_of
from speed.contract import FEATURES, unpack_features

_TIMES = 21


class Batch(NamedTuple):
    """Milliseconds from the first byte sent to the last one read, over one connection; and bytes of the request."""

    middle_ms: float
    slowest_ms: float
    sent: int


def batches(port: int, key: str, vectors: Sequence[str]) -> dict[str, Batch]:
    """By name of the format: all the vectors in one request, many times."""
    bodies = [body_of(vector) for vector in vectors]
    requests = {
        "JSON": ("application/json", f'{{"vectors":[{",".join(bodies)}]}}'.encode()),
        "NDJSON": ("application/x-ndjson", "\n".join(bodies).encode()),
        "Arrow": ("application/vnd.apache.arrow.stream", _stream(vectors)),
    }
    return {name: _timed(port, key, media, body) for name, (media, body) in requests.items()}


def _stream(vectors: Sequence[str]) -> bytes:
    columns = np.array([unpack_features(vector) for vector in vectors]).T
    table = pa.table(dict(zip(FEATURES, columns, strict=True)) | {"views": np.full(len(vectors), 120)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _timed(port: int, key: str, media: str, body: bytes) -> Batch:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": media}
    took = []
    for _ in range(_TIMES + 1):
        began = time.perf_counter()
        connection.request("POST", "/v1/predict/batch", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        took.append((time.perf_counter() - began) * 1e3)
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"A batch was answered with {answer.status}: {content[:500]!r}")
    connection.close()
    return Batch(statistics.median(took[1:]), max(took[1:]), len(body))
