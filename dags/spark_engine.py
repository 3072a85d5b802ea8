"""The tasks of a DAG: `spark_task` makes that of a step, `on_lake` chains them while their run has lake and cluster.

A parameter is known when a run starts, tasks when a file is read. So a DAG has the same tasks whatever the engine,
and an operator asks when it is executed which engine shall run its step (docs/adr/0010).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, BaseOperatorLink, chain
from airflow.sdk.exceptions import AirflowFailException
from engines import Engine, load_claims, load_cluster, load_engine
from engines.environment import CLAIM_TASK, PINNED

LOOK, LOOK_ON_AWS = timedelta(seconds=5), timedelta(seconds=30)
"""How often a run that waits asks for the lake."""


class LogsLink(BaseOperatorLink):
    """A button of a task on AWS: where the logs of its job are."""

    name = "Logs on AWS"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return operator.log_url


class _EngineOperator(BaseOperator):
    """What runs on the engine that the run's parameter, else the worker's environment, names."""

    template_fields: Sequence[str] = ("settings",)
    operator_extra_links = (LogsLink(),)

    def __init__(self, *, settings: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.log_url = ""

    @property
    def engine(self) -> str:
        return self.settings.get("FORMCAST_ENGINE") or os.environ.get("FORMCAST_ENGINE") or "local"

    def tell_logs(self, context: Any, url: str) -> None:
        """Show `url` as the task's link, from now on: also while it waits for what it has started."""
        self.log_url = url
        self.log.info("Logs: %s", url)
        context["ti"].xcom_push(key=LogsLink().xcom_key, value=url)


class StepOperator(_EngineOperator):
    """One step of Formcast: `formcast <command>`, which may take `minutes`."""

    ui_color = "#d9ead3"

    def __init__(self, *, command: list[str], minutes: int, **kwargs: Any) -> None:
        super().__init__(execution_timeout=timedelta(minutes=minutes), **kwargs)
        self.command = command
        self.minutes = minutes
        self._engine: Engine | None = None

    def execute(self, context: Any, event: Any = None) -> None:
        self._engine = load_engine(self.engine)(self)
        self._engine.run(context)

    def resume(self, context: Any, event: Any = None) -> None:
        self._engine = load_engine(self.engine)(self)
        self._engine.resume(context)

    def on_kill(self) -> None:
        if self._engine is not None:
            self._engine.stop()


class ClusterOperator(_EngineOperator):
    """Begins or ends the cluster of a run, on engines that have one; on the others it does nothing."""

    ui_color = "#fff2cc"

    def __init__(self, *, begins: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.begins = begins

    def execute(self, context: Any, event: Any = None) -> None:
        cluster = load_cluster(self.engine)
        if cluster is None:
            self.log.info("The engine %s has no cluster of its own.", self.engine)
        elif self.begins:
            cluster(self).start(context)
        else:
            cluster(self).end(context)

    def resume(self, context: Any, event: Any = None) -> None:
        load_cluster(self.engine)(self).resume(context)


class ClaimOperator(_EngineOperator):
    """Claims the lake for a run, so that no other run writes meanwhile, or gives it up.

    While another run has it, the task waits without a worker's slot, for FORMCAST_CLAIM_WAIT at most.
    """

    ui_color = "#cfe2f3"

    def __init__(self, *, claims: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claims = claims

    def execute(self, context: Any, event: Any = None, since: str = "") -> None:
        claims = load_claims(self.engine)(self, context)
        if not self.claims:
            claims.release()
            return
        for name in PINNED:
            context["ti"].xcom_push(key=name, value=os.environ.get(name, ""))
        if busy := claims.claim():
            self._wait(busy, since or datetime.now(UTC).isoformat())

    def _wait(self, busy: str, since: str) -> None:
        limit = os.environ.get("FORMCAST_CLAIM_WAIT") or "2h"
        left = datetime.fromisoformat(since) + span(limit) - datetime.now(UTC)
        if left <= timedelta():
            raise AirflowFailException(f"{busy} This run has waited for {limit} (FORMCAST_CLAIM_WAIT).")
        self.log.info("%s Waiting for %s at most.", busy, limit)
        pause = min(left, LOOK if self.engine == "local" else LOOK_ON_AWS)
        self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute", kwargs={"since": since})


def span(text: str) -> timedelta:
    """A time such as 90, 90s, 10m or 2h. Raises AirflowFailException for another text."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None:
        raise AirflowFailException(f"FORMCAST_CLAIM_WAIT cannot be {text!r}: give a time such as 90s, 10m or 2h.")
    return timedelta(seconds=int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]])


_GIVEN = (
    "engine",
    "lake",
    "input",
    "columns",
    "layout",
    "mode",
    "data_until",
    "allow_older",
    "publish",
    "max_reject_fraction",
    "max_row_drop",
    "warn_row_drop",
    "expected_rows",
    "search_budget",
)


def spark_task(step: str, *, minutes: int, command: list[str] | None = None, **kwargs: Any) -> StepOperator:
    """The task of a step, which may take `minutes`; its settings come from the DAG's parameters.

    command: what `formcast` is called with, `step <step>` unless said. kwargs: as of any operator.
    """
    return StepOperator(
        task_id=step, command=command or ["step", step], minutes=minutes, settings=_settings(), **kwargs
    )


def on_lake(*steps: StepOperator) -> None:
    """Chain the steps of a DAG: their run claims the lake before them and gives it up after them, and has a cluster
    meanwhile, whatever became of them.
    """
    # The lake's pool is for writers: a cluster that waits for a slot of it would only cost.
    common = {"settings": _settings(), "pool": "default_pool", "execution_timeout": timedelta(minutes=30)}
    claim = ClaimOperator(
        task_id=CLAIM_TASK, claims=True, doc_md="Wait until no other run writes in the lake; keep it.", **common
    )
    release = ClaimOperator(
        task_id="release_lake", claims=False, doc_md="Give the lake up, also after a failure.", **common
    )
    start = ClusterOperator(
        task_id="start_cluster", begins=True, doc_md="Make the run's cluster, where the engine has one.", **common
    )
    end = ClusterOperator(task_id="end_cluster", begins=False, doc_md="End it, also after a failure.", **common)
    chain(claim, start, *steps, end.as_teardown(setups=start), release.as_teardown(setups=claim))


def _settings() -> dict[str, str]:
    return {f"FORMCAST_{name.upper()}": _template(name) for name in _GIVEN} | {
        "FORMCAST_RUN_ID": "{{ params.get('run_id') or run_id }}"
    }


def _template(name: str) -> str:
    return f"{{{{ '' if params.get('{name}') is none else params.get('{name}') }}}}"
