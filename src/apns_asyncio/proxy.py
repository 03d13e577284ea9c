"""A connection to APNs through a proxy."""

import asyncio
import socket
from typing import Final

from apns_asyncio.dial import dial
from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed
from apns_core.proxy import ANSWER_MARGIN, Proxy, Tunnel

__all__ = ["open_tunnel"]

_READ_SIZE: Final = 4_096


async def open_tunnel(proxy: Proxy, endpoint: Endpoint, deadline: float) -> socket.socket:
    """Return a socket that is connected to the endpoint by way of a proxy, for TLS to begin on.

    It does not block, and is the caller's to close. ``deadline`` is in seconds of `loop.time`.

    Raises `ConnectFailed` when the proxy cannot be reached, does not answer by the deadline, or
    refuses. The text shows no credentials, and no frame of what is behind it holds any.
    """
    limit = asyncio.timeout_at(deadline - ANSWER_MARGIN)
    try:
        async with limit:
            return await _open_tunnel(proxy, endpoint)
    except (TimeoutError, asyncio.CancelledError):
        # A loop that was held up cancels for the caller's deadline in the same turn.
        if not limit.expired():
            raise
    # Not chained: a frame of the loop's holds what was being sent.
    raise ConnectFailed(f"{proxy!r} did not answer in time")


async def _open_tunnel(proxy: Proxy, endpoint: Endpoint) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        plain = await dial(proxy.host, proxy.port)
    except OSError as error:
        raise ConnectFailed(f"{proxy!r} cannot be reached: {error}") from error
    try:
        tunnel = Tunnel(proxy, endpoint)
        while not tunnel.established:
            # Nothing to send takes no time.
            await loop.sock_sendall(plain, tunnel.data_to_send())
            tunnel.receive_data(await loop.sock_recv(plain, _READ_SIZE))
    except OSError as error:
        plain.close()
        problem = str(error)
    except BaseException:
        plain.close()
        raise
    else:
        return plain
    # Not chained: a frame of the loop's holds what was being sent.
    raise ConnectFailed(f"{proxy!r} was lost: {problem}")
