"""The tasks of a DAG: `spark_task` makes that of a step, `on_cluster` chains them between a cluster's begin and end.

A parameter is known when a run starts, tasks when a file is read. So a DAG has the same tasks whatever the engine,
and an operator asks when it is executed which engine shall run its step (docs/adr/0010).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink, chain
from engines import Engine, load_cluster, load_engine


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


_GIVEN = (
    "engine",
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


def spark_task(step: str, *, minutes: int, command: list[str] | None = None, **kwargs: Any) -> StepOperator:
    """The task of a step, which may take `minutes`; its settings come from the DAG's parameters.

    command: what `formcast` is called with, `step <step>` unless said. kwargs: as of any operator.
    """
    return StepOperator(
        task_id=step, command=command or ["step", step], minutes=minutes, settings=_settings(), **kwargs
    )


def on_cluster(*steps: StepOperator) -> None:
    """Chain the steps of a DAG; before them the cluster begins, after them it ends, whatever became of them."""
    # The lake's pool is for writers: a cluster that waits for a slot of it would only cost.
    common = {"settings": _settings(), "pool": "default_pool", "execution_timeout": timedelta(minutes=30)}
    start = ClusterOperator(
        task_id="start_cluster", begins=True, doc_md="Make the run's cluster, where the engine has one.", **common
    )
    end = ClusterOperator(task_id="end_cluster", begins=False, doc_md="End it, also after a failure.", **common)
    chain(start, *steps, end.as_teardown(setups=start))


def _settings() -> dict[str, str]:
    return {f"FORMCAST_{name.upper()}": _template(name) for name in _GIVEN} | {
        "FORMCAST_RUN_ID": "{{ params.get('run_id') or run_id }}"
    }


def _template(name: str) -> str:
    return f"{{{{ '' if params.get('{name}') is none else params.get('{name}') }}}}"
