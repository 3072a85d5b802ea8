"""Ways in which lines break in the wild. Each makes a good line one that the input contract refuses."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Fields:
    """The fields of one line, as text."""

    form_id: str
    views: str
    submissions: str
    features: list[str]

    def with_feature(self, index: int, text: str) -> "Fields":
        """The same fields with another text for one feature (0-based)."""
        return replace(self, features=[*self.features[:index], text, *self.features[index + 1 :]])


BREAKS: tuple[tuple[str, Callable[[Fields], Fields]], ...] = (
    ("46 features", lambda f: replace(f, features=f.features[:-1])),
    ("submissions above views", lambda f: replace(f, submissions=str(int(f.views) + 7))),
    ("letters in a feature", lambda f: f.with_feature(20, "three")),
    ("a negative feature", lambda f: f.with_feature(46, "-2.0")),
    ("scientific notation", lambda f: f.with_feature(45, "1.2e-05")),
    ("no id", lambda f: replace(f, form_id="")),
    ("48 features", lambda f: replace(f, features=[*f.features, "0.0"])),
    ("an empty feature", lambda f: f.with_feature(6, "")),
    ("views not a number", lambda f: replace(f, views="n/a")),
    ("negative submissions", lambda f: replace(f, submissions="-1")),
)
N_KINDS = len(BREAKS) + 2  # and a missing field, and a blank line


def broken_line(line: str, packed: bool, turn: int) -> str:
    """A good line made bad, without a line feed. The kinds take turns: `turn` counts the broken lines so far."""
    kind = turn % N_KINDS
    form_id, first, second, rest = line.split(",", 3)
    if kind == len(BREAKS):
        return f"{form_id},{first},{rest}"
    if kind == len(BREAKS) + 1:
        return ""
    separator = "-" if packed else ","
    submissions, views = (first, second) if packed else (second, first)
    fields = BREAKS[kind][1](Fields(form_id, views, submissions, rest.split(separator)))
    counts = (fields.submissions, fields.views) if packed else (fields.views, fields.submissions)
    return ",".join([fields.form_id, *counts, separator.join(fields.features)])
