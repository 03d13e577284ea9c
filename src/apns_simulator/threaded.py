"""A simulated APNs in a background thread: for tests without a loop, or with one of their own."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self, TypeVar, final

from .client_certificates import ClientCertificate
from .config import Rejection, SimulatorConfig
from .ledger import Ledger
from .provisioning import KeyOwner
from .server import SimulatorServer
from .simulator import Simulator
from .temper import GoAway, Temper

__all__ = ["SimulatorThread"]

T = TypeVar("T")

START_SECONDS = 30


@final
class SimulatorThread(KeyOwner):
    """A server with a thread and an event loop of its own. Use it as a context manager.

    Without a `config` it trusts one provider key, made for it: ``provider_key``. All methods may be
    called from any thread.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        temper: Temper | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        keep_entries: bool = True,
    ) -> None:
        config = self._own_key(config)
        self._server = SimulatorServer(
            config, temper=temper, host=host, port=port, tls=tls, keep_entries=keep_entries
        )
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="apns_simulator", daemon=True)

    def start(self) -> Self:
        """Return once the server listens. Raises what ``SimulatorServer.start`` raises."""
        self._thread.start()
        self._started.result(START_SECONDS)
        return self

    def close(self) -> None:
        """Stop the server and wait for its thread."""
        if self._thread.is_alive():
            self._started.result().call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._server.host

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def ca_pem(self) -> str:
        """The certificate authority to trust, as PEM text."""
        return self._server.ca_pem

    def client_context(self) -> ssl.SSLContext:
        """Return a TLS context for a client of this server: trusts its authority, offers ``h2``."""
        return self._server.authority.client_context()

    def issue_client_certificate(self, certificate: ClientCertificate) -> str:
        """Return a client certificate of the server's authority and its key, as PEM text."""
        return self._server.authority.issue_client_certificate(certificate)

    def ledger(self) -> Ledger:
        """Return a copy of the ledger as it stands."""
        return self.run(lambda simulator, _now: simulator.ledger.copy())

    def set_temper(self, temper: Temper) -> None:
        """Change the temper of all connections, open ones and later ones."""

        def change(simulator: Simulator, _now: float) -> None:
            simulator.temper = temper

        self.run(change)

    def reject(self, prefix: str, rejection: Rejection | str | None) -> None:
        """Reject devices by the beginning of their token from now on.

        `rejection` may be one of Apple's reasons; ``None`` accepts the devices again.
        """
        made = Rejection.of(rejection) if isinstance(rejection, str) else rejection
        self.run(lambda simulator, _now: simulator.reject(prefix, made))

    def send_goaway(self, goaway: GoAway | None = None) -> None:
        """Write a GOAWAY on each open connection, and leave it open."""

        def send(simulator: Simulator, _now: float) -> None:
            for connection in list(simulator.live):
                connection.send_goaway(goaway)

        self.run(send)

    def close_connections(self, *, abort: bool = False) -> None:
        """End each open connection, in order or by a TCP reset; go on listening."""

        def end(simulator: Simulator, _now: float) -> None:
            for connection in list(simulator.live):
                (connection.abort if abort else connection.close)()

        self.run(end)

    def run(self, action: Callable[[Simulator, float], T]) -> T:
        """Call `action` in the server's thread with the simulator and the time."""

        async def call() -> T:
            return self._server.run(action)

        loop = self._started.result()
        return asyncio.run_coroutine_threadsafe(call(), loop).result(START_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        try:
            await self._server.start()
        except (OSError, ValueError) as error:
            self._started.set_exception(error)
            return
        self._started.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        await self._server.close()
