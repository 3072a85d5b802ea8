"""The input contract that every layer shares: feature names, the grammar of a value, packed vectors."""

import math
import re
from collections.abc import Sequence

from speed.errors import VectorError

N_FEATURES = 47
FEATURES: tuple[str, ...] = tuple(f"feat_{i:02d}" for i in range(1, N_FEATURES + 1))

# A LMDB key holds 511 bytes and a partition of DynamoDB 2,048; ids seen in the wild have under 40.
MAX_FORM_ID_BYTES = 256

# Written for RE2 and for Python's re alike. A feature is a non-negative decimal: a sign or an exponent could
# not be told from the "-" that separates packed features.
FORM_ID_PATTERN = rf"[^\x00-\x20\x7f,()\"']{{1,{MAX_FORM_ID_BYTES}}}"
COUNT_PATTERN = r"[0-9]{1,18}"
FEATURE_PATTERN = r"(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"

_PACKED = re.compile(f"{FEATURE_PATTERN}(?:-{FEATURE_PATTERN}){{{N_FEATURES - 1}}}")
_DIGITS = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")


def unpack_features(text: str) -> list[float]:
    """The 47 values of `f1-f2-...-f47`. Raises VectorError, with the position of the first bad value."""
    parts = text.split("-")
    if _PACKED.fullmatch(text) is None:  # the clean majority pays for one expression only
        for position, part in enumerate(parts, 1):
            if _DIGITS.fullmatch(part) is None or not math.isfinite(float(part)):
                shown = f"{part[:40]!r}" if part else "empty (a negative value looks so too)"
                raise VectorError(f"Value {position} is {shown}: it must be a non-negative decimal.", position)
        if len(parts) != N_FEATURES:
            raise VectorError(f"There are {len(parts)} values, and {N_FEATURES} are needed, with '-' between them.")
    return [float(part) for part in parts]


def check_features(values: Sequence[float]) -> None:
    """Raise VectorError where `values` are not 47 finite numbers >= 0, with the position of the first bad one."""
    if len(values) != N_FEATURES:
        raise VectorError(f"There are {len(values)} values, and {N_FEATURES} are needed.")
    if not all(0 <= value < math.inf for value in values):
        position = next(at for at, value in enumerate(values, 1) if not 0 <= value < math.inf)
        raise VectorError(
            f"Value {position} is {values[position - 1]}: it must be a finite number of at least 0.", position
        )
