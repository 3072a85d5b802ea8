"""Events: what streams, queues and Lambdas are told of new and changed forms, one payload a form.

A payload is a line of the contract, `form_id,submissions,views,f1-f2-...-f47`, or a JSON object with `form_id`,
`views`, `submissions`, `features` (packed text or 47 numbers) and, where the sender has them, `event_id` and
`observed_at` (RFC 3339).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from speed.generations import Generation
from speed.reasons import Form, checked_form
from speed.stores.records import Entry, pack_features

MAX_EVENT_ID_BYTES = 256
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(NamedTuple):
    """What one payload said. observed_at: when it was true, in UTC."""

    form: Form
    event_id: str
    observed_at: datetime


class _InvalidError(Exception):
    """The payload is neither of the two shapes of an event."""


def read_event(payload: bytes, event_id: str, received_at: datetime) -> Event | list[str]:
    """The event that a payload is, or the codes (keys of REASONS) of everything that is wrong with it.

    event_id, received_at: the transport's, for a payload that does not name its own. A sender whose clock is ahead is
    not believed: nothing was observed after it was received.
    """
    try:
        text = payload.decode("utf-8").strip(" \t\r\n\ufeff")
    except UnicodeDecodeError:
        return ["not_utf8"]
    if not text:
        return ["blank_line"]
    if not text.startswith("{"):
        form = _read_line(text)
        return Event(form, event_id, received_at) if isinstance(form, Form) else form
    try:
        fields = _read_object(text)
        own_id, observed_at = _own_id(fields) or event_id, _own_time(fields) or received_at
        form = _form_of(fields)
    except (_InvalidError, UnicodeEncodeError):  # half a surrogate pair is no text
        return ["event_invalid"]
    return Event(form, own_id, min(observed_at, received_at)) if isinstance(form, Form) else form


def entries_of(events: Sequence[Event], generation: Generation, scored_at: datetime) -> list[Entry]:
    """The events' forms as entries of a realtime store, scored in one batch by the generation's model."""
    if not events:
        return []
    rows = np.array([event.form.features for event in events])
    views = np.array([event.form.views for event in events], np.float64)
    scored = generation.scorer.score(rows, views)
    manifest = generation.manifest
    return [
        Entry(
            form_id=form.form_id,
            event_id=event_id,
            observed_at=observed_at,
            scored_at=scored_at,
            predicted_rate=rate,
            lower=None if math.isnan(lower) else lower,
            upper=None if math.isnan(upper) else upper,
            completion_rate=form.submissions / form.views if form.views else None,
            views=form.views,
            model_version=manifest.model_version,
            generation=manifest.generation,
            features=features,
        )
        for (form, event_id, observed_at), rate, lower, upper, features in zip(
            events, *(values.tolist() for values in scored), pack_features(rows), strict=True
        )
    ]


def _read_line(text: str) -> Form | list[str]:
    if "(" in text or ")" in text:
        if not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")") == 1):
            return ["wrong_parentheses"]
        text = text[1:-1]
    fields = [field.strip(" \t") for field in text.split(",")]
    if len(fields) != 4:
        return ["wrong_field_count"]
    form_id, submissions, views, features = fields
    return checked_form(form_id, views, submissions, features.split("-"), packed=True)


def _read_object(text: str) -> dict[str, Any]:
    """The object's fields, numbers as the texts that they are, for the one set of checks."""
    try:
        fields = json.loads(text, parse_int=str, parse_float=_plain, parse_constant=str)
    except (ValueError, RecursionError):
        raise _InvalidError from None
    if not isinstance(fields, dict):
        raise _InvalidError
    return fields


def _plain(number: str) -> str:
    """A number's text without an exponent, which JSON allows and the contract's text does not."""
    value = float(number) + 0.0  # some senders write -0.0
    return np.format_float_positional(value, trim="-") if math.isfinite(value) else str(value)


def _form_of(fields: dict[str, Any]) -> Form | list[str]:
    form_id, features = fields.get("form_id"), fields.get("features")
    if not isinstance(form_id, str | None) or not isinstance(features, str | list | None):
        raise _InvalidError
    texts = features.split("-") if isinstance(features, str) else [_text(value) for value in features or []]
    views, submissions = _text(fields.get("views")), _text(fields.get("submissions"))
    return checked_form(_text(form_id), views, submissions, texts, packed=isinstance(features, str))


def _text(value: Any) -> str:
    """A field as text. What is neither text nor a number fails the checks of both."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else repr(value)


def _own_id(fields: dict[str, Any]) -> str | None:
    own = fields.get("event_id")
    if own is None:
        return None
    if not isinstance(own, str) or not 0 < len(own.encode()) <= MAX_EVENT_ID_BYTES:
        raise _InvalidError
    return own


def _own_time(fields: dict[str, Any]) -> datetime | None:
    own = fields.get("observed_at")
    try:
        return msgspec.convert(own, _Time).astimezone(UTC) if own is not None else None
    except (msgspec.ValidationError, OverflowError):
        raise _InvalidError from None
