"""Whether a dump as a whole keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.errors import ContractError
from jobs.transforms.layout import Layout
from speed.reasons import REASONS


def check_contract(
    counts: Mapping[str, int],
    reasons: Mapping[str, int],
    examples: Sequence[str],
    layouts: Sequence[Layout],
    max_reject_fraction: float,
) -> None:
    """Raise ContractError where so many lines were refused that the dump is not to be trusted.

    counts: read, accepted, rejected, duplicates. reasons: lines by reason code. examples: lines shown to the reader.
    """
    read, rejected = counts.get("read", 0), counts.get("rejected", 0)
    if not read:
        raise ContractError("The input has a header and no line of data: give the newest dump of all forms.")
    if reasons.get("submissions_exceed_views", 0) > read / 2:
        raise ContractError(
            f"Submissions exceed views in {reasons['submissions_exceed_views']:,} of {read:,} lines, so the two "
            f"columns are most likely swapped: {layouts[0].remedy_for_swapped_counts()}. Nothing was written."
        )
    if rejected > max_reject_fraction * read:
        raise ContractError(
            f"{rejected:,} of {read:,} lines ({rejected / read:.1%}) break the contract, and at most "
            f"{max_reject_fraction:.0%} may: {top_reasons(reasons)}. For example: {'; '.join(examples)}. "
            "Nothing was written. Correct the input, or raise max_reject_fraction if these lines may go."
        )
    if not counts.get("accepted", 0):
        raise ContractError("No line of the input is a form: there is nothing to work with. Nothing was written.")


def check_expected(read: int, expected_rows: int | None) -> None:
    """Raise ContractError if the input has other than the expected number of lines of data; None for any number."""
    if expected_rows is not None and read != expected_rows:
        raise ContractError(
            f"The input has {read:,} lines of data, and expected_rows is {expected_rows:,}. Nothing was written. "
            "Give the whole dump, or correct the number (`make run EXPECTED_ROWS=...`)."
        )


def top_reasons(reasons: Mapping[str, int], most: int = 3) -> str:
    """The most frequent reasons in words, with their counts."""
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{REASONS[code]} ({count:,})" for code, count in ranked[:most])
