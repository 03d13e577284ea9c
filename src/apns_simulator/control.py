"""How one process steers a simulator in another: by JSON lines, one answer a command."""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from .config import Rejection
from .server import SimulatorServer
from .simulator import Simulator
from .temper import GoAway, Temper

__all__ = ["serve_control"]


async def serve_control(server: SimulatorServer) -> None:
    """Print where the server listens, then obey the lines on standard input until it ends."""
    ready = {"host": server.host, "port": server.port, "ca_pem": server.ca_pem}
    _print(json.dumps(ready))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _print(server.run(partial(_obey, line)))


def _obey(line: str, simulator: Simulator, _now: float) -> str:
    try:
        command = cast("dict[str, Any]", json.loads(line))
        return _COMMANDS[command["command"]](simulator, command)
    # AttributeError: of a member that is another kind of value. RecursionError: endless nesting.
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def _ledger(simulator: Simulator, _: dict[str, Any]) -> str:
    return simulator.ledger.to_json()


def _temper(simulator: Simulator, command: dict[str, Any]) -> str:
    simulator.temper = Temper.from_json(json.dumps(command["temper"]))
    return "{}"


def _reject(simulator: Simulator, command: dict[str, Any]) -> str:
    rejection = command["rejection"]
    simulator.reject(command["prefix"], None if rejection is None else Rejection(**rejection))
    return "{}"


def _goaway(simulator: Simulator, command: dict[str, Any]) -> str:
    for connection in list(simulator.live):
        connection.send_goaway(GoAway(**command["goaway"]))
    return "{}"


def _close(simulator: Simulator, command: dict[str, Any]) -> str:
    for connection in list(simulator.live):
        (connection.abort if command["abort"] else connection.close)()
    return "{}"


_COMMANDS: Final[dict[str, Callable[[Simulator, dict[str, Any]], str]]] = {
    "ledger": _ledger,
    "temper": _temper,
    "reject": _reject,
    "goaway": _goaway,
    "close": _close,
}


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
