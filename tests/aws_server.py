"""The stand-in for AWS: moto over HTTP. Its conditional writes are atomic, as Amazon's are; it fails when told to.

Every test that needs a server gets it here, in a thread (`aws_server`) or a process of its own (`aws_process`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import IO, Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
FAULTS = "/faults"
_S3_WRITES = ("_bucket_response_post", "_key_response_delete", "_key_response_post", "_key_response_put")
_DYNAMODB_WRITES = ("batch_write_item", "delete_item", "put_item", "transact_write_items", "update_item")
_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


@contextmanager
def aws_server() -> Iterator[str]:
    """The address of a server in a thread of this process: an AWS account without anything in it."""
    server = _new_server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def aws_process(*, python: str | Path = sys.executable, first: str = "", log: IO[str] | None = None) -> Iterator[str]:
    """The address of a server in its own process, which ends with this one. first: code that it runs before.

    delta-rs waits for S3 with Python's lock held, so that a server in the same process could never answer it.
    """
    code = f"{first}\nfrom tests.aws_server import serve\nserve()"
    output = log or subprocess.DEVNULL
    server = subprocess.Popen(
        [python, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        assert address, "the stand-in for AWS did not come up"
        yield address
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()


def serve() -> None:
    """Print the address of a server, and serve until standard input ends."""
    with aws_server() as address:
        print(address, flush=True)
        sys.stdout = sys.stderr  # nobody reads what moto has to say
        sys.stdin.read()


def empty(address: str) -> None:
    """Delete all that the account holds, and let no request fail any more."""
    refuse(address)
    urlopen(Request(f"{address}/moto-api/reset", method="POST"), timeout=60).close()  # noqa: S310 - our own server


def refuse(address: str, status: int = 403, *requests: str) -> None:
    """Answer requests with an error from now on; without patterns, answer all as usual again.

    requests: regular expressions, of which one is found in "METHOD /path?query operation" of those that fail;
    the operation is that of DynamoDB.
    """
    content = json.dumps([{"status": status, "request": pattern} for pattern in requests]).encode()
    urlopen(Request(f"{address}{FAULTS}", content, method="POST"), timeout=60).close()  # noqa: S310 - our own server


def _new_server() -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    write_one_at_a_time()
    app = _Faulty(DomainDispatcherApplication(create_backend_app))
    return make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)


@cache
def write_one_at_a_time() -> None:
    """Let moto decide whether a write's condition holds and write in one go: it looks first and writes later."""
    from moto.dynamodb.responses import DynamoHandler
    from moto.s3.responses import S3Response

    for kind, names in ((S3Response, _S3_WRITES), (DynamoHandler, _DYNAMODB_WRITES)):
        lock = threading.RLock()
        for name in names:
            setattr(kind, name, _alone(getattr(kind, name), lock))


def _alone(method: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    @wraps(method)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return method(*args, **kwargs)

    return locked


class _Faulty:
    """Answers for moto what it was told to refuse."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto, self._faults = moto, list[dict[str, Any]]()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == FAULTS:
            self._faults = json.loads(_body(environ))
            start_response("204 NO CONTENT", [])
            return []
        target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']} {target}"
        for fault in self._faults:
            if re.search(fault["request"], request):
                _body(environ)
                content = _refusal(fault["status"], start_response, as_json=bool(target))
                return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]
        return self._moto(environ, start_response)


def _body(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _refusal(status: int, start_response: Callable[..., Any], *, as_json: bool) -> bytes:
    code = _CODES[status]
    xml = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>Refused.</Message></Error>"
    content = json.dumps({"__type": f"{code}Exception", "message": "Refused."}) if as_json else xml
    kind = "application/x-amz-json-1.0" if as_json else "application/xml"
    start_response(f"{status} {code}", [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return content.encode()
