"""Makes the page docs/performance.md from results; every figure on it comes from one of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from comparison import table

__all__ = ["page"]

Results: TypeAlias = Mapping[str, Any]
"""What the files in ``benchmarks/results`` hold, by their names without ``.json``."""

HEAD: Final = """\
# Performance

Made by `python benchmarks/report.py` from the files in `benchmarks/results`; not written by hand.
`make bench` takes all figures anew; each section names the script that took its own.

Times drift with the machine and with what else runs on it. Within a table, all rows come from one
run whose parts took turns, so ratios in a table mean more than its figures, and figures from two
tables are not to be compared. CPU time is that of the client's process, user and system.
"""


def page(results: Results) -> str:
    """Return the page. A result that is missing is said to be missing."""
    parts = [HEAD]
    for title, name, script, section in SECTIONS:
        parts.append(f"## {title}\n")
        if name in results:
            parts.append("\n".join(section(results[name])) + "\n")
        else:
            parts.append(f"Not measured yet: `python benchmarks/{script}`.\n")
    return "\n".join(parts)


def beside_others(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on compare.py."""
    settings = result["settings"]
    yield from taken("compare.py", result["provenance"])
    yield ""
    yield from paragraphs(
        f"One connection over TLS 1.3 to {settings['server']} in a process of its own on the same "
        f"machine, {settings['in_flight']} requests in flight, a payload of "
        f"{settings['payload']} octets, {settings['devices']:,} device tokens in turn. Each sender "
        f"is a process of its own, used as its documentation shows, and pushes "
        f"{settings['warm_up']:,} times "
        f"before it is measured. Medians of {settings['rounds']} rounds in which all take turns; "
        "× h2load is the median of the ratios within the rounds.",
        "*h2load* is the load generator of nghttp2: what a client costs that repeats one request "
        "and looks at nothing. Ours take a payload that is encoded once, as h2load, httpx and "
        "niquests do here; the others encode a dictionary for each push, because that is what "
        "they offer (node-apn once for all). *Connections* are counted by the server.",
        "*Header octets* are those of a request's field block in the steady state, after HPACK, "
        "counted in the HEADERS and CONTINUATION frames that arrive at a server of our own with a "
        f"table of 4,096 octets: the mean of {settings['counted']:,} pushes after "
        f"{settings['counted_warm_up']:,} others, {settings['counted_in_flight']} in flight. Not "
        "all send the same fields: some add an `apns-id`, an expiration or a `user-agent`.",
    )
    yield ""
    yield from table(result)
    yield ""
    yield "![CPU a push, by sender, on a logarithmic scale](performance.svg)"
    if not any("compiled" in one["name"] for one in result["senders"]):
        yield ""
        yield "The compiled core was not measured in this run."


