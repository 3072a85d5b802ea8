"""Reads what MLlib has saved, without MLlib: Parquet tables, by the position of their columns.

The names of those columns differ between versions of Spark (`_1` here, `treeID` there); the order has not changed
since 2.0. Source: org.apache.spark.ml.tree.{EnsembleModelReadWrite, DecisionTreeModelReadWrite}.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.errors import FormcastError
from jobs.model.trees import Trees


class SavedModel:
    """A model's folder as its library left it; of MLlib's models, the last stage of the pipeline below `mllib/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trees(self) -> Trees:
        """The trees of a random forest (mean of its trees) or of gradient-boosted trees (weighted sum).

        Raises FormcastError where the folder holds no such tables.
        """
        nodes = self._table("data")
        tree = nodes.column(0).to_numpy()
        node = _struct(nodes.column(1))
        node_id, value, cover, left, right = (node.field(at).to_numpy() for at in (0, 1, 4, 6, 7))
        split = node.field(8)
        order = np.lexsort((node_id, tree))
        tree, node_id, value, cover, left, right = (a[order] for a in (tree, node_id, value, cover, left, right))
        roots = np.flatnonzero(np.concatenate([[True], tree[1:] != tree[:-1]]))
        sizes = np.diff([*roots, len(tree)])
        if not np.array_equal(node_id, np.concatenate([np.arange(size) for size in sizes])):
            raise FormcastError(f"The trees saved in {self.folder} have gaps: train again.")
        first = np.repeat(roots, sizes)
        is_leaf = left < 0
        return Trees(
            roots=roots,
            weights=self._weights(len(roots)),
            feature=np.where(is_leaf, -1, split.field(0).to_numpy()[order]).astype(np.int64),
            threshold=np.where(is_leaf, 0.0, _thresholds(split.field(1))[order]),
            left=np.where(is_leaf, -1, left + first),
            right=np.where(is_leaf, -1, right + first),
            value=value.astype(np.float64),
            cover=cover.astype(np.float64),
        )

    def linear(self) -> tuple[NDArray[np.float64], float]:
        """(k,) coefficients and the intercept of a linear or generalised linear regression."""
        row = self._table("data")
        # Both save an intercept, then a vector, whose struct ends with its values.
        kinds = [field.type for field in row.schema]
        intercept = float(
            row.column(next(at for at, kind in enumerate(kinds) if pa.types.is_floating(kind)))[0].as_py()
        )
        vector = row.column(next(at for at, kind in enumerate(kinds) if pa.types.is_struct(kind)))[0].as_py()
        kind, size, indices, values = vector.values()
        dense = np.zeros(size if kind == 0 else len(values))
        dense[indices if kind == 0 else slice(None)] = values
        return dense, intercept

    def _weights(self, trees: int) -> NDArray[np.float64]:
        """A forest takes the mean of its trees, whatever weights it has saved; boosting has its own."""
        if "RandomForest" in self._stage().name:
            return np.full(trees, 1 / trees)
        saved = self._table("treesMetadata")
        order = np.argsort(saved.column(0).to_numpy())
        return np.asarray(saved.column(2).to_numpy()[order], dtype=np.float64)

    def _stage(self) -> Path:
        stages = sorted((self.folder / "mllib" / "stages").glob("*_*"), key=lambda path: int(path.name.split("_")[0]))
        if not stages:
            raise FormcastError(f"There is no model of MLlib in {self.folder}: train again.")
        return stages[-1]

    def _table(self, name: str) -> pa.Table:
        files = sorted((self._stage() / name).glob("*.parquet"))
        if not files:
            raise FormcastError(f"The model in {self.folder} has no table {name!r}: train again.")
        return pa.concat_tables([pq.read_table(file) for file in files])


def _struct(column: pa.ChunkedArray) -> pa.StructArray:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _thresholds(splits: pa.ListArray) -> NDArray[np.float64]:
    """Of continuous features, the only ones there are: a list of one threshold a node, empty in a leaf."""
    sizes = splits.value_lengths().fill_null(0).to_numpy()
    thresholds = np.zeros(len(sizes))
    thresholds[sizes == 1] = splits.flatten().to_numpy()
    return thresholds
