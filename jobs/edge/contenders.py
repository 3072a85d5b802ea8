"""The fitted families of a run on disk: saved as their libraries save them, and read back without those."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from jobs.edge.models import Models
from jobs.edge.native import SavedModel
from jobs.model.export import Raw
from jobs.model.training import Fitted


@dataclass(frozen=True)
class Contender:
    """A fitted family, the folder where it is saved, and its raw prediction as a graph, made from what was saved."""

    fitted: Fitted
    version: str
    staged: Path
    saved: SavedModel
    raw: Raw


def save_contenders(models: Models, name: str, fitted: list[Fitted]) -> dict[str, Contender]:
    """By family, as version <name>-<family>. What an attempt that was killed left in these folders gives way."""
    contenders = {}
    for each in fitted:
        version = f"{name}-{each.family.name}"
        staged = models.files.workplace(f"models/{version}")
        with models.files.shared(f"_staging/{version}", staged) as place:
            each.native.save(staged, place)
        saved = SavedModel(staged)
        contenders[each.family.name] = Contender(each, version, staged, saved, each.family.portable(saved))
    return contenders


def forget_contenders(contenders: dict[str, Contender]) -> None:
    """Delete the folders of those that were not published."""
    for contender in contenders.values():
        shutil.rmtree(contender.staged, ignore_errors=True)
