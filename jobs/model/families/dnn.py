"""A dense network, 128-256-256-256-1 with ReLU, trained to the absolute error. An extra, `formcast[dnn]`.

Torch trains on the driver, in float32. What is kept is in float64, with the scaling of the inputs folded into the
first layer, and predicted with numpy: the same numbers in Spark and in the portable model, and no torch where forms
are scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from jobs.model.export import Raw, from_dense
from jobs.model.families import Family, Params, Saved
from speed.contract import FEATURES

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]

_NAME, _FILE = "dnn", "layers.npz"
_WIDTHS = (128, 256, 256, 256)
# What the driver takes into its memory: as float32, 400 MB. More rows are sampled.
_MAX_ROWS = 2_000_000
_VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class DenseModel:
    """layers: (weights (inputs, outputs), biases (outputs,)) each, over log(1 + feature), ReLU between them."""

    layers: Layers

    def transform(self, frame: DataFrame) -> DataFrame:
        schema = StructType([*frame.schema.fields, StructField("prediction", DoubleType())])
        layers = self.layers

        def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                X = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in FEATURES])
                yield batch.append_column("prediction", pa.array(forward(layers, np.log1p(X))))

        return frame.mapInArrow(predict, schema)

    def save(self, folder: Path, _shared: str, /) -> None:
        (folder / _NAME).mkdir(exist_ok=True)
        arrays = [array for layer in self.layers for array in layer]
        np.savez(folder / _NAME / _FILE, *arrays)


def load_layers(folder: Path) -> Layers:
    """The layers that `DenseModel.save` wrote below `folder`."""
    with np.load(folder / _NAME / _FILE, allow_pickle=False) as saved:
        arrays = [saved[f"arr_{i}"] for i in range(len(saved.files))]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def forward(layers: Layers, X: Array) -> Array:
    """(n,) outputs of the network for (n, inputs)."""
    for weights, biases in layers[:-1]:
        X = np.maximum(X @ weights + biases, 0.0)
    weights, biases = layers[-1]
    return np.asarray((X @ weights + biases)[:, 0])


def fit(rows: DataFrame, params: Params, seed: int) -> DenseModel:
    share = min(1.0, _MAX_ROWS / max(rows.count(), 1))
    wanted = [F.col(name).cast("float") for name in ("label", *FEATURES)]
    table = rows.sample(share, seed).select(*wanted).toArrow()
    X = np.log1p(np.column_stack([table[name].to_numpy() for name in FEATURES]).astype(np.float64))
    mean, scale = scaling(X)
    X = ((X - mean) / scale).astype(np.float32)
    (weights, biases), *others = train_network(X, table["label"].to_numpy(), seed, **params)
    # weights . (x - mean) / scale + biases, as one layer over x
    folded = weights / scale[:, None]
    return DenseModel([(folded, biases - mean @ folded), *others])


def scaling(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(inputs,) means and scales of X (n, inputs): logs, >= 0, of values that were rounded to float32.

    A scale is the deviation, or 1 if that is no more than rounding may have made. Divided by such a deviation, the
    first form with another value would outweigh everything that the network has learnt.
    """
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale[scale <= np.finfo(np.float32).eps * mean] = 1.0
    return mean, scale


def train_network(
    X: NDArray[np.float32],
    y: NDArray[np.float32],
    seed: int,
    *,
    batch: int,
    epochs: int,
    learningRate: float,
    patience: int,
) -> Layers:
    """The layers after the epoch that was best on a tenth of the rows; ends `patience` epochs after it.

    X: (n, inputs), standardised; y: (n,). Repeatable on one machine with one number of threads.
    """
    import torch  # noqa: PLC0415  (an extra: installed only where it is asked for)

    torch.manual_seed(seed)
    order = torch.randperm(len(y))
    held = max(1, int(len(y) * _VALIDATION_SHARE))
    inputs, labels = torch.from_numpy(X)[order], torch.from_numpy(y.copy())[order]
    network = _network(torch, X.shape[1], float(np.median(y)))
    optimiser = torch.optim.Adam(network.parameters(), lr=learningRate)
    best, best_loss, waited = _layers(network), np.inf, 0
    for _ in range(epochs):
        network.train()
        for picked in (held + torch.randperm(len(y) - held)).split(batch):
            optimiser.zero_grad()
            loss = (network(inputs[picked])[:, 0] - labels[picked]).abs().mean()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            loss_held = float((network(inputs[:held])[:, 0] - labels[:held]).abs().mean())
        if loss_held < best_loss:
            best, best_loss, waited = _layers(network), loss_held, 0
        elif (waited := waited + 1) >= patience:
            break
    return best


def _network(torch: Any, inputs: int, median: float) -> torch.nn.Sequential:
    """Starts at the median, where an absolute error would take epochs to go."""
    stages: list[torch.nn.Module] = []
    for width in _WIDTHS:
        stages += [torch.nn.Linear(inputs, width), torch.nn.ReLU()]
        inputs = width
    last = torch.nn.Linear(inputs, 1)
    torch.nn.init.constant_(last.bias, median)
    return torch.nn.Sequential(*stages, last)


def _layers(network: torch.nn.Sequential) -> Layers:
    """Copies in float64; torch keeps weights as (outputs, inputs)."""
    numbers = [parameter.detach().numpy().astype(np.float64) for parameter in network.parameters()]
    return [(weights.T.copy(), biases) for weights, biases in zip(numbers[::2], numbers[1::2], strict=True)]


def portable(saved: Saved) -> Raw:
    return from_dense(load_layers(saved.folder), transform="log1p")


FAMILY = Family(
    name=_NAME,
    params={"batch": 512, "epochs": 30, "learningRate": 1e-3, "patience": 4},
    fit=fit,
    portable=portable,
    extra="torch",
    grows="epochs",
    space={"batch": (256, 512, 1024), "learningRate": (3e-4, 1e-3, 3e-3)},
)
