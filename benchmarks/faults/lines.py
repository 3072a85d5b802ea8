"""Mutated lines of both layouts through prepare: no crash, and books that balance to the line.

    python -m benchmarks.faults.lines --lines 1000000 --seed 1

Every line is a real one with one to four mutations, or none. Lines are counted by this file from the bytes that it
writes; a sample of them is parsed a second time, one at a time, by the slow path that explains refusals.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from jobs.edge.ledger import Ledger
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.sample.write import plan_sample, write_sample
from jobs.settings import Settings
from jobs.steps.prepare import prepare
from jobs.transforms.explain import explain_line
from jobs.transforms.layout import Layout, detect_layout
from jobs.transforms.parse import parse_lines
from speed.reasons import Form

BASES, PARSED_TWICE = 5_000, 20_000
_TOKENS = (
    *(
        b",",
        b"-",
        b"--",
        b"e5",
        b"1e308",
        b"-1",
        b"+1",
        b".",
        b"..",
        b"\r",
        b"\t",
        b" ",
        b"(",
        b")",
        b"()",
        b'"',
        b'""',
    ),
    *(
        b"\x00",
        b"\xff",
        b"\xc3",
        "ü".encode(),
        "٣".encode(),
        "\u2028".encode(),
        b"\xef\xbb\xbf",
        b"nan",
        b"inf",
        b"0x1",
    ),
    *(b"9" * 19, b"9" * 400, b"1_000", b"1.5", b"\x0b", b"\x85", b"form_id", b"'", b";", b"|", b"\\", b"#"),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="formcast-fuzz-") as folder:
        for layout in ("packed", "wide"):
            _check(Path(folder) / layout, layout, asked.lines // 2, asked.seed)


def _check(folder: Path, kind: str, count: int, seed: int) -> None:
    folder.mkdir()
    draw = random.Random(f"{seed}-{kind}")  # noqa: S311
    write_sample(plan_sample(BASES, seed, broken=0.1, duplicates=0.1), kind, folder / "base.csv")  # type: ignore[arg-type]
    base = (folder / "base.csv").read_bytes().split(b"\n")[:-1]
    head = base[:1] if kind == "wide" else []
    layout = detect_layout(b"\n".join(base[:50]), "the sample", "auto", "")
    lines = [_mutated(draw.choice(base[len(head) :]), draw) for _ in range(count)]
    dump = folder / "dump.csv"
    dump.write_bytes(b"\n".join([*head, *lines]) + b"\n")

    settings = Settings(lake=str(folder / "lake"), logs=str(folder / "logs"), input=str(dump), max_reject_fraction=1)
    run_step(prepare, "prepare", "fuzz", settings)

    counts = Ledger(Tables(settings.lake)).entries("fuzz")[-1].counts
    headers = sum(line.strip(b" \t\r\xef\xbb\xbf") == head[0] for line in lines) if head else 0
    written = sum(line.count(b"\n") + 1 for line in lines) - headers
    kept = {name: Tables(settings.lake).version(name).rows for name in ("forms", "rejected_forms")}
    balances = {
        "lines written and read": (written, counts["read"]),
        "read and settled": (counts["read"], counts["accepted"] + counts["rejected"] + counts["duplicates"]),
        "accepted and in forms": (counts["accepted"], kept["forms"]),
        "refused and kept": (counts["rejected"] + counts["duplicates"], kept["rejected_forms"]),
    }
    _parse_twice(lines[:PARSED_TWICE], layout)
    wrong = {name: pair for name, pair in balances.items() if pair[0] != pair[1]}
    became = f"{counts['accepted']:,} accepted, {counts['rejected']:,} refused, {counts['duplicates']:,} duplicates"
    print(f"{kind}: {written:,} lines: {became}; {wrong or 'balanced'}")
    if wrong:
        raise SystemExit(1)


def _parse_twice(lines: list[bytes], layout: Layout) -> None:
    """The fast path and the slow one must agree about every line. Raises SystemExit with the first that differs."""
    parsed = parse_lines(pa.array(lines, pa.binary()), layout)
    accepted = dict(zip(parsed.accepted_at.to_pylist(), parsed.accepted.to_pylist(), strict=True))
    refused = dict(zip(parsed.rejected_at.to_pylist(), parsed.reasons, strict=True))
    for at, line in enumerate(lines):
        told = explain_line(line, layout)
        row = accepted.get(at)
        same = (
            row is not None
            and (row["form_id"], row["views"], row["submissions"]) == told[:3]
            and tuple(list(row.values())[3:]) == told.features
            if isinstance(told, Form)
            else refused.get(at) == told
        )
        if not same:
            raise SystemExit(f"Line {line!r} is {row or refused.get(at)} when parsed, {told} when explained.")


def _mutated(line: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.choice((0, 1, 1, 1, 2, 4))):
        line = draw.choice(_MUTATIONS)(line, draw)
    return line


def _insert(line: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(line) + 1)
    return line[:at] + draw.choice(_TOKENS) + line[at:]


def _overwrite(line: bytes, draw: random.Random) -> bytes:
    at, token = draw.randrange(len(line) + 1), draw.choice(_TOKENS)
    return line[:at] + token + line[at + len(token) :]


def _flip(line: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(line) or 1)
    return line[:at] + bytes([(line[at] if line else 65) ^ 1 << draw.randrange(8)]) + line[at + 1 :]


def _cut(line: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(line) + 1)
    return draw.choice((line[:at], line[at:]))


def _move_field(line: bytes, draw: random.Random) -> bytes:
    fields = line.split(b",")
    fields.insert(draw.randrange(len(fields) + 1), fields[draw.randrange(len(fields))])
    if draw.random() < 0.5:
        del fields[draw.randrange(len(fields))]
    return b",".join(fields)


def _wrap(line: bytes, draw: random.Random) -> bytes:
    left, right = draw.choice(((b"(", b")"), (b" ", b" "), (b"", b"\r"), (b'"', b'"'), (b"\xef\xbb\xbf", b"")))
    return left + line + right


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _insert,
    _overwrite,
    _flip,
    _cut,
    _move_field,
    _wrap,
)

if __name__ == "__main__":
    main()
