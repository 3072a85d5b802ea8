"""The work of prepare in plain DuckDB, in one pass: parse, the same checks, duplicates (most views wins), Parquet."""

from __future__ import annotations

import json
import sys
import time

import duckdb

from speed.contract import COUNT_PATTERN, FEATURE_PATTERN, FEATURES, FORM_ID_PATTERN, N_FEATURES


def main(source: str, target: str) -> None:
    began = time.perf_counter()
    con = duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "temp_directory": f"{target}.tmp"})
    con.execute("SET preserve_insertion_order = false")
    features = f"{FEATURE_PATTERN}(?:-{FEATURE_PATTERN}){{{N_FEATURES - 1}}}"
    pattern = f"{FORM_ID_PATTERN},{COUNT_PATTERN},{COUNT_PATTERN},{features}".replace("'", "''")
    columns = ", ".join(f"parts[{at}]::DOUBLE AS {name}" for at, name in enumerate(FEATURES, 1))
    con.execute(
        f"""
        COPY (
            WITH lines AS (
                SELECT string_split(line, ',') AS fields, regexp_full_match(line, '{pattern}') AS is_clean
                FROM read_csv(?, columns = {{'line': 'VARCHAR'}}, delim = '\x01', header = false, quote = '',
                              escape = '', auto_detect = false, ignore_errors = true, max_line_size = 4000000)
            ), clean AS (
                SELECT fields[1] AS form_id, fields[2]::BIGINT AS submissions, fields[3]::BIGINT AS views,
                       fields[4] AS features
                FROM lines WHERE is_clean
            ), best AS (
                SELECT *, string_split(features, '-') AS parts FROM clean WHERE submissions <= views
                QUALIFY row_number() OVER (PARTITION BY form_id ORDER BY views DESC, submissions DESC) = 1
            )
            SELECT form_id, views, submissions, submissions / nullif(views, 0) AS completion_rate, {columns} FROM best
        ) TO '{target}' (FORMAT parquet)
        """,
        [source],
    )
    seconds = time.perf_counter() - began
    written = con.execute(f"SELECT count(*) FROM '{target}'").fetchall()[0][0]
    print(json.dumps({"work": seconds, "written": written}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