def engine_alone(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on core.py."""
    yield from taken("core.py", result["provenance"])
    yield ""
    yield from paragraphs(
        "No sockets and no TLS: a notification is made, submitted and encoded (*send*), its answer "
        "is read and its outcome taken (*receive*). h2 and jh2, with their defaults, are given the "
        "same fields and payload, and the same octets of answers; all events of theirs are taken, "
        "and nothing is done with them. Medians of pyperf, in µs of CPU a notification; ± is one "
        "standard deviation. With one in flight, each includes a reading of the clock.",
    )
    yield ""
    rows = [("", row) for row in result["parts"]]
    if result["compiled"]:
        rows += [(", compiled", row) for row in result["compiled"]["parts"]]
    by_key = {
        (row["engine"] + form, row["in_flight"], row["part"]): (row["us"], row["deviation"])
        for form, row in rows
    }
    engines = list(dict.fromkeys(engine for engine, _, _ in by_key))
    counts = list(dict.fromkeys(count for _, count, _ in by_key))
    yield "| in flight | engine | send | receive | round trip | × ours |"
    yield "|---|---|---|---|---|---|"
    for count in counts:
        for engine in engines:
            cells = [
                "{:,.1f} ± {:,.1f}".format(*by_key[engine, count, part])
                for part in ("send", "receive", "round trip")
            ]
            ratio = (
                by_key[engine, count, "round trip"][0] / by_key["engine", count, "round trip"][0]
            )
            name = {"engine": "ours", "engine, compiled": "ours, compiled"}.get(engine, engine)
            yield f"| {count:,} | {name} | " + " | ".join(cells) + f" | {ratio:.2f} |"
    if not result["compiled"]:
        yield ""
        yield "The compiled engine was not measured in this run."


def growth(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on core.py --growth."""
    found = result["growth"]
    yield from taken("core.py --growth", result["provenance"])
    yield ""
    yield from paragraphs(
        f"{found['notifications']:,} round trips on one connection, {found['in_flight']} in "
        f"flight. The first {found['part']:,} took {found['first_us']:.2f} µs each, the last as "
        f"many {found['last_us']:.2f} µs: a ratio of {found['last_to_first']:.2f}. The machine "
        "drifts in the minutes between. So that connection was also compared with a new one, the "
        f"two taking turns: {found['old_us']:.2f} µs to {found['new_us']:.2f} µs, a ratio of "
        f"{found['old_to_new']:.2f}.",
    )


def memory(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on memory.py."""
    yield from taken("memory.py", result["provenance"])
    yield ""
    yield from paragraphs(
        "The engine without sockets, answered by canned octets; each row in a process of its own. "
        "A notification is counted from before the caller makes it until it is in flight, with its "
        f"own device token; the payload of {result['payload']} octets is one object for all.",
    )
    yield ""
    yield "| in flight | measured by | octets a notification | of these, the caller's own object |"
    yield "|---|---|---|---|"
    for part in ("in_flight", "in_flight_tenfold", "in_flight_rss"):
        for row in result[part]:
            own = row["of_these_the_callers_notification"]
            yield f"| {row['in_flight']:,} | {row['by']} | {row['octets']:,} | {own:,} |"
    yield ""
    yield from paragraphs(
        "One connection after another million, first of accepted, then of rejected notifications. "
        "The growth is from a quarter of the way, when buffers have their size, to the end.",
    )
    yield ""
    yield "| outcome | notifications | RSS after a quarter, KiB | at the end | octets each |"
    yield "|---|---|---|---|---|"
    for row in result["soak"]:
        yield (
            f"| {row['outcome']} | {row['notifications']:,} | {row['rss_kib_after_a_quarter']:,} "
            f"| {row['rss_kib_at_the_end']:,} | {row['octets_a_notification']} |"
        )


def floods(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on floods.py."""
    yield from taken("floods.py", result["provenance"])
    yield ""
    yield from paragraphs(
        "What a server sends too much of: after how many frames it ends the connection here, or "
        "the stream, and how many frames a second of CPU are handled up to then, here and by h2, "
        "which has no bound on most. Both read a hundred frames at a time, in turns, and what they "
        "answer is taken after each read. Medians of five rounds.",
    )
    yield ""
    yield "| flood | ends after | frames a second | h2 | × h2 |"
    yield "|---|---|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['flood']} | {row['ends_after']:,} | {row['per_second']:,.0f} "
            f"| {row['h2_per_second']:,.0f} | {row['ratio']:.1f} |"
        )


def round_trips(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section on rtt.py."""
    settings = result["settings"]
    yield from taken("rtt.py", result["provenance"])
    yield ""
    yield from paragraphs(
        f"APNs leaves the window of a connection at {settings['window']:,} octets. When they are "
        "in flight, a sender waits for the server to give them back, and that takes a round trip. "
        "*The window allows* as many pushes a second as bodies fit into it (or streams: "
        f"{settings['max_streams']:,}), once a round trip as measured, on each connection; with no "
        "delay it bounds nothing that the processors do not bound before.",
        f"Measured with `apns_asyncio`, `send_many`, for {settings['seconds']:g} s each, against "
        f"{settings['server']} over TLS, with a proxy between that delivers half a round trip "
        "later in each direction. The proxy costs processor time too, on the same machine, and "
        "bounds the rates at the shortest round trips. This server gives the window back when "
        "half of it is used: then a sender at times has half a window, not a whole one, and rates "
        "lie between half of what is allowed and all of it.",
    )
    yield ""
    yield (
        "| round trip, ms | measured, ms | body, octets | connections | pushes a second "
        "| the window allows |"
    )
    yield "|---|---|---|---|---|---|"
    for row in result["rows"]:
        allowed = "—" if row["window_allows"] is None else f"{row['window_allows']:,}"
        opened = row["opened"]
        used = f"{row['connections']}" + (f", {opened} opened" * (opened != row["connections"]))
        yield (
            f"| {row['rtt_ms']} | {row['measured_rtt_ms']} | {row['body']:,} | {used} "
            f"| {row['per_second']:,} | {allowed} |"
        )


def instructions(result: Mapping[str, int]) -> Iterator[str]:
    """Yield the section on gate.py."""
    yield from paragraphs(
        "Processor instructions for one round trip through the engine without I/O, a hundred in "
        "flight, as valgrind counts them. They hardly depend on the load of the machine, so "
        "`python benchmarks/gate.py` holds them within a tenth; they do depend on how the "
        "interpreter was built.",
    )
    yield ""
    yield "| interpreter | instructions a notification |"
    yield "|---|---|"
    for build, count in result.items():
        yield f"| {build} | {count:,} |"


SECTIONS: Final[Sequence[tuple[str, str, str, Callable[[Mapping[str, Any]], Iterable[str]]]]] = (
    ("Beside other senders", "compare", "compare.py", beside_others),
    ("The engine alone", "core", "core.py", engine_alone),
    ("Growth", "growth", "core.py --growth", growth),
    ("Memory", "memory", "memory.py", memory),
    ("Round trips and windows", "rtt", "rtt.py", round_trips),
    ("Floods", "floods", "floods.py", floods),
    ("Instructions", "instructions", "gate.py --update", instructions),
)
"""Title, name of the result, script that makes it, what makes the section of it."""


def taken(script: str, provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield where and when a result was taken."""
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    yield from paragraphs(
        f"`python benchmarks/{script}`, {provenance['date']}, revision {provenance['revision']}: "
        f"{provenance['cpu']}, {provenance['cores']} cores, load average "
        f"{provenance['load_average']:g} at the end; {provenance['system']}, "
        f"{provenance['python']}, {provenance['openssl']}; {versions}.",
    )


def paragraphs(*texts: str) -> Iterator[str]:
    """Yield paragraphs with empty lines between, in lines of at most 100 columns."""
    for number, text in enumerate(texts):
        if number:
            yield ""
        line = ""
        for word in text.split(" "):
            if line and len(line) + 1 + len(word) > 100:
                yield line
                line = word
            else:
                line = f"{line} {word}".lstrip()
        yield line
