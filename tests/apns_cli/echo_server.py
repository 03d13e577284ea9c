"""A server that quotes in its answers what it was sent: what no output may repeat."""

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

import h2.config
import h2.connection
import h2.events

from tests.apns_cli.raw_server import Connection, RawServer, Script, server_context

__all__ = ["Answer", "EchoServer", "created", "goaway", "ids", "push_type", "reason"]

Answer: TypeAlias = Callable[[h2.connection.H2Connection, int, str], None]
"""Answers a stream with a text."""


def reason(connection: h2.connection.H2Connection, stream: int, text: str) -> None:
    """Reject, for this reason."""
    connection.send_headers(stream, [(":status", "403")])
    connection.send_data(stream, json.dumps({"reason": text}).encode(), end_stream=True)


def ids(connection: h2.connection.H2Connection, stream: int, text: str) -> None:
    """Accept, by these names."""
    names = ("apns-id", "apns-unique-id", "apns-request-id", "apns-channel-id")
    fields = [(":status", "200"), *((name, text) for name in names)]
    connection.send_headers(stream, fields, end_stream=True)


def created(connection: h2.connection.H2Connection, stream: int, text: str) -> None:
    """Make a channel of this name."""
    fields = [(":status", "201"), ("apns-request-id", text), ("apns-channel-id", text)]
    connection.send_headers(stream, fields, end_stream=True)


def push_type(connection: h2.connection.H2Connection, stream: int, text: str) -> None:
    """Say that a channel is of this push type."""
    connection.send_headers(stream, [(":status", "200")])
    body = {"message-storage-policy": 0, "push-type": text}
    connection.send_data(stream, json.dumps(body).encode(), end_stream=True)


def goaway(connection: h2.connection.H2Connection, stream: int, text: str) -> None:
    """Act on nothing, and say this at the end."""
    del stream
    connection.close_connection(additional_data=text.encode(), last_stream_id=0)


class EchoServer(RawServer):
    """Answers with ``template``, in which ``{jwt}`` and ``{device}`` are what it was sent.

    ``secrets`` is all that it was sent of them.
    """

    def __init__(self, answer: Answer, template: str) -> None:
        super().__init__(self._quoting(answer, template), server_context())
        self.secrets: set[str] = set()

    def _quoting(self, answer: Answer, template: str) -> Script:
        def script(server: RawServer, connection: Connection) -> None:
            del server
            engine = h2.connection.H2Connection(
                h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
            )
            engine.initiate_connection()
            connection.sendall(engine.data_to_send())
            requests: dict[int, Mapping[str, str]] = {}
            while data := connection.recv(65_536):
                for event in engine.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        requests[event.stream_id or 0] = {str(n): str(v) for n, v in event.headers}
                    elif isinstance(event, h2.events.StreamEnded):
                        stream = event.stream_id or 0
                        answer(engine, stream, self._quote(requests.pop(stream), template))
                connection.sendall(engine.data_to_send())

        return script

    def _quote(self, request: Mapping[str, str], template: str) -> str:
        jwt = request["authorization"].removeprefix("bearer ")
        device = request[":path"].rpartition("/")[2]
        self.secrets |= {jwt, *jwt.split(".")[1:]}
        if request[":path"].startswith("/3/device/"):
            self.secrets.add(device)
        return template.format(jwt=jwt, device=device, signature=jwt.rpartition(".")[2])
