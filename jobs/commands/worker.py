"""`formcast worker`: answers requests from a queue."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Lake
from jobs.commands.programs import become


def worker(
    lake: Lake = None,
    *,
    request_queue: Annotated[str | None, typer.Option(help="URL of the SQS queue of requests.")] = None,
    reply_queue: Annotated[str | None, typer.Option(help="URL of the SQS queue for answers.")] = None,
    reply_topic: Annotated[str | None, typer.Option(help="ARN of the SNS topic for answers, in its place.")] = None,
    dead_letter_queue: Annotated[
        str | None, typer.Option(help="URL of the SQS queue for what has no answer.")
    ] = None,
    max_receives: Annotated[int | None, typer.Option(help="Tries before a message goes there.")] = None,
    threads: Annotated[int | None, typer.Option(help="Batches of ten in hand at once.")] = None,
) -> None:
    """Answer requests from an SQS queue until SIGTERM. See docs/queue.md; other settings come from FORMCAST_*."""
    become(
        "speed.worker",
        lake=lake,
        request_queue=request_queue,
        reply_queue=reply_queue,
        reply_topic=reply_topic,
        dead_letter_queue=dead_letter_queue,
        max_receives=max_receives,
        queue_threads=threads,
    )
