"""The local engine: a step as a process on the machine of Airflow's worker."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from policy import HOME

from engines import NO_RETRY_CAN_HELP
from engines.environment import of_run, pinned, redo_of

STOP_SECONDS = 20
HINTS = {-9: "the system may have been out of memory; less for Spark is FORMCAST_DRIVER_MEMORY=2g."}
SENTENCE = "formcast: "
BUSY = 75
"""Exit code of Formcast: another run has the lake."""


class Local:
    """Runs `formcast <command>` on this machine, from a list and with its settings in the environment.

    Its output is the task's log. An exit code that no retry can change fails the task at once, with the
    sentence that the command ended on; another one, or a signal, is retried.
    """

    def __init__(self, step: Any) -> None:
        self._step = step
        self._child: subprocess.Popen[str] | None = None

    def run(self, context: Any) -> None:
        code, sentence = self.call(self._step.command, context)
        if code == 0:
            return
        ended = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
        kind = AirflowFailException if code in NO_RETRY_CAN_HELP else AirflowException
        raise kind(f"Step {self._step.task_id} {ended}: {sentence or HINTS.get(code, 'see the log.')}")

    def call(self, command: list[str], context: Any) -> tuple[int, str]:
        """Run `formcast <command>`; its exit code (negative: the signal) and the last sentence that it said."""
        program = pinned(context, "FORMCAST_BIN") or str(HOME / ".venv" / "bin" / "formcast")
        try:
            return self._run([program, *command], self._environment(context))
        except FileNotFoundError as error:
            raise AirflowFailException(f"{error.filename} is not there: run `make setup`.") from error

    def resume(self, context: Any) -> None:
        """A task that another engine has deferred goes on here: the parameter was changed in between."""
        self.run(context)

    def stop(self) -> None:
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
        given = {name: value for name, value in self._step.settings.items() if value}
        return of_run(inherited | given, context, redo_of(self._step, context))

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
                self._step.log.info("%s", line.rstrip())
                if line.startswith(SENTENCE):
                    sentence = line.removeprefix(SENTENCE).rstrip()
            return self._child.wait(), sentence
        except BaseException:  # also a time-out and Ctrl-C: a step must not outlive its task
            self.stop()
            raise


class LocalClaims:
    """The claim of a task's run on a lake, by `formcast claim` and `release` on this machine."""

    def __init__(self, task: Any, context: Any) -> None:
        self._engine, self._context = Local(task), context

    def claim(self) -> str:
        """Claim the lake for the run. Returns "", or a sentence that says who has it."""
        code, sentence = self._engine.call(["claim"], self._context)
        if code == BUSY:
            return sentence
        self._check("claimed", code, sentence)
        return ""

    def release(self) -> None:
        self._check("given up", *self._engine.call(["release"], self._context))

    @staticmethod
    def _check(what: str, code: int, sentence: str) -> None:
        if code:
            kind = AirflowFailException if code in NO_RETRY_CAN_HELP else AirflowException
            raise kind(f"The lake cannot be {what}: exit code {code}: {sentence or 'see the log.'}")
