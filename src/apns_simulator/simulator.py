"""What the connections of one simulated APNs share: devices, keys, the temper and the ledger."""

from base64 import b64encode
from random import Random
from typing import Final, final
from uuid import UUID

from .channels import Channels
from .client_certificates import ClientCertificate
from .config import Rejection, SimulatorConfig
from .connection import SimulatedConnection
from .ledger import Ledger
from .provider_tokens import load_public_keys
from .temper import Temper

__all__ = ["Simulator"]

NO_TEMPER: Final = Temper()


@final
class Simulator:
    """A simulated APNs without I/O: ``accept`` a connection, then feed it bytes.

    ``unix_time`` (seconds) is the wall-clock time at ``now`` (monotonic seconds); from then on only
    ``now`` counts, so that tests may turn the clock. ``rng`` draws the ``apns-id`` of requests that
    bring none, ``apns-unique-id`` and channel ids.

    Raises:
        ValueError: on construction, for a trusted key that cannot be read.

    """

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        unix_time: float,
        now: float,
        rng: Random,
        temper: Temper | None = None,
        keep_entries: bool = True,
    ) -> None:
        self.config = config
        self.temper = temper or Temper()
        """May be exchanged at any time; connections look at it as they go."""

        self.ledger = Ledger(keep_entries=keep_entries)
        self.public_keys = load_public_keys(config.trusted_keys)
        self.channels = Channels(config.channels, limit=config.max_channels)
        self.live: set[SimulatedConnection] = set()
        """The connections that are not closed."""

        self._started_at = unix_time
        self._offset = unix_time - now
        self._rng = rng
        self._rejections: dict[int, dict[str, Rejection]] = {}
        for prefix, rejection in config.rejections.items():
            self.reject(prefix, rejection)

    def accept(
        self, now: float, certificate: ClientCertificate | None = None
    ) -> SimulatedConnection:
        """Begin a connection. Its SETTINGS are ready in ``data_to_send``.

        ``certificate`` is the client's; it counts with ``authentication="certificate"`` only.
        """
        return SimulatedConnection(self, now, certificate)

    def reject(self, prefix: str, rejection: Rejection | None) -> None:
        """Reject devices whose token begins with `prefix`; ``None`` accepts them again.

        The longest matching prefix decides.
        """
        prefix = prefix.lower()
        of_this_length = self._rejections.setdefault(len(prefix), {})
        if rejection is None:
            of_this_length.pop(prefix, None)
        else:
            of_this_length[prefix] = rejection
        if not of_this_length:
            del self._rejections[len(prefix)]
        self._rejections = dict(sorted(self._rejections.items(), reverse=True))

    def rejection_of(self, device_token: str) -> Rejection | None:
        """Return how a device is rejected, or ``None``."""
        for length, by_prefix in self._rejections.items():
            if rejection := by_prefix.get(device_token[:length]):
                return rejection
        return None

    def temper_of(self, connection: int) -> Temper:
        """Return the temper that the connection of that number has by now."""
        first = self.temper.first_connections
        return self.temper if first is None or connection <= first else NO_TEMPER

    def unix_time(self, now: float) -> float:
        """Return the wall-clock time of `now`, in UNIX seconds."""
        return now + self._offset

    @property
    def started_at_ms(self) -> int:
        """When the simulator was started, in milliseconds since the epoch."""
        return int(self._started_at * 1000)

    def make_uuid(self) -> bytes:
        """Draw a random UUID in its canonical form."""
        return str(UUID(int=self._rng.getrandbits(128), version=4)).encode()

    def make_channel_id(self) -> str:
        """Draw the id of a channel. Apple's have no documented length."""
        return b64encode(self._rng.randbytes(16)).decode()
