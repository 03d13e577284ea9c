"""What a comparison says: medians, ratios within a round, the table."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

__all__ = ["Round", "round_of", "summarise", "table"]


class Round(TypedDict):
    """One run of one sender."""

    us_cpu: float
    """µs of CPU, user and system, of the client's process for one push."""
    per_second: float


def round_of(done: Mapping[str, Any]) -> Round:
    """Take a round from what a driver printed."""
    return {
        "us_cpu": round((done["cpu_user"] + done["cpu_sys"]) / done["sent"] * 1e6, 2),
        "per_second": round(done["sent"] / done["seconds"], 1),
    }


def summarise(senders: Sequence[dict[str, Any]], *, baseline: str) -> None:
    """Add medians to each sender, and its ratio to the baseline.

    The ratio is the median of the ratios within each round: both sides of it were measured within
    the same minute or so, and the machine drifts.
    """
    base: list[Round] = next((one["rounds"] for one in senders if one["name"] == baseline), [])
    for one in senders:
        rounds: list[Round] = one["rounds"]
        if not rounds:
            continue
        costs = [each["us_cpu"] for each in rounds]
        one["us_cpu"] = round(statistics.median(costs), 1)
        one["us_cpu_range"] = [round(min(costs), 1), round(max(costs), 1)]
        one["per_second"] = round(statistics.median(each["per_second"] for each in rounds))
        ratios = [
            each["us_cpu"] / other["us_cpu"] for each, other in zip(rounds, base, strict=False)
        ]
        if ratios:
            one["ratio"] = round(statistics.median(ratios), 2)


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table, the cheapest first."""
    yield (
        "| sender | version | µs of CPU a push | range | × h2load | pushes a second "
        "| header octets | connections | note |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in sorted(result["senders"], key=lambda one: one.get("us_cpu", float("inf"))):
        low, high = one.get("us_cpu_range", ("", ""))
        cells = (
            one["label"],
            next(iter(one["versions"].values()), one["pinned"]),
            one.get("us_cpu", "—"),
            f"{low} to {high}" if low != high else "—",
            one.get("ratio", "—"),
            f"{one['per_second']:,}" if "per_second" in one else "—",
            one.get("header_octets", {}).get("steady", "—"),
            f"{one['connections']:,}" if "connections" in one else "—",
            "; ".join(filter(None, (one["note"], *failures(one)))),
        )
        yield "| " + " | ".join(str(cell) for cell in cells) + " |"


def failures(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield what went wrong, fit for a cell."""
    uncounted = one.get("header_octets", {}).get("error")
    for what, error in (("failed", one["error"]), ("octets not counted", uncounted)):
        if error:
            text = str(error).replace("|", "/").replace("`", "'")
            yield f"**{what}**, {text[:160]}"
