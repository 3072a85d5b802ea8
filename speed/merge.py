"""Which data of a form counts where two meet. One rule for dumps, increments, replays, streams and their readers.

The newest data wins. Counters only grow, so data with more views is newer whatever any clock says. At as many views,
the later time decides. It is
- of an event, its own; of a generation, the time up to which its dump knows everything (the functions below);
- of lines of one ingest, when their file was last written (`jobs/edge/ingest_tasks.py`);
- of rows of two ingests, when their runs began; a replayed line is of the run that refused it (`jobs/edge/forms.py`).
At the same time, more submissions win, and within one ingest then the smallest line: so nothing depends on how lines
are spread over files. An entry of a stream that says no more than the stored one changes nothing.
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
