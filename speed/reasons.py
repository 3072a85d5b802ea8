"""Why a value breaks the contract: the one set of checks for dumps, streams, queues and the API."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from speed.contract import MAX_FORM_ID_BYTES, N_FEATURES

REASONS = {
    "blank_line": "the line is blank",
    "not_utf8": "the line is not UTF-8",
    "wrong_parentheses": "parentheses do not stand as one pair around the line",
    "wrong_field_count": "the line does not have the fields of its layout",
    "form_id_missing": "the form id is empty",
    "form_id_invalid": f"the form id has spaces, quotes or control characters, or over {MAX_FORM_ID_BYTES} bytes",
    "count_missing": "views or submissions is empty",
    "count_negative": "views or submissions is negative",
    "count_not_integer": "views or submissions is not a whole number",
    "count_too_large": "views or submissions does not fit 64 bits",
    "submissions_exceed_views": "submissions exceed views",
    "wrong_feature_count": f"there are not {N_FEATURES} features",
    "feature_missing": "a feature is empty (in packed lines a negative value looks so too)",
    "feature_negative": "a feature is negative",
    "feature_scientific": "a feature is in scientific notation, whose sign cannot be told from the separator",
    "feature_not_finite": "a feature is NaN, infinite, or too large for 64 bits",
    "feature_not_number": "a feature is not a number",
    "superseded_duplicate": "the same form is there with more views, or with as many in newer data",
    "event_invalid": "the event is neither a packed line nor a JSON object with the fields of one",
}
MAX_COUNT = 2**63 - 1

_COUNT = re.compile(r"[0-9]+")
_FEATURE = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_SCIENTIFIC = re.compile(r"[0-9.]+[eE][+-]?[0-9]*")
_BAD_ID = re.compile(r"[\x00-\x20\x7f,()\"']")
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


class Form(NamedTuple):
    """A form that keeps the contract. features: 47 finite numbers >= 0."""

    form_id: str
    views: int
    submissions: int
    features: tuple[float, ...]


def checked_form(
    form_id: str, views: str, submissions: str, features: Sequence[str], *, packed: bool
) -> Form | list[str]:
    """The form that these texts say, or the codes (keys of REASONS) of everything that is wrong with them."""
    reasons = id_reasons(form_id) + count_reasons(views) + count_reasons(submissions)
    if not reasons and int(submissions) > int(views):
        reasons.append("submissions_exceed_views")
    reasons += feature_reasons(features, packed=packed)
    if reasons:
        return list(dict.fromkeys(reasons))
    return Form(form_id, int(views), int(submissions), tuple(float(value) for value in features))


def id_reasons(form_id: str) -> list[str]:
    if not form_id:
        return ["form_id_missing"]
    too_long = len(form_id.encode()) > MAX_FORM_ID_BYTES
    return ["form_id_invalid"] if too_long or _BAD_ID.search(form_id) or not form_id.isprintable() else []


def count_reasons(text: str) -> list[str]:
    if not text:
        return ["count_missing"]
    if _COUNT.fullmatch(text):
        # Python refuses to read integers of thousands of digits; 19 significant ones are all that can fit.
        digits = text.lstrip("0")
        return ["count_too_large"] if len(digits) > 19 or int(digits or "0") > MAX_COUNT else []
    return ["count_negative"] if _COUNT.fullmatch(text.removeprefix("-")) else ["count_not_integer"]


def feature_reasons(texts: Sequence[str], *, packed: bool) -> list[str]:
    reasons = [reason for text in texts if (reason := feature_reason(text))]
    # In packed lines a sign or an exponent's minus splits a value: the count of parts is then off as a result.
    if len(texts) != N_FEATURES and "feature_scientific" not in reasons:
        return ["wrong_feature_count", *reasons] if not packed or "feature_missing" not in reasons else reasons
    return reasons


def feature_reason(text: str) -> str | None:
    text = text.strip(" \t")
    if _FEATURE.fullmatch(text):
        return None if math.isfinite(float(text)) else "feature_not_finite"
    if not text:
        return "feature_missing"
    if text.lstrip("+-").lower() in _NOT_FINITE:
        return "feature_not_finite"
    if _SCIENTIFIC.fullmatch(text):
        return "feature_scientific"
    return "feature_negative" if _FEATURE.fullmatch(text.removeprefix("-")) else "feature_not_number"
