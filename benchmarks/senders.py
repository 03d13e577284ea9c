"""The table of senders that are compared. A new one is a row here and a driver in ``peers``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from environments import Environment, NodePackages, PythonPackages, ThisPython

__all__ = ["SENDERS", "Sender", "ours"]

Kind: TypeAlias = Literal["ours", "peer", "ceiling"]


@final
@dataclass(frozen=True, slots=True)
class Sender:
    """One sender and how to run it."""

    name: str
    label: str
    kind: Kind
    environment: Environment
    driver: str
    """The module or file in ``peers``."""
    arguments: tuple[str, ...] = ()
    pushes: int = 50_000
    """Measured in one round: a second's worth or more, so fewer for a slow one."""
    runs: int = 1
    """How often its driver runs it for one measurement, each on connections of its own."""
    note: str = ""

    @property
    def pinned(self) -> str:
        """The version that its environment asks for; "" where that is not its own to say."""
        match self.environment:
            case PythonPackages((first, *_)) | NodePackages((first, *_)):
                return first.replace("==", "@").rpartition("@")[2]
        return ""


def ours(environment: Environment, form: Literal["pure", "compiled"]) -> Iterator[Sender]:
    """Yield our adapters, for one form of the core."""
    in_form = "" if form == "pure" else ", compiled"
    for driver, loop, flags in (
        ("ours_asyncio", "asyncio", ()),
        ("ours_asyncio", "uvloop", ("--uvloop",)),
        ("ours_trio", "trio", ()),
    ):
        for way, more, note in (
            ("send_many", ("--many",), ""),
            ("send", (), "1,000 tasks"),
        ):
            yield Sender(
                name=f"ours-{form}-{loop}-{way.replace('_', '-')}",
                label=f"apns-core, {loop}, {way}{in_form}",
                kind="ours",
                environment=environment,
                driver=driver,
                arguments=(*flags, *more),
                note=note,
            )


SENDERS: Final[tuple[Sender, ...]] = (
    Sender("h2load", "h2load (nghttp2, C)", "ceiling", ThisPython(), "h2load", runs=2),
    *ours(ThisPython(), "pure"),
    Sender(
        "node-apn",
        "@parse/node-apn",
        "peer",
        NodePackages(("@parse/node-apn@8.1.0",)),
        "node_apn",
        pushes=20_000,
    ),
    Sender(
        "apns2",
        "apns2 (npm)",
        "peer",
        NodePackages(("apns2@12.2.0", "undici@7")),
        "apns2",
        pushes=10_000,
        note="its pool: 32 connections",
    ),
    Sender(
        "aioapns",
        "aioapns",
        "peer",
        PythonPackages(("aioapns==4.0",)),
        "aioapns",
        pushes=5_000,
    ),
    Sender(
        "niquests",
        "niquests, multiplexed",
        "peer",
        PythonPackages(("niquests==3.21.2", "pyjwt[crypto]>=2.8")),
        "niquests",
        pushes=5_000,
        note="batches of 500",
    ),
    Sender(
        "httpx",
        "httpx[http2]",
        "peer",
        PythonPackages(("httpx[http2]==0.28.1", "pyjwt[crypto]>=2.8")),
        "httpx",
        pushes=5_000,
        note="at most 100 in flight",
    ),
    Sender(
        "kalyke-apns",
        "kalyke-apns",
        "peer",
        PythonPackages(("kalyke-apns==1.5.0",)),
        "kalyke",
        pushes=1_000,
        note="a connection for each push",
    ),
)
"""Versions are pinned, so that figures can be taken again."""
