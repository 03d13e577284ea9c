"""A blocking client of h2 and ssl, for tests over real sockets."""

import socket
import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event, RemoteSettingsChanged, ResponseReceived

from apns_simulator import ProviderKey
from tests.apns_simulator.raw_client import Fields, fields

TIMEOUT = 10.0


class Server(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    def client_context(self) -> ssl.SSLContext: ...


class H2Client:
    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._h2 = H2Connection(H2Configuration(header_encoding=None))
        self._h2.initiate_connection()
        self._token: str | None = None
        self.wait_for(RemoteSettingsChanged)

    def request(self, key: ProviderKey, device: str = "ab") -> int:
        """Send a request and return its status."""
        self.send(key, device)
        response = self.wait_for(ResponseReceived)
        assert isinstance(response, ResponseReceived)
        return int(dict(response.headers)[b":status"])

    def send(self, key: ProviderKey, device: str = "ab") -> None:
        """Send a request and do not wait."""
        # Signed once: each signature makes another token, and that is a change of token.
        self._token = self._token or key.sign(int(time.time()))
        request: Fields = fields(device, token=self._token)
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, request)
        self._h2.send_data(stream_id, b"{}", end_stream=True)
        self._socket.sendall(self._h2.data_to_send())

    def wait_for(self, kind: type[Event]) -> Event:
        """Read until an event of that kind comes."""
        while True:
            self._socket.sendall(self._h2.data_to_send())
            data = self._socket.recv(65_536)
            if not data:
                raise EOFError
            for event in self._h2.receive_data(data):
                if isinstance(event, kind):
                    return event

    def wait_for_goaway(self) -> ConnectionTerminated:
        event = self.wait_for(ConnectionTerminated)
        assert isinstance(event, ConnectionTerminated)
        return event

    def wait_for_end(self) -> None:
        """Read until the server ends the connection."""
        while self._socket.recv(65_536):
            pass


@contextmanager
def connected(server: Server, *, tls: bool = True) -> Generator[H2Client]:
    with socket.create_connection((server.host, server.port), timeout=TIMEOUT) as plain:
        if not tls:
            yield H2Client(plain)
            return
        context = server.client_context()
        with context.wrap_socket(
            plain, server_hostname=server.host, suppress_ragged_eofs=False
        ) as secure:
            assert secure.selected_alpn_protocol() == "h2"
            yield H2Client(secure)
