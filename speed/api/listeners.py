"""How workers share an address: each listens for itself, and the kernel deals connections out to them."""

from __future__ import annotations

import socket
import sys


class OwnListener(list[socket.socket]):
    """The parent's socket, bound; in a worker, which gets it pickled, one of the worker's own at the same address.

    From one socket for all, whichever worker wakes first takes all connections that come in one moment, and keeps
    them. Elsewhere than on Linux the kernel deals nothing out: there the one socket is shared.
    """

    def __init__(self, bound: socket.socket) -> None:
        super().__init__([bound])
        if sys.platform == "linux":
            # Only now: bound without it, a port that another server has was refused.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def __reduce__(self) -> tuple[object, ...]:
        (bound,) = self
        return (_beside, (bound.family, bound.getsockname())) if sys.platform == "linux" else (list, ([bound],))


def _beside(family: socket.AddressFamily, address: tuple[str, int]) -> list[socket.socket]:
    own = socket.socket(family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(address)
    return [own]
