"""Every setting once: name, default, meaning. The environment (`FORMCAST_*`) sets them, flags override."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from speed.settings import LakeSettings

ROOT = Path(__file__).resolve().parent.parent
SPAN = r"^\d+[smh]?$"


class Settings(LakeSettings):
    """The settings of one process. Frozen: a step cannot change what the next one sees."""

    input: str = Field("", description="What to ingest: a file, a folder or a glob.")
    engine: Literal["local", "emr_serverless", "emr"] = Field("local", description="Where Spark runs.")
    layout: Literal["auto", "packed", "wide"] = Field("auto", description="How a line is laid out.")
    columns: str = Field("", description="Order of the columns, such as form_id,views,submissions,features.")
    mode: Literal["full", "increment"] = Field(
        "full", description="full: the input is all forms there are; increment: new and changed ones."
    )
    data_until: AwareDatetime | None = Field(
        None, description="The input knows everything up to this time; without it, when its oldest file was written."
    )
    max_reject_fraction: float = Field(0.05, ge=0, le=1, description="Over this share of bad lines: stop.")
    max_row_drop: float = Field(0.1, ge=0, le=1, description="Over this loss of forms that are live: stop.")
    warn_row_drop: float = Field(0.02, ge=0, le=1, description="From this loss of forms that are live on: warn.")
    expected_rows: int | None = Field(None, ge=1, description="Lines of data that the input must have.")
    allow_older: bool = Field(False, description="Let data older than what is live take its place.")
    publish: bool = Field(
        True, description="False: a rehearsal, which ingests, trains and judges beside the tables; nothing goes live."
    )
    as_of: AwareDatetime | None = Field(
        None, description="The time the run stands for, as in a backfill: its input knows nothing later."
    )
    redo: int = Field(
        0,
        ge=0,
        description="Tries of the task before it was last cleared: what was done before that is done again.",
    )
    claim_wait: str = Field(
        "2h", pattern=SPAN, description="How long a run waits at most for another that has the lake: 0, 90s, 10m, 2h."
    )
    claim_keep: int = Field(
        1800,
        ge=60,
        description="Seconds for which a run without a sign of life keeps the lake between two steps.",
    )
    seed: int = Field(20_190_501, description="Seed of fits and bootstraps.")
    families: str = Field("", description="Model families that compete, comma-separated. Empty: all that ship.")
    objective: Literal["mae", "mse", "deviance"] = Field(
        "mae", description="What models are calibrated for and judged by."
    )
    search_budget: str = Field(
        "0", pattern=SPAN, description="Time to search for parameters: 90, 90s, 10m, 1h; 0 for no search."
    )
    coverage: float = Field(0.9, gt=0, lt=1, description="Share of forms whose rate the intervals hold.")
    fit_fraction: float = Field(0.4, gt=0, le=1, description="Share of training rows that a fit sees.")
    fit_all_below: int = Field(100_000, ge=0, description="Up to this many training rows, fit on all.")
    least_gain: float = Field(
        0.001, ge=0, lt=1, description="Share of the champion's loss by which a model must beat it to take its place."
    )
    stale_after_days: int = Field(
        7, ge=1, description="An older champion is reviewed once in as many days: weaker evidence against it will do."
    )
    keep_generations: int = Field(3, ge=1, description="Serving generations kept, with the live one.")
    dynamodb_writes: int = Field(
        2_000, ge=1, description="Items a second that publish writes to DynamoDB, over all executors."
    )
    dynamodb_reads: int = Field(
        3_000, ge=1, description="Read units (4 KB) a second with which publish compares the DynamoDB table."
    )
    retention_days: int = Field(14, ge=7, description="Days for which tables can be read and restored as they were.")
    rejected_days: int = Field(
        90, ge=1, description="Days for which refused lines are kept; longer while a replay may use them."
    )
    driver_memory: str = Field("4g", description="Heap of Spark's driver.")
    cores: str = Field("*", description="Cores that local Spark uses; * is all.")
    logs: str = Field("logs", description="Folder of logs and of step status files.")
    jars: str = Field(str(ROOT / ".jars"), description="Folder of Spark's jars, filled at set-up.")
    spark_conf: str = Field(str(ROOT / "spark_conf" / "local.conf"), description="File of Spark settings.")

    @property
    def search_seconds(self) -> int:
        return _seconds(self.search_budget)

    @property
    def claim_wait_seconds(self) -> int:
        return _seconds(self.claim_wait)


def _seconds(span: str) -> int:
    """Seconds of a time such as 90, 90s, 10m or 1h."""
    units = {"s": 1, "m": 60, "h": 3600}
    return int(span[:-1]) * units[span[-1]] if span[-1] in units else int(span)
