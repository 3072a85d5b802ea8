"""One request on its way, and where it is from."""

from __future__ import annotations

import time
from ipaddress import ip_address

from starlette.types import Message, Scope, Send

CLIENT_GONE = 499  # nobody gets this answer; the log tells it apart, as nginx does


class Call:
    """A request: what was answered is noted as it is sent, under its id."""

    __slots__ = ("_send", "began", "problem", "request_id", "scope", "size", "started", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        self.began = time.perf_counter()
        self.request_id, self.problem = "", ""
        self.status, self.size, self.started = CLIENT_GONE, 0, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            message["headers"].append((b"x-request-id", self.request_id.encode()))
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def is_loopback(host: str) -> bool:
    """Whether only this machine can be behind an address or a name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def peer(scope: Scope) -> str:
    """The address that the request is from; empty where there is none."""
    client = scope.get("client")
    return client[0] if client else ""
