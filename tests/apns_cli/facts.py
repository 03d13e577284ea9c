"""Reads the tables that commands print."""

import re

__all__ = ["read_facts"]


def read_facts(printed: str) -> dict[str, str]:
    """Return what is known -> its value; the blanks before a detail are left out."""
    return dict(re.findall(r"^  +(\S.*?) {2,}(\S+(?: \S+)*) *$", printed, re.MULTILINE))
