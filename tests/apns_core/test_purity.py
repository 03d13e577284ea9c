"""The engine has no clock, no randomness, no I/O and no loop: by its source, and by running it.

What a module of the standard library imports in its turn is not the engine's doing: direct imports
are judged, names taken from them, and calls. The run catches what the source does not show.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import apns_core

SOURCE: Final = Path(apns_core.__file__).parent
REPOSITORY: Final = Path(__file__).parents[2]

ENTRANCES: Final = ("apns_core", "apns_core.connection", "apns_core.sender")

ALLOWED: Final[dict[str, set[str] | None]] = {
    # Module -> the names that may be taken from it; None for any.
    "__future__": {"annotations"},
    "base64": None,
    "binascii": None,
    "bisect": None,
    "collections": None,
    "collections.abc": None,
    "contextlib": None,
    "dataclasses": None,
    "datetime": {"UTC", "datetime", "timedelta"},
    "enum": None,
    "functools": None,
    "hashlib": {"sha256"},
    "heapq": None,
    "hpack.huffman_constants": None,
    "hpack.table": None,
    "ipaddress": None,
    "itertools": None,
    "json": None,
    "math": None,
    "operator": None,
    "re": None,
    "string": None,
    "struct": None,
    "types": None,
    "typing": None,
    "uuid": {"UUID"},
}

FORBIDDEN_ATTRIBUTES: Final = frozenset(
    # Of datetime, date, UUID and the like: each asks the machine for something.
    ("now", "today", "utcnow", "fromtimestamp", "localtime", "astimezone", "uuid1", "uuid4")
)

FORBIDDEN_BUILTINS: Final = frozenset(
    # hash() of a str differs from run to run, and id() with the allocator's mood.
    ("open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint", "hash", "id")
)


# ── reading source ──


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a module without what stands under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield node
        yield from runtime_nodes(node)


def imports(source: str) -> Iterator[tuple[str, str | None]]:
    """Yield each module that is imported, with the name taken from it if one is."""
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            assert node.module is not None
            for alias in node.names:
                yield node.module, alias.name


def problems(source: str) -> list[str]:
    """Say what in a module's source has no place in the engine."""
    found: list[str] = []
    for module, name in imports(source):
        if module.partition(".")[0] == "apns_core":
            continue
        names = ALLOWED.get(module, set())
        if names is not None and name not in names:
            found.append(f"import of {module}" + (f".{name}" if name else ""))
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_ATTRIBUTES:
            found.append(f"use of .{node.attr}")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in FORBIDDEN_BUILTINS
        ):
            found.append(f"call of {node.func.id}")
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            found.append(type(node).__name__)
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["import of time"]),
        ("import random", ["import of random"]),
        ("from random import Random", ["import of random.Random"]),
        ("import os.path", ["import of os.path"]),
        ("import asyncio, json", ["import of asyncio"]),
        ("from uuid import UUID, uuid4", ["import of uuid.uuid4"]),
        ("import uuid", ["import of uuid"]),
        ("from datetime import datetime\ndatetime.now()", ["use of .now"]),
        ("from datetime import datetime as d\ndef f(): return d.today()", ["use of .today"]),
        ("def f():\n  import socket", ["import of socket"]),
        ("import logging", ["import of logging"]),
        ("import threading", ["import of threading"]),
        ("import ssl", ["import of ssl"]),
        ("import h2.connection", ["import of h2.connection"]),
        ("from hpack import Encoder", ["import of hpack.Encoder"]),
        ("open('x')", ["call of open"]),
        ("print(1)", ["call of print"]),
        ("x = hash('a')", ["call of hash"]),
        ("async def f(): await g()", ["AsyncFunctionDef", "Await"]),
        ("def f():\n  global x\n  x = 1", ["Global"]),
        ("if TYPE_CHECKING:\n  import asyncio\nelse:\n  import time", ["import of time"]),
        ("if typing.TYPE_CHECKING:\n  from random import Random", []),
        ("from hpack.table import HeaderTable", []),
        ("from apns_core.http2 import client", []),
        ("def f(now): return now", []),
    ],
)
def test_problems_are_found(source: str, found: list[str]) -> None:
    assert problems(source) == found


# ── which modules there are, and who imports whom ──


