"""The model families that compete every night, one file each. To add one: a file here that defines `FAMILY`."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from jobs.errors import MissingError, UsageError
from jobs.model.gate import BASELINE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from jobs.model.export import Raw
    from jobs.model.trees import Trees

Params = dict[str, Any]
Transform = Literal["raw", "log1p", "log1p_flags"]
Link = Literal["identity", "logit"]
MLLIB = "mllib"  # where MLlib's own format lies in a model's folder


class Native(Protocol):
    """A fitted model in the form that its library gave it."""

    def transform(self, frame: DataFrame) -> DataFrame:
        """Add `prediction` to a frame that holds the 47 features by name and in the vector `features`."""

    def save(self, folder: Path, shared: str, /) -> None:
        """Write the model in a place of its own below `folder`, which exists; what is there gives way.

        shared: the URI of a place that Spark's executors reach, for models that they write. It becomes `folder`'s.
        """


class Saved(Protocol):
    """A saved model as export and explanation see it; `jobs.edge.native.SavedModel` is one."""

    folder: Path

    def trees(self) -> Trees: ...

    def linear(self) -> tuple[NDArray[np.float64], float]: ...


class Linear(NamedTuple):
    """A linear predictor: link(intercept + coefficients . transformed features).

    coefficients: (k,), one a transformed feature. transform and link: as `jobs.model.export.from_linear` names them.
    """

    coefficients: NDArray[np.float64]
    intercept: float
    transform: Transform
    link: Link


@dataclass(frozen=True)
class Family:
    """A kind of model: its name, its parameters, how it is fitted, written without Spark, searched and explained.

    fit: (rows, params, seed) -> the fitted model. The rows hold form_id, views, label, each feature by its name, and
    all of them in the vector `features`. The same rows in the same partitions with the same seed must give the same
    model, but for the order in which sums of doubles are added up.
    """

    name: str
    params: Params
    """The fixed defaults: what is fitted when nothing was searched."""
    fit: Callable[[DataFrame, Params, int], Native]
    portable: Callable[[Saved], Raw]
    """The same prediction, not calibrated and not clipped, as a fragment of a graph."""
    space: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """What a search may choose: the choices of a parameter, in order. Empty: nothing to search."""
    grows: str = ""
    """The parameter that counts trees or iterations, which a search cuts in its early rungs."""
    extra: str = ""
    """The package that must be installed, by `pip install formcast[<name>]`; empty: none but formcast's own."""
    tolerance: float = 1e-9
    """How far the portable model's rates and bounds may be from those made of the native prediction."""
    explain: Callable[[Saved], Trees | Linear | None] = lambda _saved: None
    """What its predictions are made of, for per-form contributions; None where they cannot be taken apart."""

    @property
    def choices(self) -> int:
        """How many sets of parameters the space holds."""
        return math.prod(len(choices) for choices in self.space.values())


@dataclass(frozen=True)
class MllibModel:
    """A model that MLlib fitted and can save."""

    pipeline: PipelineModel

    def transform(self, frame: DataFrame) -> DataFrame:
        return self.pipeline.transform(frame)

    def save(self, _folder: Path, shared: str, /) -> None:
        self.pipeline.write().overwrite().save(f"{shared}/{MLLIB}")


def all_families() -> tuple[Family, ...]:
    """Every family there is, extras too, in the order of their names, which is that of all tables and reports."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return tuple(sorted((module.FAMILY for module in modules), key=lambda family: family.name))


def families(names: str | None = None) -> tuple[Family, ...]:
    """Those that compete: the named ones, separated by commas, or all that need no extra. The baseline is always one.

    Raises UsageError for a name that is none, and MissingError for a family whose package is not installed.
    """
    known = {family.name: family for family in all_families()}
    if not names:
        return tuple(family for family in known.values() if not family.extra)
    asked = {name.strip() for name in names.split(",")} - {""}
    if unknown := sorted(asked - known.keys()):
        raise UsageError(f"There is no model family {unknown[0]!r}: choose among {', '.join(known)}.")
    if not asked - {BASELINE}:
        raise UsageError(f"The {BASELINE} is the yardstick and cannot be champion: name another family beside it.")
    chosen = tuple(family for family in known.values() if family.name in asked | {BASELINE})
    for family in chosen:
        if family.extra and find_spec(family.extra) is None:
            raise MissingError(
                f"The family {family.name} needs the package {family.extra}, which is not installed: "
                f"`pip install formcast[{family.name}]`."
            )
    return chosen
