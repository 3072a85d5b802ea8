"""What a form's prediction is made of: the parts of a fitted model that contributions are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.model.families import Linear
from jobs.model.trees import Trees
from speed.contract import FEATURES
from speed.explain import save_linear, save_trees, transformed

if TYPE_CHECKING:
    import pyarrow as pa


def explanation_of(parts: Trees | Linear | None, sample: pa.Table) -> bytes | None:
    """The file of speed.explain for a family's parts; None where its predictions cannot be taken apart.

    sample: forms with the 47 features, whose mean is what a linear predictor's contributions are told from.
    """
    if parts is None:
        return None
    if isinstance(parts, Trees):
        return save_trees(**{name: getattr(parts, name) for name in parts.__dataclass_fields__})
    features = np.column_stack([sample[name].to_numpy() for name in FEATURES])
    means = transformed(features, parts.transform).mean(axis=0)
    return save_linear(**parts._asdict(), means=means)
