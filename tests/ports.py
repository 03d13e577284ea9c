"""Ports of loopback that nobody else gets meanwhile."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["held_port"]


@contextmanager
def held_port() -> Generator[int]:
    """Hold a port that nobody listens on: who connects to it is refused.

    One that was only free a moment ago may by now be that of another test's server. Who names the
    port, and allows its reuse as all servers do, can listen on it; the system gives it to nobody.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # On all addresses: also of 127.0.0.2 it is given to nobody.
        holder.bind(("", 0))
        yield int(holder.getsockname()[1])
