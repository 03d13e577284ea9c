"""Counts what came of the lines of a file, by outcome and by why."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, final

from apns_cli.terminal import Fact

__all__ = ["Tally"]

DETAILS: Final = 100
"""Reasons counted apart; a server may make up as many as it likes. Apple has some 40."""

OTHERS: Final = "others"


@final
class Tally:
    """How many lines had which outcome."""

    def __init__(self) -> None:
        self.accepted = 0
        self.others: Final[dict[str, Counter[str]]] = {
            kind: Counter() for kind in ("rejected", "unprocessed", "unknown", "invalid")
        }
        """Outcome -> reason, cause or field -> count."""

    def add(self, kind: str, detail: str) -> None:
        """Count one line."""
        if kind == "accepted":
            self.accepted += 1
            return
        details = self.others[kind]
        if detail not in details and len(details) >= DETAILS:
            detail = OTHERS
        details[detail] += 1

    @property
    def total(self) -> int:
        """Lines with an outcome."""
        return self.accepted + sum(details.total() for details in self.others.values())

    @property
    def all_accepted(self) -> bool:
        """Whether nothing else was counted."""
        return not any(self.others.values())

    def members(self) -> dict[str, object]:
        """Return the members of its JSON."""
        return {
            "accepted": self.accepted,
            **{kind: dict(details.most_common()) for kind, details in self.others.items()},
        }

    def facts(self) -> Iterator[Fact]:
        """Yield the rows of its table; what a server wrote is made printable."""
        yield "Accepted", f"{self.accepted:,}"
        for kind, details in self.others.items():
            yield kind.capitalize(), f"{details.total():,}"
            for detail, count in details.most_common():
                yield f"  {detail.encode('unicode_escape').decode()}", f"{count:,}"

    def summary(self) -> str:
        """Say it in one line, without what has not happened."""
        counts = {kind: details.total() for kind, details in self.others.items()}
        counts = {"accepted": self.accepted, **{kind: n for kind, n in counts.items() if n}}
        return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
