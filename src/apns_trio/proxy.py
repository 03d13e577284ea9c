"""A connection to APNs through a proxy."""

from typing import Final

import trio

from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed
from apns_core.proxy import Proxy, Tunnel
from apns_core.tcp import set_options

__all__ = ["open_tunnel"]

_READ_SIZE: Final = 4_096


async def open_tunnel(proxy: Proxy, endpoint: Endpoint, deadline: float) -> trio.SocketStream:
    """Return a stream that is connected to the endpoint by way of a proxy, for TLS to begin on.

    It is the caller's to close. ``deadline`` is in seconds of `trio.current_time`.

    Raises `ConnectFailed` when the proxy cannot be reached, does not answer by the deadline, or
    refuses. The text shows no credentials.
    """
    try:
        with trio.fail_at(deadline):
            return await _open_tunnel(proxy, endpoint)
    except trio.TooSlowError:
        raise ConnectFailed(f"{proxy!r} did not answer in time") from None


async def _open_tunnel(proxy: Proxy, endpoint: Endpoint) -> trio.SocketStream:
    try:
        stream = await trio.open_tcp_stream(proxy.host, proxy.port)
    except OSError as error:
        raise ConnectFailed(f"{proxy!r} cannot be reached: {error}") from error
    try:
        set_options(stream.socket)
        tunnel = Tunnel(proxy, endpoint)
        while not tunnel.established:
            if data := tunnel.data_to_send():
                await stream.send_all(data)
            tunnel.receive_data(await stream.receive_some(_READ_SIZE))
    except trio.BrokenResourceError as error:
        stream.socket.close()
        raise ConnectFailed(f"{proxy!r} was lost: {error}") from error
    except BaseException:
        stream.socket.close()
        raise
    return stream
