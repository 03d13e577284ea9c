"""What a server wrote, without the secrets that it may quote: provider tokens, device tokens.

A server, or something on the way to it, may answer with what it was sent. Its words go to
terminals, logs, results files and the counts of a summary, where no secret belongs.
"""

import re
from typing import Final

__all__ = ["HIDDEN", "is_uuid", "without_secrets"]

HIDDEN: Final = "[hidden]"
"""Takes the place of a secret. Always the same, so that what differs by it alone counts as one."""

LONGEST_WORD: Final = 31
"""Characters. The longest reason of Apple's has 27; a device token has 64, the signature of a
provider token 86. What is longer than this is a piece of one, or nothing to read."""

SHORTEST_PIECE: Final = 16
"""Digits of a device token by which it is known; fewer may be anything."""


def without_secrets(text: str, device_token: str | None = None) -> str:
    """Return what a server wrote with `HIDDEN` where there was a secret, or a long piece of one.

    That is what looks like a provider token; ``device_token``, the one that was sent to; and any
    word that is too long to be one, in whose digits and letters another may be. A UUID is no
    secret.
    """
    text = _PROVIDER_TOKEN.sub(HIDDEN, text)
    if device_token is not None:
        text = _hide_device_token(text, device_token.lower())
    return _LONG_WORD.sub(lambda word: word[0] if is_uuid(word[0]) else HIDDEN, text)


def _hide_device_token(text: str, device_token: str) -> str:
    whole = len(device_token) < SHORTEST_PIECE

    def hide(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word == device_token:
            return HIDDEN
        # A simulator's may have two digits, which are in many a word.
        if whole or len(word) < SHORTEST_PIECE:
            return match[0]
        return HIDDEN if device_token in word or word in device_token else match[0]

    return _WORD.sub(hide, text)


# A header in base64url begins so: {" and a letter. The bound keeps the search linear.
_PROVIDER_TOKEN: Final = re.compile(r"eyJ[\w-]{0,200}\.[\w.-]*", re.ASCII | re.IGNORECASE)
_WORD: Final = re.compile(r"[0-9A-Za-z]+")
_LONG_WORD: Final = re.compile(rf"[\w-]{{{LONGEST_WORD + 1},}}", re.ASCII)

is_uuid: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
).fullmatch
"""Whether a text is a UUID: what APNs calls a notification by."""
