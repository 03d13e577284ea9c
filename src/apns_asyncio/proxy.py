"""A connection to APNs through a proxy."""

import asyncio
import socket
from typing import Final

from apns_asyncio.dial import dial
from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed
from apns_core.proxy import Proxy, Tunnel

__all__ = ["open_tunnel"]

_READ_SIZE: Final = 4_096


async def open_tunnel(proxy: Proxy, endpoint: Endpoint, deadline: float) -> socket.socket:
    """Return a socket that is connected to the endpoint by way of a proxy, for TLS to begin on.

    It does not block, and is the caller's to close. ``deadline`` is in seconds of `loop.time`.

    Raises `ConnectFailed` when the proxy cannot be reached, does not answer by the deadline, or
    refuses. The text shows no credentials.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await _open_tunnel(proxy, endpoint)
    except TimeoutError:
        raise ConnectFailed(f"{proxy!r} did not answer in time") from None


async def _open_tunnel(proxy: Proxy, endpoint: Endpoint) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        plain = await dial(proxy.host, proxy.port)
    except OSError as error:
        raise ConnectFailed(f"{proxy!r} cannot be reached: {error}") from error
    try:
        tunnel = Tunnel(proxy, endpoint)
        while not tunnel.established:
            if data := tunnel.data_to_send():
                await loop.sock_sendall(plain, data)
            tunnel.receive_data(await loop.sock_recv(plain, _READ_SIZE))
    except OSError as error:
        plain.close()
        raise ConnectFailed(f"{proxy!r} was lost: {error}") from error
    except BaseException:
        plain.close()
        raise
    return plain
