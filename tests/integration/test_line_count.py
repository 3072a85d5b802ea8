"""What is counted in the bytes is what is read: however lines end, in whatever files, and whatever a header is."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import pytest
from dumps import NewContext, forms, ingest, line, rows

from jobs.edge import ingest as ingest_module
from jobs.edge import line_count
from jobs.edge.ingest import uri_of
from jobs.edge.line_count import count_lines
from jobs.errors import ContractError, FormcastError
from jobs.transforms.layout import WIDE_COLUMNS

pytestmark = pytest.mark.usefixtures("spark")
BOM = b"\xef\xbb\xbf"
LONG = b"".join(b"%d,%d\n" % (i, i * 7919) for i in range(9_999))
CONTENTS = {
    "empty": b"", "lf": b"\n", "lfs": b"\n\n\n", "open": b"a\nb", "closed": b"a\nb\n", "crlf": b"a\r\nb\r\n\r\nc\r\n",
    "cr": b"a\rb", "bom": BOM, "bom lf": BOM + b"\n", "bom a": BOM + b"a", "bom last": b"a\n" + BOM, "long": LONG,
    "one.gz": gzip.compress(b"a\nb"), "members.gz": gzip.compress(b"a\nb") + gzip.compress(b"") + gzip.compress(LONG),
    "bom.gz": gzip.compress(BOM), "upper.CSV.GZ": gzip.compress(b"a\nb\n"), "empty.gz": b"",
    "one.bz2": bz2.compress(b"a\nb\n"), "streams.bz2": bz2.compress(LONG) + bz2.compress(b"a"),
    "_hidden/a [1].csv": b"a\nb\n",
}  # fmt: skip


@pytest.mark.parametrize("size", [7, 4_096, line_count.RANGE_BYTES])
def test_lines_are_those_that_spark_reads_whatever_ranges_are_counted(
    size: int, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_count, "RANGE_BYTES", size)
    monkeypatch.setattr(line_count, "_OPENING_COST", size // 100)
    contents = CONTENTS if size > 4_000 else {name: text for name, text in CONTENTS.items() if len(text) < 1_000}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in contents]

    assert [count_lines(spark, [str(tmp_path / name)]) for name in ("bom", "bom last")] == [0, 2]
    read = spark.read.option("lineSep", "\n").text([uri_of(path) for path in paths]).count()
    assert count_lines(spark, paths) == read


def test_headers_are_counted_wherever_they_are(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    header = ",".join(WIDE_COLUMNS)

    def wide(form_id: str, views: int) -> str:
        return f"{form_id},{views},1," + ",".join(["0.5"] * 47)

    (tmp_path / "in").mkdir()
    first = [header, wide("a", 5), f" {header}\t", "", wide("b", 5), header]
    (tmp_path / "in" / "1.csv").write_bytes(BOM + "\r\n".join(first).encode())
    (tmp_path / "in" / "2.csv.gz").write_bytes(
        gzip.compress(header.encode()) + gzip.compress(f"\n{wide('a', 6)}".encode())
    )
    (tmp_path / "in" / "3.csv").write_text(f"{header}\n")
    (tmp_path / "in" / "4.csv").write_text(f"{line('c', 1, 5)}\n{header}\n")  # packed: a header is no line of it
    (tmp_path / "in" / "5.csv").touch()

    entry = ingest(new_context, tmp_path / "in", max_reject_fraction=1)

    assert {name: entry.counts[name] for name in ("read", "accepted", "rejected", "duplicates")} == {
        "read": 6, "accepted": 3, "rejected": 2, "duplicates": 1
    }  # fmt: skip
    assert forms(lake) == {"a": (6, 1, 0.5), "b": (5, 1, 0.5), "c": (5, 1, 1.0)}
    assert [row["line"] for row in rows(lake, "rejected_forms") if "blank_line" in row["reasons"]] == ["\r"]


def test_a_file_that_is_passed_over_stops_the_run(
    new_context: NewContext, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("1.csv", "2.csv"):
        (tmp_path / "in" / name).write_text("".join(f"{line(f'{name}-{i}', 1, 5)}\n" for i in range(10)))
    read = ingest_module._lines_of_files
    monkeypatch.setattr(ingest_module, "_lines_of_files", lambda spark, paths, *rest: read(spark, paths[:1], *rest))

    with pytest.raises(FormcastError, match=r"Lines in the files \(20\) and lines read and headers \(10\) must be"):
        ingest(new_context, tmp_path / "in")

    assert not list(Path(lake).glob("*forms*/**/*.parquet"))


@pytest.mark.parametrize("name", ["late.csv.gz", "late.csv.bz2"])
def test_a_file_that_is_cut_short_is_named(name: str, new_context: NewContext, lake: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_text(f"{line('a', 1, 5)}\n")
    compress = gzip.compress if name.endswith("gz") else bz2.compress
    text = "".join(f"{line(i * 7919, 1, 5, i / 7)}\n" for i in range(20_000)).encode()
    (tmp_path / "in" / name).write_bytes(compress(text)[:-9])

    with pytest.raises(ContractError, match=f"{name} is damaged or cut short"):
        ingest(new_context, tmp_path / "in")

    assert not list(Path(lake).glob("*forms*/**/*.parquet"))