def modules() -> dict[str, Path]:
    """Return all modules of apns_core by name."""
    found: dict[str, Path] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("apns_core", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES: Final = modules()


@cache
def neighbours(module: str) -> frozenset[str]:
    """Return the modules of apns_core that a module imports when it is run."""
    found: set[str] = set()
    for target, name in imports(MODULES[module].read_text("utf-8")):
        if name is not None and f"{target}.{name}" in MODULES:
            found.add(f"{target}.{name}")
        elif target in MODULES:
            found.add(target)
    return frozenset(found)


def reachable(*starts: str) -> set[str]:
    """Return what is imported from there, directly or not."""
    seen: set[str] = set()
    pending = list(starts)
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += neighbours(module)
    return seen


ENGINE: Final = reachable(*ENTRANCES)


def test_the_engine_is_all_there() -> None:
    for name in ("accounting", "connection", "field_blocks", "goaway", "outcomes", "tickets"):
        assert f"apns_core.{name}" in ENGINE
    assert {name for name in MODULES if ".http2." in name} <= ENGINE
    assert "apns_core.trust.provider_token" in ENGINE


@pytest.mark.parametrize("module", sorted(ENGINE))
def test_t11_source_of_the_engine(module: str) -> None:
    assert problems(MODULES[module].read_text("utf-8")) == []


def test_nothing_in_the_engine_reaches_keys_and_sockets() -> None:
    trust = {name for name in MODULES if name.startswith("apns_core.trust.")}
    assert {"apns_core.trust.signing", "apns_core.trust.tls"} < trust
    assert trust & ENGINE == {"apns_core.trust.provider_token"}


def test_http2_knows_nothing_of_apns() -> None:
    inside = {name for name in MODULES if name.startswith("apns_core.http2")}
    assert len(inside) > 5
    assert reachable(*inside) == inside


GROUND: Final = ("errors", "reasons", "goaway", "endpoints", "backoff", "accounting", "outcomes")


def test_the_ground_imports_nothing_that_stands_on_it() -> None:
    ground = {f"apns_core.{name}" for name in GROUND}
    ground |= {name for name in MODULES if name.startswith("apns_core.requests")}
    assert reachable(*ground) <= ground
    trust = {name for name in MODULES if name.startswith("apns_core.trust")}
    assert reachable(*trust) <= ground | trust


def test_a_connection_knows_nothing_of_senders() -> None:
    below = reachable("apns_core.connection")
    assert "apns_core.sender" not in below
    assert "apns_core.retries" not in below


def test_no_circles() -> None:
    for module in MODULES:
        assert module not in reachable(*neighbours(module)), module


def test_adapters_and_simulator_are_not_imported() -> None:
    for module in MODULES.values():
        roots = {target.partition(".")[0] for target, _ in imports(module.read_text("utf-8"))}
        assert not roots & {"apns_asyncio", "apns_trio", "apns_simulator", "apns_cli"}


# ── running it ──

IMPORT_CHECK: Final = """
import sys
before = set(sys.modules)
import apns_core, apns_core.connection, apns_core.sender
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new))
"""

MUST_NOT_COME_ALONG: Final = {
    "asyncio",
    "concurrent",
    "cryptography",
    "h2",
    "hyperframe",
    "jwt",
    "multiprocessing",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "trustme",
    "urllib",
}

DRIVE: Final = """
import builtins, hashlib, os, random, socket, sys, threading, time, uuid
from apns_simulator import Temper
from tests.apns_core.peer import UNREGISTERED, Scene, normals
from tests.apns_core.world import World

def make_world():
    temper = Temper(answer_status=500, answer_reason="InternalServerError", answer_from=400)
    return World(temper=temper)

# Once without wires: what is made on first use is made by now.
make_world().run(0.1)

touched = []

def trip(name):
    def tripped(*args, **kwargs):
        touched.append(name)
        raise AssertionError(f"the engine touched {name}")
    return tripped

def wire(module, *names):
    for name in names:
        setattr(module, name, trip(f"{module.__name__}.{name}"))

armed = False

def audit(event, args):
    # Whatever opens, connects, forks or imports passes here, however it was reached.
    if armed and not event.startswith(("object.", "sys._getframe", "gc.", "cpython.")):
        touched.append(event)

sys.addaudithook(audit)
wire(time, *[name for name in dir(time) if "time" in name or "monotonic" in name or
             "perf_counter" in name or name in ("sleep", "strftime", "tzset")
             if callable(getattr(time, name)) and name != "struct_time"])
wire(random, "random", "randint", "randrange", "choice", "uniform", "shuffle", "seed",
     "getrandbits", "SystemRandom", "_urandom")
wire(os, "urandom", "getrandom", "getpid", "open", "read", "write", "stat", "fork")
wire(uuid, "uuid1", "uuid3", "uuid4", "uuid5")
wire(socket, "socket", "create_connection", "getaddrinfo")
wire(threading, "Thread", "Timer")
real_open, real_print = builtins.open, builtins.print
wire(builtins, "open", "print", "input")
armed = True

digest = hashlib.sha256()

scene = Scene()
scene.open(limit=50)
streams = scene.submit(80)
scene.feed(scene.peer.answer(streams[0], 410, UNREGISTERED))
scene.cancel(5)
scene.advance(12.0)
scene.answer_pings()
scene.feed(scene.peer.reset(streams[1], 7, 5) + scene.peer.settings(limit=5, table=0, window=10))
scene.feed(scene.peer.goaway(streams[20], b"{}"))
scene.advance(100.0)
digest.update(repr(normals(scene.events)).encode())

world = make_world()
world.offer(500)
world.run(400.0)
world.finish()
digest.update(repr(world.trace).encode())

assert touched == [], touched
for wired in (time.monotonic, random.random, uuid.uuid4, socket.socket, os.urandom):
    try:
        wired()
    except AssertionError:
        continue
    raise SystemExit("a wire does not trip")
import colorsys  # A module that nobody has imported: the hook must see it.
assert "import" in touched
armed = False
sys.stdout.write(digest.hexdigest())
"""


def run(script: str, hash_seed: str = "0") -> str:
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{REPOSITORY}:{SOURCE.parent}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert not finished.returncode, finished.stderr
    return finished.stdout


def test_t11_importing_the_engine_brings_no_io_along() -> None:
    new = set(run(IMPORT_CHECK).split())
    assert {"apns_core", "hpack"} <= new
    assert not new & MUST_NOT_COME_ALONG


def test_a_run_touches_nothing_and_is_the_same_each_time() -> None:
    # The order of sets of str and bytes changes with the seed; nothing may hang on it.
    first = run(DRIVE, "1")
    assert len(first) == 64
    assert first == run(DRIVE, "2")
