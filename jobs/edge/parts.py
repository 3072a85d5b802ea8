"""Parquet files written inside Spark tasks, to be made part of a Delta table by one commit on the driver."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from jobs.edge.places import filesystem_of, in_s3
from speed.contract import FEATURES

_INDEXED = ("form_id", "views")
_CONSTANT = ("run_id", "ingested_at", "model_version", "scored_at")


class PartWriter:
    """One Parquet file below a table's folder, opened with its first row. `partition` is a folder such as a=b."""

    def __init__(self, folder: str, partition: str = "") -> None:
        name = f"part-{uuid.uuid4()}.snappy.parquet"
        self.path = f"{partition}/{name}" if partition else name
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._bounds: dict[str, list[Any]] = {name: [] for name in _INDEXED}
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        if self._writer is None:
            self._fs, root = filesystem_of(self._folder)
            self._file = f"{root}/{self.path}"
            if not in_s3(self._folder):
                Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            # Features take few values, and constants one: dictionaries make the files a tenth. Ids are all different.
            dictionaries = [name for name in table.column_names if name in (*FEATURES, *_CONSTANT)]
            self._writer = pq.ParquetWriter(
                self._file,
                table.schema,
                filesystem=self._fs,
                use_dictionary=dictionaries,
                write_statistics=["form_id", "views"],
            )
        self._writer.write_table(table)
        self.rows += table.num_rows
        for name in set(_INDEXED) & set(table.column_names):
            bounds = pc.min_max(table[name]).as_py()
            self._bounds[name] += [bounds["min"], bounds["max"]]

    def close(self) -> dict[str, Any] | None:
        """The file as a plain record for `add_action`, or None where nothing was written."""
        if self._writer is None:
            return None
        self._writer.close()
        known = {name: values for name, values in self._bounds.items() if values}
        stats = {
            "numRecords": self.rows,
            "minValues": {name: min(values) for name, values in known.items()},
            "maxValues": {name: max(values) for name, values in known.items()},
            "nullCount": dict.fromkeys(known, 0),
        }
        size = self._fs.get_file_info(self._file).size
        return {"path": self.path, "size": size, "rows": self.rows, "stats": json.dumps(stats)}


def delete_parts(folder: str, records: Iterable[dict[str, Any]]) -> None:
    """Delete files that PartWriters wrote below `folder` and that no commit will name."""
    system, root = filesystem_of(folder)
    for record in records:
        system.delete_file(f"{root}/{record['path']}")


def add_action(record: dict[str, Any], partition: dict[str, str | None] | None = None) -> AddAction:
    """The entry of a Delta log that adds the file a PartWriter wrote."""
    now = int(time.time() * 1000)
    return AddAction(record["path"], record["size"], partition or {}, now, True, record["stats"])
