"""A small client of the API: `with Client("https://scores.example", key) as api: api.form("10000044").rate`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from speed.api.answers import BatchPrediction, FormScore, FormScores, ModelAnswer, Prediction, RetrainRun

Vector = str | Sequence[float]
"""`f1-f2-...-f47`, or the 47 numbers."""
Answer = TypeVar("Answer")
_LATER = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


class ApiError(Exception):
    """The API's own sentence. status: of HTTP, 0 where no answer came. problem: the whole problem document."""

    def __init__(self, sentence: str, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.problem = status, dict(problem or {})


class Client:
    """May be shared by threads. Raises ApiError; where the API says "later" (429, 503), it is asked again then."""

    def __init__(self, url: str, key: str = "", *, timeout: float = 10, patience: float = 30) -> None:
        """key: `fc_...`. timeout: seconds for an answer. patience: seconds in all that a call waits for "later"."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._patience = patience

    def predict(self, features: Vector, views: int | None = None) -> Prediction:
        return self._ask(Prediction, "POST", "/v1/predict", json={"features": features, "views": views})

    def predict_many(self, vectors: Sequence[Vector], views: Sequence[int | None] = ()) -> BatchPrediction:
        """One score a vector, in their order. views: none, or one a vector."""
        pairs = zip(vectors, views or [None] * len(vectors), strict=True)
        asked = [{"features": vector, "views": seen} for vector, seen in pairs]
        return self._ask(BatchPrediction, "POST", "/v1/predict/batch", json={"vectors": asked})

    def form(self, form_id: str, *, explain: bool = False, features: bool = False) -> FormScore:
        """Raises ApiError of status 404 for an unknown form."""
        params = {"explain": explain, "features": features}
        return self._ask(FormScore, "GET", f"/v1/forms/{quote(form_id, safe='')}", params=params)

    def lookup(self, form_ids: Sequence[str]) -> FormScores:
        return self._ask(FormScores, "POST", "/v1/forms:lookup", json={"form_ids": list(form_ids)})

    def model(self) -> ModelAnswer:
        return self._ask(ModelAnswer, "GET", "/v1/model")

    def retrain(self, idempotency_key: str = "") -> RetrainRun:
        """Start a retraining; the same key starts one run, however often it is sent."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._ask(RetrainRun, "POST", "/v1/retrain", headers=headers)

    def retraining(self, run_id: str) -> RetrainRun:
        """How far a retraining is."""
        return self._ask(RetrainRun, "GET", f"/v1/retrain/{quote(run_id, safe='')}")

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _ask(self, kind: type[Answer], method: str, path: str, **request: Any) -> Answer:
        end = time.monotonic() + self._patience
        while True:
            try:
                answer = self._http.request(method, path, **request)
                if answer.is_success:
                    return msgspec.json.decode(answer.content, type=kind)
            except (httpx.HTTPError, msgspec.DecodeError) as error:
                raise ApiError(f"{self._http.base_url} gives no answer: {error or type(error).__name__}.") from error
            wait = answer.headers.get("Retry-After", "")
            if answer.status_code not in _LATER or not wait.isdecimal() or time.monotonic() + int(wait) > end:
                raise _problem(answer)
            time.sleep(int(wait))


def _problem(answer: httpx.Response) -> ApiError:
    try:
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:  # something on the way answered, not the API
        problem = {}
    sentence = problem.get("detail") or f"{answer.url} answers with status {answer.status_code}."
    return ApiError(str(sentence), answer.status_code, problem)
