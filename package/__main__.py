"""`python -m package build [--dirty]`, `python -m package deploy BUCKET[/PREFIX] [--dirty]`; see `make help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from package.build import build
from package.deploy import deploy
from package.errors import PackageError

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m package", description="Formcast as EMR runs it.")
    parser.add_argument("--dirty", action="store_true", help="take the folder as it is, not its commit")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build dist/<version>")
    commands.add_parser("deploy", help="build it and upload it").add_argument(
        "place", help="bucket, or bucket/prefix"
    )
    given = parser.parse_args()
    try:
        folder = build(ROOT, dirty=given.dirty)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        print(f"{folder.relative_to(ROOT)}: {size:,.0f} MB")
        if given.command == "deploy":
            print(f"FORMCAST_CODE_URI={deploy(folder, given.place)}")
    except PackageError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
