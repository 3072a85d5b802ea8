"""`python -m speed.worker`: answers requests from SQS until SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

from speed.errors import SpeedError
from speed.live import Live
from speed.settings import ServeSettings, read_settings
from speed.sources import open_sources
from speed.worker.batch import Batches
from speed.worker.dynamodb import DynamoMemory
from speed.worker.heartbeat import Heartbeat
from speed.worker.job import Rules
from speed.worker.log import JsonLines
from speed.worker.memory import LmdbMemory, Memory
from speed.worker.queues import Outlet, RequestQueue, client
from speed.worker.worker import Worker

DAY = 86_400
log = logging.getLogger("formcast.worker")


def main() -> int:
    """Exit codes: 0 stopped in order, 1 cut off or something is missing, 2 a setting is wrong."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("botocore").setLevel(logging.WARNING)
    code = 2
    try:
        settings = _checked(read_settings(ServeSettings))
        code = 1
        return _run(settings)
    except SpeedError as error:
        log.error("%s", error)  # noqa: TRY400  (the sentence says it all)
        return code


def _checked(settings: ServeSettings) -> ServeSettings:
    """Raises SpeedError where a queue is not named."""
    for name in ("request_queue", "dead_letter_queue"):
        if not getattr(settings, name):
            raise SpeedError(f"The setting FORMCAST_{name.upper()} is needed: the URL of an SQS queue.")
    return settings


def _run(settings: ServeSettings) -> int:
    """Work until SIGTERM or SIGINT. Raises SpeedError where what is needed cannot be opened."""
    memory, live = _memory(settings), Live(*open_sources(settings))
    sqs, sns = client("sqs", settings.queue_threads + 2), client("sns", settings.queue_threads)
    queue = RequestQueue(sqs, settings.request_queue, settings.dead_letter_queue, settings.visibility_seconds)
    batches = Batches(queue, Outlet(sqs, sns), memory, live, Rules.of(settings))
    heartbeat = Heartbeat(queue, settings.visibility_seconds / 3)
    worker = Worker(queue, batches, live, heartbeat, settings.retry_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    log.info("Requests are taken from %s.", settings.request_queue)
    finished = worker.run(settings.queue_threads, settings.watch_seconds, settings.stop_seconds)
    if not finished:
        log.warning("Batches in hand were not finished in %g s: their messages come again.", settings.stop_seconds)
        return 1
    log.info("All that was in hand is finished.")
    return 0


def _memory(settings: ServeSettings) -> Memory:
    seconds = settings.answer_days * DAY
    if settings.dynamodb_table:
        return DynamoMemory(settings.dynamodb_table, seconds)
    if "://" in settings.serving:
        raise SpeedError(
            "A lake in S3 has workers on many machines: name a table for answers, FORMCAST_DYNAMODB_TABLE."
        )
    return LmdbMemory(Path(settings.serving), seconds)


if __name__ == "__main__":
    sys.exit(main())
