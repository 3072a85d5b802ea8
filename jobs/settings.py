"""Every setting once: name, default, meaning. The environment (`FORMCAST_*`) sets them, flags override."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from speed.settings import LakeSettings

ROOT = Path(__file__).resolve().parent.parent


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
    max_row_drop: float = Field(0.5, ge=0, le=1, description="Over this loss of forms since last run: stop.")
    seed: int = Field(20_190_501, description="Seed of fits and bootstraps.")
    families: str = Field("", description="Model families that compete, comma-separated. Empty: all that ship.")
    objective: Literal["mae", "mse", "deviance"] = Field(
        "mae", description="What models are calibrated for and judged by."
    )
    search_budget: str = Field(
        "0", pattern=r"^\d+[smh]?$", description="Time to search for parameters: 90, 90s, 10m, 1h; 0 for no search."
    )
    coverage: float = Field(0.9, gt=0, lt=1, description="Share of forms whose rate the intervals hold.")
    fit_fraction: float = Field(0.4, gt=0, le=1, description="Share of training rows that a fit sees.")
    fit_all_below: int = Field(100_000, ge=0, description="Up to this many training rows, fit on all.")
    stale_after_days: int = Field(7, ge=1, description="An older champion yields to a model not worse.")
    keep_generations: int = Field(3, ge=1, description="Serving generations kept, with the live one.")
    dynamodb_writes: int = Field(
        2_000, ge=1, description="Items a second that publish writes to DynamoDB, over all executors."
    )
    dynamodb_reads: int = Field(
        3_000, ge=1, description="Read units (4 KB) a second with which publish compares the DynamoDB table."
    )
    retention_days: int = Field(14, ge=7, description="Days for which tables can be read and restored as they were.")
    driver_memory: str = Field("4g", description="Heap of Spark's driver.")
    cores: str = Field("*", description="Cores that local Spark uses; * is all.")
    logs: str = Field("logs", description="Folder of logs and of step status files.")
    jars: str = Field(str(ROOT / ".jars"), description="Folder of Spark's jars, filled at set-up.")
    spark_conf: str = Field(str(ROOT / "spark_conf" / "local.conf"), description="File of Spark settings.")

    @property
    def search_seconds(self) -> int:
        units = {"s": 1, "m": 60, "h": 3600}
        unit = self.search_budget[-1]
        return int(self.search_budget[:-1]) * units[unit] if unit in units else int(self.search_budget)
