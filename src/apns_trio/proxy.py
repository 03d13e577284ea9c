"""A connection to APNs through a proxy."""

from typing import Final

import trio

from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed
from apns_core.proxy import ANSWER_MARGIN, Proxy, Tunnel
from apns_trio.dial import dial

__all__ = ["open_tunnel"]

_READ_SIZE: Final = 4_096


async def open_tunnel(proxy: Proxy, endpoint: Endpoint, deadline: float) -> trio.SocketStream:
    """Return a stream that is connected to the endpoint by way of a proxy, for TLS to begin on.

    It is the caller's to close. ``deadline`` is in seconds of `trio.current_time`.

    Raises `ConnectFailed` when the proxy cannot be reached, does not answer by the deadline, or
    refuses. The text shows no credentials, and no frame of what is behind it holds any.
    """
    with trio.move_on_at(deadline - ANSWER_MARGIN):
        return await _open_tunnel(proxy, endpoint)
    raise ConnectFailed(f"{proxy!r} did not answer in time")


async def _open_tunnel(proxy: Proxy, endpoint: Endpoint) -> trio.SocketStream:
    try:
        stream = await dial(proxy.host, proxy.port)
    except OSError as error:
        raise ConnectFailed(f"{proxy!r} cannot be reached: {error}") from error
    try:
        tunnel = Tunnel(proxy, endpoint)
        while not tunnel.established:
            await stream.send_all(tunnel.data_to_send())
            tunnel.receive_data(await stream.receive_some(_READ_SIZE))
    except trio.BrokenResourceError as error:
        stream.socket.close()
        problem = str(error)
    except BaseException:
        stream.socket.close()
        raise
    else:
        return stream
    # Not chained: a frame of the stream's holds what was being sent.
    raise ConnectFailed(f"{proxy!r} was lost: {problem}")
