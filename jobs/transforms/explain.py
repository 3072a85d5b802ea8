"""One line at a time: the values of a line, or every reason to refuse it. The slow, whole truth of the contract."""

from __future__ import annotations

from jobs.transforms.layout import BOM, Layout
from speed.contract import FEATURES
from speed.reasons import Form, checked_form


def explain_line(raw: bytes, layout: Layout) -> Form | list[str]:
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
    return checked_form(named["form_id"], named["views"], named["submissions"], texts, packed=layout.is_packed)
