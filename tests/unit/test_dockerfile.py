"""The image: what it promises about safety, and that what the serving path imports is in it."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINES = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()
STEPS = [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in _LINES if line.strip())]


def test_the_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    bases = [rest.split()[0] for word, rest in STEPS if word == "FROM"]
    assert all(re.fullmatch(r"[\w./-]+(:\d+\.\d+\.\d+-[\w.-]+|@sha256:[0-9a-f]{64})", base) for base in bases), bases
    users = [rest for word, rest in STEPS if word == "USER"]
    assert users and re.fullmatch(
        r"[1-9]\d*:[1-9]\d*", users[-1]
    )  # a number: Kubernetes can check that it is not root
    after = [word for word, _ in STEPS[STEPS.index(("USER", users[-1])) :]]
    assert not {"COPY", "RUN", "ADD"} & set(after)
    assert "ADD" not in dict(STEPS)
    assert not [
        rest for word, rest in STEPS if word in ("ENV", "ARG") and re.search(r"(?i)secret|password|token|key", rest)
    ]
    assert all("--require-hashes" in rest or "--no-index" in rest for word, rest in STEPS if "pip install" in rest)


def test_it_starts_the_api_and_knows_whether_it_is_well() -> None:
    entry, command = (json.loads(dict(STEPS)[word]) for word in ("ENTRYPOINT", "CMD"))
    assert [*entry, *command] == ["python", "-m", "speed", "api"]
    health = json.loads(dict(STEPS)["HEALTHCHECK"].partition("CMD ")[2])
    ast.parse(health[2])
    assert health[:2] == ["python", "-c"] and "/healthz" in health[2]


def test_all_that_the_serving_path_imports_is_locked_for_it_at_the_versions_that_are_tested() -> None:
    locked, tested = (
        set(re.findall(r"(?m)^([a-z0-9._-]+==[^\s;]+)", (ROOT / "requirements" / name).read_text()))
        for name in ("serve.txt", "spark.txt")
    )
    assert locked <= tested
    homes = packages_distributions()
    imported = {home for name in _imported() for home in homes[name]}
    assert {name.lower().replace("_", "-") for name in imported} <= {pin.partition("==")[0] for pin in locked}


def test_the_builder_is_sent_nothing_but_what_is_copied() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {name for word, rest in STEPS if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]}
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_files_that_are_no_python_are_installed_with_the_package() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["speed"]
    installed = {file for pattern in known for file in (ROOT / "speed").glob(pattern)}
    files = {file for file in (ROOT / "speed").rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert files <= installed


def _imported() -> set[str]:
    """Top-level names of other people's packages that anything in speed/ imports, at the top of a file or within."""
    nodes = (node for file in (ROOT / "speed").rglob("*.py") for node in ast.walk(ast.parse(file.read_text())))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"speed"}
