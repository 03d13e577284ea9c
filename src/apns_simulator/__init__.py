"""A simulated APNs to test senders against: a state machine, and servers around it.

``SimulatorThread`` and ``SimulatorProcess`` run it; ``Simulator`` is the state machine without I/O.
Needs the extra ``apns-core[simulator]``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .client_certificates import ClientCertificate
    from .config import Rejection, SimulatorConfig, TrustedKey
    from .connection import SimulatedConnection
    from .ledger import ConnectionRecord, Ledger, LedgerEntry, Unprocessed
    from .process import SimulatorProcess
    from .provisioning import ProviderKey, make_provider_key
    from .server import SimulatorServer
    from .simulator import Simulator
    from .temper import GRACEFUL_GOAWAY, GoAway, SettingsChange, Temper
    from .threaded import SimulatorThread

__all__ = [
    "GRACEFUL_GOAWAY",
    "ClientCertificate",
    "ConnectionRecord",
    "GoAway",
    "Ledger",
    "LedgerEntry",
    "ProviderKey",
    "Rejection",
    "SettingsChange",
    "SimulatedConnection",
    "Simulator",
    "SimulatorConfig",
    "SimulatorProcess",
    "SimulatorServer",
    "SimulatorThread",
    "Temper",
    "TrustedKey",
    "Unprocessed",
    "make_provider_key",
]

_HOMES: Final = {
    "client_certificates": ("ClientCertificate",),
    "config": ("Rejection", "SimulatorConfig", "TrustedKey"),
    "connection": ("SimulatedConnection",),
    "ledger": ("ConnectionRecord", "Ledger", "LedgerEntry", "Unprocessed"),
    "process": ("SimulatorProcess",),
    "provisioning": ("ProviderKey", "make_provider_key"),
    "server": ("SimulatorServer",),
    "simulator": ("Simulator",),
    "temper": ("GRACEFUL_GOAWAY", "GoAway", "SettingsChange", "Temper"),
    "threaded": ("SimulatorThread",),
}


def __getattr__(name: str) -> object:
    """Import a public name on first use.

    pytest loads the plugin, and with it this file, where h2 and trustme may be absent.
    """
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
