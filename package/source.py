"""The files that a package is made of: those of a commit, not those that happen to lie in the folder."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from package.errors import PackageError

PARTS = (
    "jobs",
    "speed",
    "package",
    "spark_conf",
    "requirements",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
)
"""What a package is made of. What else a folder holds does not matter to it."""

COMMIT_DIGITS, TREE_DIGITS = 12, 8


@dataclass(frozen=True)
class Source:
    """A tree of git's, and the version that a package of it has."""

    root: Path
    tree: str
    version: str

    def export(self, folder: Path) -> None:
        """Write the files to `folder`."""
        with tempfile.TemporaryFile() as packed:
            subprocess.run(["git", "-C", str(self.root), "archive", self.tree, *PARTS], stdout=packed, check=True)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as tar:
                tar.extractall(folder, filter="data")


def find_source(root: Path, *, dirty: bool) -> Source:
    """What HEAD holds; with `dirty` the folder as it is, under a version that says so.

    Raises PackageError outside a checkout, or where the folder differs from HEAD and `dirty` is not asked for.
    """
    commit = _git(root, "rev-parse", "HEAD")[:COMMIT_DIGITS]
    head, tree = _git(root, "rev-parse", "HEAD^{tree}"), _tree_of_folder(root)
    if tree == head:
        return Source(root, head, commit)
    if not dirty:
        raise PackageError(
            f"The code in {root} differs from its commit {commit}, so a package would not be what its version says: "
            "commit, or try it out with DIRTY=1."
        )
    return Source(root, tree, f"{commit}-dirty-{tree[:TREE_DIGITS]}")


def _tree_of_folder(root: Path) -> str:
    """HEAD with the parts as they are in the folder, new files too; git's own index stays as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        env = os.environ | {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        _git(root, "read-tree", "HEAD", env=env)
        _git(root, "add", "--all", *PARTS, env=env)
        return _git(root, "write-tree", env=env)


def _git(root: Path, *words: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"A package is made from a git checkout, and {root} is none: {done.stderr.strip()}")
    return done.stdout.strip()
