"""JSON as RFC 8259 has it: without NaN and Infinity, which Python reads as well and Apple does not.

What is sent as it was given has to be looked at: nothing writes it anew.
"""

import json
from typing import Final, NoReturn

__all__ = ["decode_json"]


def decode_json(text: str) -> object:
    """Return what a JSON text says. Raises ValueError, and RecursionError for endless nesting."""
    return _DECODE(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODE: Final = json.JSONDecoder(parse_constant=_refuse).decode
