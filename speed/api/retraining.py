"""Asks Airflow to retrain, over its REST API (v2)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any
from urllib.parse import quote

import httpx

from speed.api import problems
from speed.api.problems import ProblemError, later
from speed.settings import ServeSettings

DAG = "nightly_retrain"
TIMEOUT_SECONDS = 10.0


class Airflow:
    """One worker's access. Every method raises ProblemError (503, with the reason) where Airflow cannot be asked."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(base_url=settings.airflow_url.rstrip("/"), timeout=TIMEOUT_SECONDS)
        self._token = ""

    async def trigger(self, run_id: str) -> str:
        """Start a run, or find the one that was started under this id; answers its state."""
        answer = await self._ask("POST", f"/api/v2/dags/{DAG}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
        if answer.status_code == httpx.codes.CONFLICT and (state := await self.state(run_id)) is not None:
            return state
        return _state_in(answer)

    async def state(self, run_id: str) -> str | None:
        """queued, running, success or failed; None for a run that Airflow does not know."""
        answer = await self._ask("GET", f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id, safe='')}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _state_in(answer)

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        if not self._settings.airflow_url:
            raise ProblemError(problems.NO_AIRFLOW, "FORMCAST_AIRFLOW_URL is not set: this API cannot retrain.")
        try:
            used = self._token or await self._log_in()
            answer = await self._sent(method, path, body, used)
            if answer.status_code == httpx.codes.UNAUTHORIZED:  # a token lives for a day or so
                answer = await self._sent(method, path, body, await self._log_in())
        except httpx.HTTPError as error:
            raise later(
                problems.NO_AIRFLOW, f"Airflow does not answer: {error or type(error).__name__}.", 30
            ) from error
        return answer

    async def _sent(self, method: str, path: str, body: dict[str, Any] | None, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._client.request(method, path, json=body, headers=headers)

    async def _log_in(self) -> str:
        settings = self._settings
        login = {"username": settings.airflow_user, "password": settings.airflow_password.get_secret_value()}
        answer = await self._client.post("/auth/token", json=login)
        try:
            self._token = str(answer.raise_for_status().json()["access_token"])
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            sentence = f"Airflow does not let the user {settings.airflow_user!r} in (status {answer.status_code})."
            raise later(problems.NO_AIRFLOW, sentence, 30) from error
        return self._token


def run_id_for(caller: str, idempotency_key: str | None) -> str:
    """The id of a run: the same for the same key of the same caller, so that Airflow itself refuses a second one."""
    if idempotency_key is None:
        return f"api-{secrets.token_hex(12)}"
    return f"api-{hashlib.sha256(f'{caller}:{idempotency_key}'.encode()).hexdigest()[:24]}"


def _state_in(answer: httpx.Response) -> str:
    try:
        return str(answer.raise_for_status().json()["state"])
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        sentence = f"Airflow answers with the status {answer.status_code} and no run of the DAG {DAG}."
        raise later(problems.NO_AIRFLOW, sentence, 30) from error
