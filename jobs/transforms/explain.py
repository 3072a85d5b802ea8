"""One line at a time: the values of a line, or every reason to refuse it. The slow, whole truth of the contract."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from jobs.transforms.layout import BOM, Layout
from speed.contract import FEATURES, MAX_FORM_ID_BYTES, N_FEATURES

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
    "superseded_duplicate": "the same form is there with more views",
}
MAX_COUNT = 2**63 - 1

_COUNT = re.compile(r"[0-9]+")
_FEATURE = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_SCIENTIFIC = re.compile(r"[0-9.]+[eE][+-]?[0-9]*")
_BAD_ID = re.compile(r"[\x00-\x20\x7f,()\"']")
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


@dataclass(frozen=True)
class ParsedLine:
    """A line that keeps the contract. features: 47 finite numbers >= 0."""

    form_id: str
    views: int
    submissions: int
    features: tuple[float, ...]


def explain_line(raw: bytes, layout: Layout) -> ParsedLine | list[str]:
    """What a line says, or the codes (keys of REASONS) of everything that is wrong with it."""
    try:
        text = raw.removeprefix(BOM).decode("utf-8").strip(" \t\r")
    except UnicodeDecodeError:
        return ["not_utf8"]
    if not text:
        return ["blank_line"]
    if ("(" in text or ")" in text) and layout.is_packed:
        if not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")") == 1):
            return ["wrong_parentheses"]
        text = text[1:-1]
    fields = [field.strip(" \t") for field in text.split(",")]
    if len(fields) != len(layout.columns):
        return ["wrong_field_count"]
    named = dict(zip(layout.columns, fields, strict=True))
    texts = named["features"].split("-") if layout.is_packed else [named[name] for name in FEATURES]
    reasons = _id_reasons(named["form_id"])
    for name in ("views", "submissions"):
        reasons += _count_reasons(named[name])
    if not reasons and int(named["submissions"]) > int(named["views"]):
        reasons.append("submissions_exceed_views")
    reasons += _feature_reasons(texts, packed=layout.is_packed)
    if reasons:
        return list(dict.fromkeys(reasons))
    counts = int(named["views"]), int(named["submissions"])
    return ParsedLine(named["form_id"], *counts, tuple(float(value) for value in texts))


def _id_reasons(form_id: str) -> list[str]:
    if not form_id:
        return ["form_id_missing"]
    too_long = len(form_id.encode()) > MAX_FORM_ID_BYTES
    return ["form_id_invalid"] if too_long or _BAD_ID.search(form_id) or not form_id.isprintable() else []


def _count_reasons(text: str) -> list[str]:
    if not text:
        return ["count_missing"]
    if _COUNT.fullmatch(text):
        # Python refuses to read integers of thousands of digits; 19 significant ones are all that can fit.
        digits = text.lstrip("0")
        return ["count_too_large"] if len(digits) > 19 or int(digits or "0") > MAX_COUNT else []
    return ["count_negative"] if _COUNT.fullmatch(text.removeprefix("-")) else ["count_not_integer"]


def _feature_reasons(texts: list[str], *, packed: bool) -> list[str]:
    reasons = [reason for text in texts if (reason := _feature_reason(text))]
    # In packed lines a sign or an exponent's minus splits a value: the count of parts is then off as a result.
    if len(texts) != N_FEATURES and "feature_scientific" not in reasons:
        return ["wrong_feature_count", *reasons] if not packed or "feature_missing" not in reasons else reasons
    return reasons


def _feature_reason(text: str) -> str | None:
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
