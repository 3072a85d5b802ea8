"""What a request is answered: what the API answers to the same question, as the JSON text that goes out."""

from __future__ import annotations

import math
import time

import msgspec
import numpy as np

from speed.api.answers import BatchPrediction, FormScore, FormScores, Prediction, Rate
from speed.live import Found, Live
from speed.worker.request import RefusedError, Request

# An SNS message holds 256 KiB, and SQS has long held no more; the attributes take some.
MAX_ANSWER_BYTES = 255 << 10

Body = Prediction | BatchPrediction | FormScore | FormScores


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """answer or error is there; an error says why in one sentence."""

    request_id: str
    answer: Body | None = None
    error: str | None = None


def answer(request: Request, live: Live) -> str:
    """The answer's text. Raises RefusedError where no message can hold it, StoreError where a store fails."""
    found = _predicted(request, live) if request.vectors else _looked_up(request, live)
    if isinstance(found, str):
        return _text(Answer(request.request_id, error=found))
    text = _text(Answer(request.request_id, found))
    if len(text.encode()) > MAX_ANSWER_BYTES:
        sentence = f"The answer would be over {MAX_ANSWER_BYTES >> 10} KiB, which no message holds: ask in parts."
        raise RefusedError(sentence, request.request_id, request.reply_to)
    return text


def refusal(request_id: str, sentence: str) -> str:
    """The answer's text to a request that cannot be answered."""
    return _text(Answer(request_id, error=sentence))


def _predicted(request: Request, live: Live) -> Prediction | BatchPrediction:
    generation = live.now()
    views = [math.nan if seen is None else seen for seen in request.views]
    table = np.stack(generation.scorer.score(request.vectors, views), axis=1).tolist()
    rates = [Rate(rate, *(None if math.isnan(bound) else bound for bound in bounds)) for rate, *bounds in table]
    made = generation.manifest.model_version, generation.manifest.generation
    if request.single:
        return Prediction(rates[0].rate, rates[0].lower, rates[0].upper, *made)
    return BatchPrediction(rates, *made)


def _looked_up(request: Request, live: Live) -> FormScore | FormScores | str:
    """The scores, or a sentence for a single form that is not known."""
    generation, found = live.find_many(list(dict.fromkeys(request.form_ids)))
    now = time.time()
    forms = [_form(one, now) for one in found]
    name = generation.manifest.generation
    if not request.single:
        known = {form.form_id for form in forms}
        return FormScores(forms, [one for one in dict.fromkeys(request.form_ids) if one not in known], name)
    if forms:
        return forms[0]
    return (
        f"Form {request.form_ids[0]!r} is not in generation {name}, and was not streamed since: "
        "its id is wrong, its line was refused, or it is newer than the last dump."
    )


def _form(found: Found, now: float) -> FormScore:
    score, made = found.score, found.entry or found.generation.manifest
    return FormScore(
        form_id=score.form_id,
        rate=score.predicted_rate,
        lower=score.lower,
        upper=score.upper,
        views=score.views,
        completion_rate=score.completion_rate,
        origin=found.origin,
        scored_at=made.scored_at,
        age_seconds=round(now - made.scored_at.timestamp(), 1),
        model_version=made.model_version,
        generation=made.generation,
    )


def _text(message: Answer) -> str:
    return msgspec.json.encode(message).decode()
