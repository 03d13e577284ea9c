"""A simulated APNs in a process of its own: client and server then share no interpreter lock."""

import json
import ssl
import subprocess
import sys
from dataclasses import asdict
from typing import IO, Any, Self, cast, final

from .config import Rejection, SimulatorConfig
from .ledger import Ledger
from .provisioning import KeyOwner
from .temper import GoAway, Temper

__all__ = ["SimulatorProcess"]

STOP_SECONDS = 10


@final
class SimulatorProcess(KeyOwner):
    """Runs ``python -m apns_simulator --control``. Use it as a context manager, from one thread.

    Without a `config` it trusts one provider key, made for it: ``provider_key``.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        temper: Temper | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_entries: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self.ca_pem = ""
        config = self._own_key(config)
        self._arguments = ["--config", config.to_json(), "--host", host, "--port", str(port)]
        if temper is not None:
            self._arguments += ["--temper", temper.to_json()]
        if not keep_entries:
            self._arguments.append("--count-only")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Return once the server listens.

        Raises:
            OSError: it did not start; what it printed on standard error says why.

        """
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own module
            [sys.executable, "-m", "apns_simulator", "--control", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._output.readline()
        if not line:
            exit_code = self._process.wait(STOP_SECONDS)
            self.close()
            msg = f"the simulator ended with exit code {exit_code}"
            raise OSError(msg)
        ready: dict[str, Any] = json.loads(line)
        self.host, self.port, self.ca_pem = ready["host"], ready["port"], ready["ca_pem"]
        return self

    def close(self) -> None:
        """End the process and wait for it."""
        if self._process is not None:
            self._input.close()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._output.close()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def client_context(self) -> ssl.SSLContext:
        """Return a TLS context for a client of this server: trusts its authority, offers ``h2``."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        context.set_alpn_protocols(["h2"])
        return context

    def ledger(self) -> Ledger:
        """Return a copy of the ledger as it stands."""
        return Ledger.from_json(self._command("ledger"))

    def set_temper(self, temper: Temper) -> None:
        """Change the temper of all connections, open ones and later ones."""
        self._command("temper", temper=asdict(temper))

    def reject(self, prefix: str, rejection: Rejection | str | None) -> None:
        """Reject devices by the beginning of their token from now on.

        `rejection` may be one of Apple's reasons; ``None`` accepts the devices again.
        """
        made = Rejection.of(rejection) if isinstance(rejection, str) else rejection
        self._command("reject", prefix=prefix, rejection=None if made is None else asdict(made))

    def send_goaway(self, goaway: GoAway | None = None) -> None:
        """Write a GOAWAY on each open connection, and leave it open."""
        self._command("goaway", goaway=asdict(goaway or GoAway()))

    def close_connections(self, *, abort: bool = False) -> None:
        """End each open connection, in order or by a TCP reset; go on listening."""
        self._command("close", abort=abort)

    def _command(self, command: str, **members: object) -> str:
        self._input.write(json.dumps({"command": command, **members}) + "\n")
        self._input.flush()
        line = self._output.readline()
        answer = cast("dict[str, Any]", json.loads(line or '{"error": "the simulator has ended"}'))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return line

    @property
    def _input(self) -> IO[str]:
        return self._pipe("stdin")

    @property
    def _output(self) -> IO[str]:
        return self._pipe("stdout")

    def _pipe(self, name: str) -> IO[str]:
        if self._process is None:
            msg = "the simulator is not started"
            raise RuntimeError(msg)
        return cast("IO[str]", getattr(self._process, name))
