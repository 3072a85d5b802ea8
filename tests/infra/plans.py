"""Resources as a plan of Terraform's has them, read from its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A resource that is there, or will be. unknown: attributes that only AWS can tell, once it is made."""

    address: str
    type: str
    values: dict[str, Any]
    unknown: frozenset[str] = frozenset()

    def has(self, attribute: str) -> bool:
        """Whether the attribute is given, though its value may not be known yet."""
        return attribute in self.unknown or bool(self.values.get(attribute))

    def __getitem__(self, attribute: str) -> Any:
        return self.values.get(attribute)

    def block(self, name: str) -> dict[str, Any]:
        """The one nested block of a name; empty where there is none."""
        blocks = self.values.get(name) or [{}]
        return dict(blocks[0])

    def document(self, attribute: str) -> list[dict[str, Any]]:
        """The statements of an IAM policy; none while it is not known."""
        text = self.values.get(attribute)
        statements = json.loads(text)["Statement"] if text else []
        return statements if isinstance(statements, list) else [statements]

    def says(self, effect: str) -> set[tuple[str, str]]:
        """What the policy allows, or denies: actions, each with the resource that it is said of."""
        return {
            (action, resource)
            for one in self.document("policy")
            if one["Effect"] == effect
            for action in as_list(one["Action"])
            for resource in as_list(one["Resource"])
        }


def to_be_made(plan: dict[str, Any]) -> list[Resource]:
    """What the plan makes where nothing was."""
    made = {one["address"] for one in plan["resource_changes"] if one["change"]["actions"] == ["create"]}
    return [it for it in will_be(plan) if it.address in made]


def will_be(plan: dict[str, Any]) -> list[Resource]:
    """All that is there once the plan is applied."""
    return [
        Resource(
            one["address"],
            one["type"],
            one["change"]["after"],
            frozenset(name for name, unknown in one["change"]["after_unknown"].items() if unknown),
        )
        for one in plan["resource_changes"]
        if one["mode"] == "managed" and one["change"]["after"]
    ]


def there(plan: dict[str, Any]) -> list[Resource]:
    """What was there when the plan was made, all of it known."""
    return list(_below(plan["prior_state"]["values"]["root_module"]))


def found(resources: list[Resource], end: str) -> Resource:
    """The one whose address ends so."""
    (it,) = [it for it in resources if it.address.endswith(end)]
    return it


def _below(module: dict[str, Any]) -> Iterator[Resource]:
    for one in module.get("resources", []):
        if one["mode"] == "managed":
            yield Resource(one["address"], one["type"], one["values"])
    for child in module.get("child_modules", []):
        yield from _below(child)


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one as that one."""
    return value if isinstance(value, list) else [value]
