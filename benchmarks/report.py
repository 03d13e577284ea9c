"""Writes docs/performance.md and its chart from the results that are there.

    python benchmarks/report.py              the page, and the chart
    python benchmarks/report.py --page-only  the page, without matplotlib

The chart bears the digest of the comparison that it shows; a test compares the two.
"""

import argparse
import hashlib
import json
from typing import Any, Final

from machine import ROOT
from page import page

__all__ = ["CHART", "PAGE", "chart_digest", "results"]

RESULTS: Final = ROOT / "benchmarks" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"
CHART: Final = (ROOT / "docs" / "performance.svg", ROOT / "docs" / "performance.png")


def results() -> dict[str, Any]:
    """Return all results, by the names of their files without the ending."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}


def chart_digest() -> str:
    """Return what tells one comparison from another."""
    return hashlib.sha256((RESULTS / "compare.json").read_bytes()).hexdigest()[:16]


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page-only", action="store_true", help="leave the chart as it is")
    options = parser.parse_args()
    found = results()
    PAGE.write_text(page(found))
    if "compare" in found and not options.page_only:
        from chart import draw  # noqa: PLC0415 - matplotlib is large and not always there

        draw(found["compare"], chart_digest(), *CHART)


if __name__ == "__main__":
    main()
