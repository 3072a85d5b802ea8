"""Which score of a form counts: last night's or a streamed one. One rule for readers, writers and pruning.

The newest data wins. Counters only grow, so data with more views is newer whatever any clock says; with as many
views, the time decides: an event's own, and for a generation the time up to which its dump knows everything.
"""

from __future__ import annotations

from datetime import datetime

from speed.stores.records import Entry, Score


def is_newer(entry: Entry, than: Entry | None) -> bool:
    """Whether `entry` takes the place of the entry that is stored. The same event twice does not."""
    return than is None or (entry.views, entry.observed_at) > (than.views, than.observed_at)


def is_live(entry: Entry, score: Score | None, data_until: datetime) -> bool:
    """Whether a streamed entry counts beside a generation's score of its form.

    score: of the generation, None where it does not know the form. data_until: the generation's cut-off; a form that
    a whole dump does not know, and that was last heard of before it, is gone.
    """
    if score is None:
        return entry.observed_at > data_until
    return entry.views > score.views or (entry.views == score.views and entry.observed_at > data_until)
