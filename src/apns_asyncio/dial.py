"""A TCP connection to a host: the name looked up afresh, its addresses raced, nothing left over."""

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Final, TypeAlias

from apns_core.adapters.pump import looking_up
from apns_core.tcp import set_options

__all__ = ["dial"]

_Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]

_ATTEMPT_DELAY: Final = 0.25
"""Seconds until the next address is tried beside the last (RFC 8305 section 5)."""


async def dial(host: str, port: int) -> socket.socket:
    """Return a connected socket. Raises OSError, of all addresses, if there is none to be had.

    Raises ConnectFailed where the name cannot even be looked up.

    `loop.create_connection` races addresses too, but leaves a socket open when it is cancelled at
    the wrong moment (as of Python 3.13).
    """
    loop = asyncio.get_running_loop()
    with looking_up():
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    left = _interleaved([(family, address) for family, _, _, _, address in found])
    attempts: list[asyncio.Task[socket.socket]] = []
    errors: list[OSError] = []
    running: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or running:
            if left:
                attempts.append(loop.create_task(_connect(*left.pop(0))))
                running.add(attempts[-1])
            ended, running = await asyncio.wait(
                running,
                timeout=_ATTEMPT_DELAY if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in ended:
                if (error := attempt.exception()) is None:
                    attempts.remove(attempt)
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
        raise errors[0] if len(errors) == 1 else OSError("; ".join(map(str, errors)))
    finally:
        errors.clear()  # which refer to this frame
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_discard)


async def _connect(family: int, address: _Address) -> socket.socket:
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, address)
        set_options(plain)
    except BaseException:
        plain.close()
        raise
    return plain


def _discard(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _interleaved(addresses: list[tuple[int, _Address]]) -> list[tuple[int, _Address]]:
    """Take the address families in turns (RFC 8305 section 4), the first one first."""
    by_family: dict[int, list[tuple[int, _Address]]] = {}
    for address in addresses:
        by_family.setdefault(address[0], []).append(address)
    return [a for a in chain.from_iterable(zip_longest(*by_family.values())) if a is not None]
