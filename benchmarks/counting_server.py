"""An HTTP/2 server on h2 that counts the octets of field blocks, for low volumes.

Octets are those of the field block fragments in HEADERS and CONTINUATION frames, as they arrive:
without frame heads, padding and priority, after HPACK. hyperframe takes the frames apart.
"""

import asyncio
import ssl
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

from loopback import ADDRESS, Authority

__all__ = ["CountingServer", "Counts", "counting_server"]

PREFACE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
FRAME_HEAD: Final = 9
ANSWER_ID: Final = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"


@final
@dataclass(slots=True)
class Counts:
    """What has arrived since `CountingServer.reset`."""

    blocks: list[int] = field(default_factory=list[int])
    """Octets of each request's field block, in the order of arrival."""
    connections: int = 0
    fields: set[str] = field(default_factory=set[str])
    """Names of the request fields."""


@final
class CountingServer:
    """Where it listens and what it has counted."""

    def __init__(self) -> None:
        self.port = 0
        self.counts = Counts()

    def reset(self) -> Counts:
        """Return what was counted, and begin anew."""
        counted, self.counts = self.counts, Counts()
        return counted

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        connection.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1_000
        connection.initiate_connection()
        self.counts.connections += 1
        names: dict[int, list[tuple[bytes, bytes]]] = {}
        unread = bytearray()
        skip = PREFACE
        try:
            writer.write(connection.data_to_send())
            while data := await reader.read(65_536):
                unread += data
                if len(unread) >= skip:
                    del unread[:skip]
                    skip = 0
                    self._count(unread)
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        names[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
                        self.counts.fields.update(bytes(n).decode() for n, _ in event.headers)
                    elif isinstance(event, DataReceived):
                        connection.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                    elif isinstance(event, StreamEnded):
                        sent = dict(names.pop(event.stream_id))
                        answer = [
                            (b":status", b"200"),
                            (b"apns-id", sent.get(b"apns-id", ANSWER_ID)),
                        ]
                        connection.send_headers(event.stream_id, answer, end_stream=True)
                writer.write(connection.data_to_send())
        except (OSError, ProtocolError):
            connection.close_connection(ErrorCodes.PROTOCOL_ERROR)
        finally:
            writer.close()

    def _count(self, unread: bytearray) -> None:
        """Take whole frames off the front of ``unread``."""
        while len(unread) >= FRAME_HEAD:
            frame, length = Frame.parse_frame_header(memoryview(bytes(unread[:FRAME_HEAD])))
            if len(unread) < FRAME_HEAD + length:
                return
            frame.parse_body(memoryview(bytes(unread[FRAME_HEAD : FRAME_HEAD + length])))
            del unread[: FRAME_HEAD + length]
            if isinstance(frame, HeadersFrame):
                self.counts.blocks.append(len(frame.data))
            elif isinstance(frame, ContinuationFrame):
                self.counts.blocks[-1] += len(frame.data)


@contextmanager
def counting_server(authority: Authority) -> Generator[CountingServer]:
    """Run the server in a thread with a loop of its own."""
    server = CountingServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert, authority.key)
    context.set_alpn_protocols(["h2"])
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        listener = await asyncio.start_server(server.serve, ADDRESS, 0, ssl=context, backlog=1_000)
        server.port = listener.sockets[0].getsockname()[1]
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        listener.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    loop, stop = started.result(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
