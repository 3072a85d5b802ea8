"""Where a step runs. An engine is a class that runs a step of Formcast; it is imported when a task needs it.

Each method raises AirflowFailException where no retry can help, and AirflowException where one may.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from airflow.sdk.exceptions import AirflowFailException

NO_RETRY_CAN_HELP = {2, 3, 4}
"""Exit codes of Formcast: called wrongly, the data broke the contract, something needed is missing."""

ENGINES = {
    "local": "engines.local:Local",
    "emr_serverless": "engines.emr_serverless:EmrServerless",
    "emr": "engines.emr:Emr",
}
CLUSTERS = {"emr": "engines.emr_cluster:EmrCluster"}
CLAIMS = {"local": "engines.local:LocalClaims"}
"""Who claims a lake for a run: on AWS, this process itself."""


class Engine(Protocol):
    """What runs a step."""

    def run(self, context: Any) -> None:
        """Run the step to its end, or defer the task."""

    def resume(self, context: Any) -> None:
        """Go on after a deferral: what the task waited for is found as a retry finds it."""

    def stop(self) -> None:
        """End what `run` has started: the task is killed."""


def load_engine(name: str) -> type[Any]:
    """The class of an engine. Raises AirflowFailException for a name that none has."""
    if name not in ENGINES:
        raise AirflowFailException(
            f"There is no engine {name!r}: set the parameter `engine` or FORMCAST_ENGINE to {', '.join(ENGINES)}."
        )
    return _load(ENGINES[name])


def load_cluster(name: str) -> type[Any] | None:
    """What begins and ends the cluster of an engine, or None where it has none. Raises as load_engine does."""
    if name not in CLUSTERS:
        load_engine(name)
        return None
    return _load(CLUSTERS[name])


def load_claims(name: str) -> type[Any]:
    """The class that claims the lake for the runs of an engine. Raises as load_engine does."""
    load_engine(name)
    return _load(CLAIMS.get(name, "engines.claims:S3Claims"))


def _load(place: str) -> type[Any]:
    module, _, kind = place.partition(":")
    return getattr(import_module(module), kind)
