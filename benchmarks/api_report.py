"""API.md: targets beside what was measured, the command that measured it, and what limits it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.api_load import CONNECTIONS, THREADS, Load
from benchmarks.api_results import Results
from benchmarks.api_server import WORKERS
from benchmarks.api_steady import Steady
from benchmarks.report import machine

RESULTS = Path(__file__).with_name("API.md")
_FLAT_MB = 5.0  # what a worker's own memory may differ by from the first fifth of the load to the last
Row = tuple[str, str, str, bool]
"""What, target, measured, and whether that meets it."""


def write_report(results: Results) -> None:
    lines = [*_head(results), *_targets(results), *_full_load(results), *_memory(results)]
    text = "\n".join([*lines, *_limits(results)]) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _head(results: Results) -> list[str]:
    return [
        "# The API under load",
        "",
        f"Made by `{results.command}` {machine('fastapi', 'starlette', 'uvicorn', 'onnxruntime', 'lmdb')}",
        "",
        f"{WORKERS} workers answer from {results.forms:,} forms, with keys and an access log into a file. The load "
        f"is made on the same machine. Full load: wrk, {THREADS} thread, {CONNECTIONS} connections, each sending "
        "its next request when the last one is answered. Steady load: look-ups and live scores in turns, sent when "
        "they are due; a latency counts from then, whatever the request had to wait for.",
        "",
        f"Beforehand {results.busy:.1f} programs of others were at work on the machine (its load average). What they "
        "take of the cores is missing here, above all in the slowest hundredth; the CPU time a request is hardly "
        "changed by them.",
        "",
    ]


def _targets(results: Results) -> list[str]:
    get, predict = results.flows["get"].middle, results.flows["predict"].middle
    calm, swapped, held = results.calm, results.swapped, results.held
    at_swaps = swapped.percentile(99)
    start, rss = median(results.starts), held.peak.rss
    rows: list[Row] = [
        *_rate("`GET /v1/forms/{id}`", get, 8_000),
        *_rate("`POST /v1/predict`", predict, 5_000),
        _below("steady 250/s, p99", calm.percentile(99), 5, "ms"),
        ("steady 250/s, errors", "0", _failures(calm), not calm.failed),
        _below(f"the same during {len(swapped.generations) - 1} swaps of the generation, p99", at_swaps, 20, "ms"),
        ("the same during swaps, errors", "0", _failures(swapped), not swapped.failed),
        *(
            _below(f"a batch of 10,000 vectors as {name}, median", batch.middle_ms, 250, "ms")
            for name, batch in results.batches.items()
        ),
        _below(f"memory of a worker, RSS, over {held.seconds} s of full load", rss, 300, "MB"),
        (
            "growth of its own memory meanwhile",
            f"< {_FLAT_MB:.0f} MB",
            f"{held.grown():.1f} MB",
            held.grown() < _FLAT_MB,
        ),
        _below("cold start to ready, median", start, 3, "s"),
    ]
    table = [f"| {what} | {aim} | {found} | {'met' if met else 'missed'} |" for what, aim, found, met in rows]
    return ["| figure | target | measured | |", "|---|---|---|---|", *table, ""]


def _rate(what: str, found: Load, least: int) -> list[Row]:
    failed = f", {found.failed:,} failed" if found.failed else ""
    good = found.requests_per_second >= least and not found.failed
    rate = f"{found.requests_per_second:,.0f}/s{failed}"
    return [(f"{what}, full load", f">= {least:,}/s", rate, good), _below(f"{what}, p99", found.p99_ms, 15, "ms")]


def _below(what: str, found: float, limit: float, unit: str) -> Row:
    return what, f"< {limit:g} {unit}", f"{found:,.1f} {unit}", found < limit


def _failures(steady: Steady) -> str:
    total = len(steady.latencies_ms) + sum(steady.failed.values())
    kinds = "".join(f", {count} {kind}" for kind, count in steady.failed.items())
    return f"{sum(steady.failed.values())} of {total:,}{kinds}"


def _full_load(results: Results) -> list[str]:
    names = {
        "uvicorn": "uvicorn alone, a constant",
        "starlette": "Starlette, a constant",
        "get": "`GET /v1/forms/{id}`, random ids",
        "predict": "`POST /v1/predict`",
    }
    lines = [
        "| full load, in turns | requests/s | of each round | p50, ms | p99, ms | CPU of the workers a request, us |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for key, name in names.items():
        flow = results.flows[key]
        rounds = ", ".join(f"{rate:,.0f}" for rate in flow.rates)
        middle = flow.middle
        latency = f"{middle.p50_ms:.1f} | {middle.p99_ms:.1f}"
        lines.append(f"| {name} | {middle.requests_per_second:,.0f} | {rounds} | {latency} | {middle.cpu_us:.0f} |")
    calm, swapped = results.calm, results.swapped
    lines += [
        "",
        "| steady 250/s | p50, ms | p99, ms | slowest, ms | sent late, p99, ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, steady in (("one generation", calm), ("generations swapped", swapped)):
        figures = (steady.percentile(50), steady.percentile(99), steady.percentile(100), steady.late_p99_ms)
        lines.append(f"| {name} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")
    lines += ["", "| 10,000 vectors | request, MB | median, ms | slowest, ms |", "|---|---:|---:|---:|"]
    for name, batch in results.batches.items():
        lines.append(f"| {name} | {batch.sent / 1e6:.1f} | {batch.middle_ms:.0f} | {batch.slowest_ms:.0f} |")
    return [*lines, ""]


def _memory(results: Results) -> list[str]:
    held = results.held
    rows = {
        "before": held.before,
        f"most during {held.seconds} s of full load": held.peak,
        "after": held.after,
    }
    lines = ["| memory of a worker, MB | RSS | PSS | its own |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {m.rss:.0f} | {m.pss:.0f} | {m.own:.0f} |" for name, m in rows.items()]
    return [
        *lines,
        "",
        "Of each figure that of the worker that had most. RSS holds the pages of the store's files that a worker "
        "touched, which the system takes back when it needs them; in PSS pages that the workers share are shared "
        "out; its own is without any page of a file. "
        f"{held.flow.requests_per_second * held.seconds:,.0f} requests were answered meanwhile. "
        f"While generations were swapped, a worker's RSS was at most {results.at_swaps:.0f} MB.",
        "",
    ]


def _limits(results: Results) -> list[str]:
    get, predict, ceiling, bare = (
        results.flows[name].middle.requests_per_second for name in ("get", "predict", "starlette", "uvicorn")
    )
    starts = ", ".join(f"{start:.2f}" for start in results.starts)
    return [
        f"What limits: the cores, shared by {WORKERS} workers and wrk. A constant from Starlette comes "
        f"{ceiling:,.0f} times a second and one from uvicorn alone {bare:,.0f} times; a look-up reaches "
        f"{get / ceiling:.0%} of the first, a live score {predict / ceiling:.0%}. A look-up "
        "is then mostly the HTTP server, the key, the counts and the log line; a live score adds reading 47 numbers "
        "and a run of the model.",
        "",
        f"Cold starts took {starts} s; before each, the store's files were put out of the page cache, Python's own "
        "were not. Batches are read and written beside the event loop, two at a time in a worker. The forms are "
        "synthetic and the model is of random trees, as many and as deep as those that win on the shipped sample.",
    ]
