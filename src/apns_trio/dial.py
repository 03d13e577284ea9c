"""A connected socket."""

from typing import cast

import trio

from apns_core.tcp import set_options

__all__ = ["dial"]


async def dial(host: str, port: int) -> trio.SocketStream:
    """Look up the name afresh, and race the addresses. Raises OSError, of all addresses."""
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        cause = cast("ExceptionGroup[OSError] | None", error.__cause__)
        if not isinstance(cause, ExceptionGroup):
            raise
        errors = cause.exceptions
        raise errors[0] if len(errors) == 1 else OSError("; ".join(map(str, errors))) from None
    set_options(stream.socket)
    return stream
