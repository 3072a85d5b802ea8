"""Where a step runs: one factory, `spark_task`; an engine is an operator that runs a step of Formcast.

To add an engine, write its operator with LocalStep's arguments and name it in ENGINES.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from policy import HOME

NO_RETRY_CAN_HELP = {2, 3, 4}
"""Exit codes of Formcast: called wrongly, the data broke the contract, something needed is missing."""

STOP_SECONDS = 20
HINTS = {-9: "the system may have been out of memory; less for Spark is FORMCAST_DRIVER_MEMORY=2g."}
SENTENCE = "formcast: "


class LocalStep(BaseOperator):
    """Runs `formcast <command>` on this machine, from a list and with its settings in the environment.

    Its output is the task's log. An exit code that no retry can change fails the task at once, with the
    sentence that the command ended on; another one, or a signal, is retried.
    """

    template_fields: Sequence[str] = ("settings",)
    ui_color = "#d9ead3"

    def __init__(self, *, command: list[str], settings: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.settings = settings
        self._child: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> None:
        program = os.environ.get("FORMCAST_BIN") or str(HOME / ".venv" / "bin" / "formcast")
        try:
            code, sentence = self._run([program, *self.command], self._environment(context))
        except FileNotFoundError as error:
            raise AirflowFailException(f"{error.filename} is not there: run `make setup`.") from error
        if code == 0:
            return
        ended = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
        kind = AirflowFailException if code in NO_RETRY_CAN_HELP else AirflowException
        raise kind(f"Step {self.task_id} {ended}: {sentence or HINTS.get(code, 'see the log.')}")

    def on_kill(self) -> None:
        """End the step's whole process group: Python, Spark's JVM and its workers."""
        child = self._child
        if child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_SECONDS)
            os.killpg(child.pid, signal.SIGKILL)

    def _environment(self, context: Any) -> dict[str, str]:
        """This process's environment, less Airflow's own (it holds secrets), and the parameters that were given."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "_AIRFLOW_"))}
        env = inherited | {name: value for name, value in self.settings.items() if value}
        run = context["dag_run"]
        day = (run.logical_date or run.run_after).date().isoformat()
        return env | {"FORMCAST_INPUT": env.get("FORMCAST_INPUT", "").replace("{ds}", day)}

    def _run(self, command: list[str], env: dict[str, str]) -> tuple[int, str]:
        """Exit code (negative: the signal) and the last sentence of Formcast's, its output going to the log."""
        sentence = ""
        # Only what was made inheritable on purpose passes: the lock that `make run` holds on the lake.
        self._child = subprocess.Popen(
            command,
            env=env,
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            close_fds=False,
        )
        try:
            for line in self._child.stdout or ():
                self.log.info("%s", line.rstrip())
                if line.startswith(SENTENCE):
                    sentence = line.removeprefix(SENTENCE).rstrip()
            return self._child.wait(), sentence
        except BaseException:  # also a time-out and Ctrl-C: a step must not outlive its task
            self.on_kill()
            raise


ENGINES: dict[str, Callable[..., BaseOperator]] = {"local": LocalStep}

_GIVEN = (
    "lake",
    "input",
    "columns",
    "layout",
    "mode",
    "data_until",
    "max_reject_fraction",
    "max_row_drop",
    "search_budget",
)


def spark_task(
    step: str, *, minutes: int, engine: str = "local", command: list[str] | None = None, **kwargs: Any
) -> BaseOperator:
    """The task of a step, which may take `minutes`; its settings come from the DAG's parameters.

    command: what `formcast` is called with, `step <step>` unless said. kwargs: as of any operator.
    """
    settings = {f"FORMCAST_{name.upper()}": _template(name) for name in _GIVEN}
    settings["FORMCAST_RUN_ID"] = "{{ params.get('run_id') or run_id }}"
    return ENGINES[engine](
        task_id=step,
        command=command or ["step", step],
        settings=settings,
        execution_timeout=timedelta(minutes=minutes),
        **kwargs,
    )


def _template(name: str) -> str:
    return f"{{{{ '' if params.get('{name}') is none else params.get('{name}') }}}}"
