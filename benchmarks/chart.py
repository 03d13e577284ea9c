"""Draws the comparison: CPU a push by sender, as horizontal bars on a logarithmic scale."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

__all__ = ["draw"]

COLOURS: Final = {"ours": "#1b6ca8", "ceiling": "#7a7a7a", "peer": "#c98b2b"}
LEGEND: Final = {"ours": "apns-core", "ceiling": "load generator in C", "peer": "other senders"}


def draw(result: Mapping[str, Any], digest: str, *files: Path) -> None:
    """Write the chart of a comparison; ``digest`` is noted in each file, to tell which it shows."""
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "performance"  # the same file for the same figures
    mpl.rcParams["svg.fonttype"] = "none"
    # The cheapest on top; whoever has no figure at the bottom, with that said.
    senders = sorted(
        result["senders"], key=lambda one: one.get("us_cpu", float("inf")), reverse=True
    )
    figure, axes = plt.subplots(figsize=(9, 0.36 * len(senders) + 1.5), layout="constrained")
    bars = axes.barh(
        [one["label"] for one in senders],
        [one.get("us_cpu", 0) for one in senders],
        color=[COLOURS[one["kind"]] for one in senders],
    )
    axes.set_xscale("log")
    costs = [one["us_cpu"] for one in senders if "us_cpu" in one]
    left = min(costs) / 3
    axes.set_xlim(left, max(costs) * 3)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    for bar, one in zip(bars, senders, strict=True):
        words = f"{one['us_cpu']:,.0f}" if "us_cpu" in one else "failed, see the table"
        place = (max(bar.get_width(), left * 1.02), bar.get_y() + bar.get_height() / 2)
        axes.annotate(
            words, place, xytext=(4, 0), textcoords="offset points", verticalalignment="center"
        )
    axes.set_xlabel("µs of CPU a push, client process only, logarithmic scale")
    provenance = result["provenance"]
    axes.set_title(
        f"{provenance['cpu']}, {provenance['cores']} cores, {provenance['python']}, "
        f"{provenance['date']}",
        fontsize="small",
    )
    axes.spines[["top", "right"]].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[kind]) for kind in LEGEND]
    axes.legend(handles, LEGEND.values(), loc="upper right", frameon=False)
    for file in files:
        # Without its date, an SVG is the same whenever it is drawn.
        undated = {"Date": None} if file.suffix == ".svg" else {}
        metadata = {"Description": f"compare.json {digest}", **undated}
        figure.savefig(file, dpi=144, metadata=metadata)
    plt.close(figure)
