"""Rules of infra/ that need no Terraform: what it says of names, stars and the programs that it is for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jobs.schemas import PREDICTIONS
from jobs.settings import Settings
from speed.settings import ServeSettings
from tests.infra.hcl import INFRA, MODULES, ROOT, blocks_of, literal, named, statements

# Statements that name no resource, or all actions: each with what makes it so. Nothing else may.
STARS = {
    ("lake", "key", "Account"): "the default of every key: without it no IAM policy could grant its use",
    ("lake", "key", "Logs"): "in the policy of a key the star is that key",
    ("lake", "key", "Alarms"): "in the policy of a key the star is that key",
    ("lake", "key", "Events"): "in the policy of a key the star is that key",
    ("container", "start", "RegistryToken"): "ECR gives its token to an account, not for a repository",
    ("sagemaker", "run", "RegistryToken"): "ECR gives its token to an account, not for a repository",
    ("sagemaker", "run", "NetworkLook"): "EC2's Describe calls take no resource",
    ("orchestration", "this", "ClusterMake"): "RunJobFlow takes no resource; it is bound to a tag",
    ("orchestration", "this", "ClusterFind"): "ListClusters takes no resource",
    ("orchestration", "mwaa", "Account"): "these calls take no resource",
}
DENIED = {"s3:*", "sqs:*"}  # by the only_tls module, to whoever speaks clear text
SOURCES = {"string": "string", "double": "double", "int64": "bigint", "timestamp[us, tz=UTC]": "timestamp"}


def test_no_statement_allows_more_than_it_must() -> None:
    found = {
        (folder.name, name.partition(".")[2], literal(statement.get("sid")))
        for folder in MODULES
        for name, document in named(folder, "data")
        if name.startswith("aws_iam_policy_document.")
        for statement in statements(document)
        if literal(statement.get("effect", "Allow")) == "Allow"
        if "*" in _written(statement, "resources") or any("*" in action for action in _written(statement, "actions"))
    }
    assert found == set(STARS)


def test_no_action_is_written_with_a_star_anywhere() -> None:
    """Also not where a list of actions is handed from one place to another."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in INFRA.rglob("*.tf"))
    found = set(re.findall(r'"([a-z0-9-]+:[A-Za-z]*\*)"', text))
    assert found == DENIED | {"kms:*"}


def test_variables_and_outputs_say_what_they_are() -> None:
    silent = [
        f"{folder.name}: {name}"
        for folder in [*MODULES, INFRA / "envs" / "common", INFRA / "modules" / "only_tls"]
        for kind, wanted in (("variable", {"type", "description"}), ("output", {"description"}))
        for name, body in named(folder, kind)
        if not wanted <= body.keys()
    ]
    assert silent == []


def test_what_is_declared_is_used() -> None:
    unused = [
        f"{folder.name}: {kind}.{name}"
        for folder in [*MODULES, INFRA / "envs" / "dev", INFRA / "envs" / "prod"]
        for text in ["\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.tf")))]
        for kind, names in (("var", dict(named(folder, "variable"))), ("local", _locals(folder)))
        for name in names
        if not re.search(rf"\b{kind}\.{name}\b", text)
    ]
    assert unused == []


def test_descriptions_of_security_groups_are_what_ec2_takes() -> None:
    """EC2 refuses others, and only when the group is made."""
    refused = [
        f"{folder.name}: {name}"
        for folder in MODULES
        for name, body in named(folder, "resource")
        if "security_group" in name
        if not re.fullmatch(
            r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}", re.sub(r"\$\{.*?\}", "x", literal(body["description"]))
        )
    ]
    assert refused == []


def test_programs_know_every_setting_that_they_are_given() -> None:
    known = {f"FORMCAST_{name.upper()}" for name in {**Settings.model_fields, **ServeSettings.model_fields}}
    known |= _settings_in(ROOT / "dags", "*.py")
    given = _settings_in(INFRA, "*.tf")
    assert given - known == set()


def test_the_catalog_has_the_columns_of_predictions() -> None:
    text = (INFRA / "modules" / "reporting" / "main.tf").read_text(encoding="utf-8")
    columns = re.findall(r'\{ name = "(\w+)", type = "(\w+)" \}', text)
    assert columns == [(field.name, SOURCES[str(field.type)]) for field in PREDICTIONS]


@pytest.mark.parametrize("name", ["providers", "variables", "outputs"])
def test_environments_differ_in_main_alone(name: str) -> None:
    common = INFRA / "envs" / "common" / f"{name}.tf"
    assert [(INFRA / "envs" / env / f"{name}.tf").resolve() for env in ("dev", "prod")] == [common, common]


def _written(statement: dict[str, Any], part: str) -> list[str]:
    """What is written out; of an expression, nothing: its parts are written somewhere else."""
    value = literal(statement.get(part, []))
    return value if isinstance(value, list) else []


def _locals(folder: Path) -> set[str]:
    return {
        literal(name)
        for file in folder.glob("*.tf")
        for block in blocks_of(file).get("locals", [])
        for name in block
        if not name.startswith("__")
    }


def _settings_in(folder: Path, pattern: str) -> set[str]:
    files = [file.read_text(encoding="utf-8") for file in folder.rglob(pattern) if ".terraform" not in file.parts]
    return {name for text in files for name in re.findall(r"\bFORMCAST_[A-Z0-9_]*[A-Z0-9]\b", text)}
