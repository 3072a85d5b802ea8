"""How large a job is made: one rule, from the bytes of the input.

A task takes 64 MB of text, about 320,000 forms, which parse in some seconds; an executor has four cores and is worth
starting for four rounds of tasks, so one for each GB. No job has fewer than two tasks a core, so that a slow one
leaves the others busy; none has more executors than FORMCAST_EMR_MAX_EXECUTORS.

| forms | text    | tasks | executors |
|-------|---------|-------|-----------|
| 1 M   | 0.2 GB  | 8     | 1         |
| 10 M  | 2.0 GB  | 31    | 2         |
| 100 M | 20.3 GB | 303   | 19        |

Later steps of a run read what was ingested, and are sized alike. Joins and sorts split further or come together by
themselves while they run (adaptive execution); this is where they start from.
"""

from __future__ import annotations

from math import ceil

TASK_BYTES = 64 * 1024**2
CORES = 4
ROUNDS = 4
TASKS_PER_CORE = 2
UNPACKED = {".gz": 4, ".bz2": 5}
"""How many bytes of text a byte of a compressed dump holds, about."""


def text_bytes(key: str, size: int) -> int:
    """Bytes of text in a file of `size` bytes."""
    return size * next((factor for ending, factor in UNPACKED.items() if key.endswith(ending)), 1)


def executors_for(input_bytes: int, most: int) -> int:
    """Executors of four cores for so many bytes of text; 1 to `most`."""
    return max(1, min(most, ceil(input_bytes / (TASK_BYTES * CORES * ROUNDS))))


def spark_sizes(input_bytes: int, most: int) -> dict[str, str]:
    """Spark's properties for so many bytes of text, with `most` executors."""
    executors = executors_for(input_bytes, most)
    tasks = max(CORES * TASKS_PER_CORE * executors, ceil(input_bytes / TASK_BYTES))
    return {
        "spark.dynamicAllocation.initialExecutors": str(executors),
        "spark.dynamicAllocation.maxExecutors": str(executors),
        # Known from the start, while executors still come up: how many parts a fit is spread over.
        "spark.default.parallelism": str(executors * CORES),
        "spark.sql.shuffle.partitions": str(tasks),
    }
