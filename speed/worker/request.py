"""What a message may ask, and the plain sentence for one that asks nothing that can be answered."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from speed.contract import check_features, unpack_features
from speed.errors import VectorError
from speed.reasons import MAX_COUNT, REASONS, id_reasons

Vector = str | list[float]
Views = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]

# What SQS takes as a deduplication id, so that every request id can be one.
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RefusedError(Exception):
    """A message that no try can answer. request_id, reply_to: where it says them, so that its sender hears why."""

    def __init__(self, sentence: str, request_id: str | None = None, reply_to: str | None = None) -> None:
        super().__init__(sentence)
        self.request_id, self.reply_to = request_id, reply_to


class Request(NamedTuple):
    """A request that can be answered: vectors to score, or forms to look up.

    vectors: 47 values each. views: one for each vector, None where not known. single: it asks for one, not a list.
    """

    request_id: str
    reply_to: str | None
    single: bool
    form_ids: list[str]
    vectors: list[list[float]]
    views: list[int | None]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    request_id: str
    features: Vector | None = None
    vectors: list[Vector] | None = None
    form_id: str | None = None
    form_ids: list[str] | None = None
    views: Views | list[Views | None] | None = None
    reply_to: str | None = None


class _Envelope(msgspec.Struct):
    """The part of a message that says who asks; read first, as it may be right where the rest is not."""

    request_id: str | None = None
    reply_to: str | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode
_body = msgspec.json.Decoder(_Body).decode


def read_request(text: str, most: int) -> Request:
    """The request in a message's body, for `most` scores at most. Raises RefusedError, which says why."""
    try:
        envelope = _envelope(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError(f"The message is no JSON object with a request_id: {error}.") from error
    if envelope.request_id is None or _REQUEST_ID.fullmatch(envelope.request_id) is None:
        raise RefusedError("The message needs a request_id of 1 to 128 printable ASCII characters, without spaces.")
    try:
        return _checked(_body(text), most)
    except (msgspec.DecodeError, RecursionError) as error:
        sentence = f"The request cannot be read: {error}."
        raise RefusedError(sentence, envelope.request_id, envelope.reply_to) from error
    except ValueError as error:
        raise RefusedError(str(error), envelope.request_id, envelope.reply_to) from error


def _checked(body: _Body, most: int) -> Request:
    """Raises ValueError where the body can be read and still makes no sense."""
    asked = [body.features, body.vectors, body.form_id, body.form_ids]
    if sum(each is not None for each in asked) != 1:
        raise ValueError("A request has exactly one of features, vectors, form_id and form_ids.")
    single = body.features is not None or body.form_id is not None
    form_ids = [body.form_id] if body.form_id is not None else body.form_ids or []
    vectors = [body.features] if body.features is not None else body.vectors or []
    if not 0 < len(form_ids) + len(vectors) <= most:
        raise ValueError(f"A request asks for 1 to {most:,} scores: this one for {len(form_ids) + len(vectors):,}.")
    for at, form_id in enumerate(form_ids):
        if reasons := id_reasons(form_id):
            raise ValueError(f"Form id {at} (from 0) can be none: {REASONS[reasons[0]]}.")
    views = _views(body, len(vectors))
    values = [_values(vector, "" if single else f"Vector {at} (from 0): ") for at, vector in enumerate(vectors)]
    return Request(body.request_id, body.reply_to, single, form_ids, values, views)


def _views(body: _Body, count: int) -> list[int | None]:
    if body.views is None:
        return [None] * count
    if not count:
        raise ValueError("Views go with features or vectors; a published form has its own.")
    if isinstance(body.views, list) != (body.vectors is not None):
        raise ValueError("The views of features are one number, those of vectors a list.")
    views: list[int | None] = body.views if isinstance(body.views, list) else [body.views]
    if len(views) != count:
        raise ValueError(f"There are {len(views):,} views for {count:,} vectors.")
    return views


def _values(vector: Vector, prefix: str) -> list[float]:
    try:
        if isinstance(vector, str):
            return unpack_features(vector)
        check_features(vector)
    except VectorError as error:
        raise ValueError(f"{prefix}{error}") from error
    return vector
