"""`apns token`: signs a provider token, or says what one holds and whether APNs would take it."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from time import time
from typing import BinaryIO, Final, TextIO, TypeGuard, cast

import click
import jwt

from apns_cli.access import Credentials, key_options, usage_errors
from apns_cli.results import date_text, printable
from apns_cli.terminal import (
    CONTEXT_SETTINGS,
    EXIT_FAILED,
    Fact,
    complain,
    examples,
    print_facts,
    print_json,
)
from apns_cli.usage import Command, OpenFile
from apns_core.trust.provider_token import LIFETIME

__all__ = ["token"]

MAX_OCTETS: Final = 16_384
"""Of what is inspected. A provider token has some 200."""


@click.command(
    cls=Command,
    context_settings=CONTEXT_SETTINGS,
    epilog=examples(
        "apns token --key AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ",
        "apns token --json | python -m json.tool",
        "apns token | apns token --inspect -",
    ),
)
@click.option(
    "--inspect",
    metavar="FILE",
    type=OpenFile("rb"),
    help="Read a provider token, and sign none; - is standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@key_options
@click.pass_context
def token(
    ctx: click.Context, credentials: Credentials, *, inspect: BinaryIO | None, as_json: bool
) -> None:
    """Sign a provider token, or look into one.

    The token goes to standard output. It is a credential: whoever has it can send in the team's
    name until it is an hour old. APNs wants a new one after 20 minutes at the earliest.

    --inspect verifies no signature. Exit code 0 then says that APNs would take the token, as far as
    its fields and this machine's clock tell.
    """
    if inspect is None:
        _sign(credentials, as_json=as_json)
    elif not _inspect(inspect.read(MAX_OCTETS), as_json=as_json):
        ctx.exit(EXIT_FAILED)


def _sign(credentials: Credentials, *, as_json: bool) -> None:
    with usage_errors():
        key = credentials.token_key()
    if key is None:
        raise click.UsageError("no signing key: --key, or $APNS_KEY_FILE")
    issued_at = int(time())
    signed = key.sign(issued_at)
    # None where it was closed before the start.
    screen = cast("TextIO | None", sys.stdout)
    if screen is not None and screen.isatty():
        complain("apns token: this is a credential for an hour: keep it off screens and logs")
    if not as_json:
        click.echo(signed)
        return
    print_json(
        {
            "token": signed,
            "key_id": key.key_id,
            "team_id": key.team_id,
            "issued_at": issued_at,
            "expires_at": issued_at + int(LIFETIME),
        }
    )


def _inspect(data: bytes, *, as_json: bool) -> bool:
    """Print what the token holds; return whether APNs would take it."""
    text = data.decode("ascii", "replace").strip().removeprefix("bearer ")
    try:
        decoded = jwt.decode_complete(text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        # The text of the cause may quote the token.
        complain("apns token: this is no JWT: three parts in base64url, the first two of JSON")
        return False
    # Each from its own part: APNs looks for no key id among the claims.
    header, claims = decoded["header"], decoded["payload"]
    fields = {name: header.get(name) for name in _OF_THE_HEADER}
    fields |= {name: claims.get(name) for name in _OF_THE_CLAIMS}
    issued_at = fields.get("iat")
    age = time() - issued_at if _is_unix_seconds(issued_at) else None
    problems = list(_problems(fields, age))
    if as_json:
        members = {title: _as_json(fields[name]) for name, title in _MEMBERS.items()}
        judged = {"age": None if age is None else int(age), "acceptable": not problems}
        print_json({**members, **judged, "problems": problems})
    else:
        print_facts("A provider token, not verified", _facts(fields, age, acceptable=not problems))
    for problem in problems:
        complain(f"apns token: {problem}")
    return not problems


_OF_THE_HEADER: Final = ("alg", "kid")
_OF_THE_CLAIMS: Final = ("iss", "iat")

_MEMBERS: Final[Mapping[str, str]] = {
    "alg": "algorithm",
    "kid": "key_id",
    "iss": "team_id",
    "iat": "issued_at",
}
"""A field of the token -> its name in JSON."""


def _as_json(value: object) -> object:
    """Return what can stand in JSON; None for what only Python reads there, such as NaN."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value


def _problems(fields: Mapping[str, object], age: float | None) -> Iterator[str]:
    """Say why APNs would not take it (Apple, "Establishing a token-based connection to APNs")."""
    if fields.get("alg") != "ES256":
        yield "alg is not ES256: APNs takes no other"
    for name, what in (("kid", "key id"), ("iss", "team id")):
        if not _TEN_CHARACTERS.fullmatch(str(fields.get(name))):
            yield f"{name} is no {what}: ten letters and digits"
    if age is None:
        yield "iat is no whole number of UNIX seconds: when it was issued"
    elif age < 0:
        yield "it was issued in the future: check the clock of who signed it, and this one"
    elif age >= LIFETIME:
        yield "it is older than 60 minutes: APNs answers ExpiredProviderToken"


def _facts(fields: Mapping[str, object], age: float | None, *, acceptable: bool) -> Iterator[Fact]:
    yield "Algorithm", printable(fields.get("alg"))
    yield "Key id", printable(fields.get("kid"))
    yield "Team id", printable(fields.get("iss"))
    issued_at = fields.get("iat")
    if age is None or not _is_unix_seconds(issued_at):
        yield "Issued at", printable(issued_at)
    else:
        yield "Issued at", date_text(issued_at)
        yield "Age", _age_text(age)
    yield "APNs would take it", "yes" if acceptable else "NO"


def _age_text(age: float) -> str:
    length = timedelta(seconds=int(abs(age)))
    return f"-{length}" if age < 0 else str(length)


def _is_unix_seconds(value: object) -> TypeGuard[int]:
    # JSON's true is an int to Python. In milliseconds, it would be after the year 5000.
    return type(value) is int and 0 <= value <= 10**11


_TEN_CHARACTERS: Final = re.compile("[A-Za-z0-9]{10}")
