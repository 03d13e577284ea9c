"""The harnesses, one a module: ``check`` takes any bytes and raises where a promise is broken.

Each also has ``MAX_LENGTH``, the octets of an input that are worth trying, and ``seeds``, what to
begin with; ``mutate`` where inputs have a form that plain mutation would break. None needs atheris.
"""

from typing import Final

__all__ = ["HARNESSES"]

HARNESSES: Final = (
    "server_bytes",
    "differential",
    "hpack_decoding",
    "hpack_encoding",
    "connection_life",
    "sender_life",
    "answers",
    "payloads",
    "proxies",
    "certificates",
    "command_line",
)
