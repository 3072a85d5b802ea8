"""Reads the Terraform files of infra/ without Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
MODULES = sorted(path.parent for path in INFRA.glob("*/*/versions.tf"))


@cache
def blocks_of(file: Path) -> dict[str, Any]:
    """Blocks of a file, by kind."""
    return hcl2.loads(file.read_text(encoding="utf-8"))


def named(folder: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The blocks of a kind in a folder, such as every `variable`, with their names; for two labels, `type.name`."""
    for file in sorted(folder.glob("*.tf")):
        for block in blocks_of(file).get(kind, []):
            for label, body in block.items():
                if "__is_block__" in body:
                    yield literal(label), body
                else:
                    yield from ((f"{literal(label)}.{literal(name)}", inner) for name, inner in body.items())


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of an aws_iam_policy_document, those of `dynamic` blocks among them."""
    dynamic = [body["content"] for one in document.get("dynamic", []) for body in one.values()]
    return [*document.get("statement", []), *(content for contents in dynamic for content in contents)]


def literal(value: Any) -> Any:
    """A string without the quotes that the parser leaves; lists likewise; expressions as they are."""
    if isinstance(value, list):
        return [literal(one) for one in value]
    if isinstance(value, str) and value.startswith('"'):
        return json.loads(value)
    return value
