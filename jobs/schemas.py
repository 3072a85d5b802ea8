"""One schema a table. Written as Arrow, which Spark, delta-rs and Parquet all read; every write is checked."""

import pyarrow as pa

from speed.contract import FEATURES

_TIME = pa.timestamp("us", tz="UTC")

FORMS = pa.schema(
    [
        pa.field("form_id", pa.string(), nullable=False),
        pa.field("views", pa.int64(), nullable=False),
        pa.field("submissions", pa.int64(), nullable=False),
        pa.field("completion_rate", pa.float64()),
        *[pa.field(name, pa.float64(), nullable=False) for name in FEATURES],
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("ingested_at", _TIME, nullable=False),
    ]
)

REJECTED_FORMS = pa.schema(
    [
        pa.field("line", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("columns", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("rejected_at", _TIME, nullable=False),
        pa.field("replayed_by", pa.string()),
    ]
)

PREDICTIONS = pa.schema(
    [
        pa.field("form_id", pa.string(), nullable=False),
        pa.field("predicted_rate", pa.float64(), nullable=False),
        pa.field("lower", pa.float64()),
        pa.field("upper", pa.float64()),
        pa.field("completion_rate", pa.float64()),
        pa.field("views", pa.int64(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("scored_at", _TIME, nullable=False),
    ]
)

MODEL_VERSIONS = pa.schema(
    [
        pa.field("version", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("params", pa.string(), nullable=False),
        pa.field("metrics", pa.string(), nullable=False),
        pa.field("data_version", pa.int64(), nullable=False),
        pa.field("artifact_uri", pa.string(), nullable=False),
        pa.field("artifact_sha256", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("created_at", _TIME, nullable=False),
    ]
)

RUN_LEDGER = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("started_at", _TIME, nullable=False),
        pa.field("finished_at", _TIME, nullable=False),
        pa.field("counts", pa.string(), nullable=False),
        pa.field("versions_read", pa.string(), nullable=False),
        pa.field("versions_written", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
        pa.field("engine", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        # Since 0.2: a table of before gets the column with its first new row.
        pa.field("details", pa.string()),
    ]
)

METRICS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("slice", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("at", _TIME, nullable=False),
    ]
)

TABLES = {
    "forms": FORMS,
    "rehearsed_forms": FORMS,
    "rejected_forms": REJECTED_FORMS,
    "predictions": PREDICTIONS,
    "model_versions": MODEL_VERSIONS,
    "run_ledger": RUN_LEDGER,
    "metrics": METRICS,
}
PARTITIONS = {"rejected_forms": ["run_id"]}
