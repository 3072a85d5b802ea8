"""The input contract that every layer shares: feature names and the grammar of a value."""

N_FEATURES = 47
FEATURES: tuple[str, ...] = tuple(f"feat_{i:02d}" for i in range(1, N_FEATURES + 1))

# A LMDB key holds 511 bytes and a partition of DynamoDB 2,048; ids seen in the wild have under 40.
MAX_FORM_ID_BYTES = 256

# Written for RE2 and for Python's re alike. A feature is a non-negative decimal: a sign or an exponent could
# not be told from the "-" that separates packed features.
FORM_ID_PATTERN = rf"[^\x00-\x20\x7f,()\"']{{1,{MAX_FORM_ID_BYTES}}}"
COUNT_PATTERN = r"[0-9]{1,18}"
FEATURE_PATTERN = r"(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"
