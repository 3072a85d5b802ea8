"""The embedded Airflow of one machine: its settings, and a DAG run as a child process.

Standard library only: set-up reads this before any package is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from jobs.errors import MissingError

POOL = "lake_writer"
STOP_SECONDS = 15
FRESH_DATABASE = "fresh.db"
"""In .airflow: the database as set-up left it. A run by `make run` has a copy of its own: one that was killed
would otherwise hold the writer's pool, and be taken up by the scheduler of the next `make airflow`."""


def airflow_environment(root: Path) -> dict[str, str]:
    """The environment of every Airflow process of this checkout: this one's, less settings of other Airflows."""
    home = root / ".airflow"
    settings = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": root / "dags",
        "AIRFLOW__CORE__LOAD_EXAMPLES": False,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": 4,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": home / "logs",
        "FORMCAST_HOME": root,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return inherited | {name: str(value) for name, value in settings.items()}


class DagRun:
    """A run of a DAG by `airflow dags test`: Airflow's own loop on a database of its own, in a child process."""

    def __init__(self, root: Path, log: Path, env: dict[str, str]) -> None:
        self.log = log
        self._root = root
        self._database = log.parent / "airflow.db"
        place = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}"}
        self._env = airflow_environment(root) | place | env
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, dag_id: str, params: dict[str, object], hold: int | None) -> None:
        """Begin; raises MissingError where Airflow is not set up. hold: a descriptor to pass on, if there is one."""
        airflow = self._root / ".venv-airflow" / "bin" / "airflow"
        fresh = self._root / ".airflow" / FRESH_DATABASE
        if not airflow.is_file() or not fresh.is_file():
            raise MissingError("Airflow is not set up: run `make setup`.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh, self._database)
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                [airflow, "dags", "test", dag_id, "--conf", json.dumps(params)],
                env=self._env,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=[hold] if hold is not None else [],
            )

    def ended(self) -> int | None:
        """Airflow's exit code, or None while it works."""
        return self._child.poll() if self._child else None

    def stop(self) -> None:
        """Where it still works, interrupt, so that the task can end its step's processes; then tidy up."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
        for left in self.log.parent.glob(f"{self._database.name}*"):
            left.unlink(missing_ok=True)
