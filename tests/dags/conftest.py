"""A DagBag over the real DAGs; Airflow's home is a temporary folder, so that no test meets a person's Airflow."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "FORMCAST_"))]:
    del os.environ[name]
# Before Airflow is imported anywhere: it reads its settings then.
HOME = tempfile.TemporaryDirectory(prefix="formcast-airflow-")
os.environ |= {
    "AIRFLOW_HOME": HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
}

import pytest  # noqa: E402
from airflow.dag_processing.dagbag import BundleDagBag  # noqa: E402


@pytest.fixture(scope="session")
def dagbag():
    return BundleDagBag(str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="dags-folder")
