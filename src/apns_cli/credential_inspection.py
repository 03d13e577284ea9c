"""Looks at signing key and provider certificate, for `apns doctor`. It judges nothing itself."""

import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from apns_cli.access import KEY_VARIABLE, Access
from apns_cli.diagnosis import IdentitySeen, KeySeen
from apns_core.errors import InvalidField
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.key_files import KeyFileWarning, read_key_file
from apns_core.trust.signing import TokenKey

__all__ = ["look_at_identity", "look_at_key"]


def look_at_key(access: Access) -> tuple[TokenKey | None, KeySeen | None]:
    """Return the signing key if it is of use, and what was seen of it; None if none is named."""
    contents = file_problem = file_warning = None
    if access.key is not None:
        try:
            with _key_file_warnings() as told:
                contents = read_key_file("key", access.key, strict=False)
            file_warning = next(iter(told), None)
        except InvalidField as error:
            file_problem = str(error)
    source = f"${KEY_VARIABLE}" if access.key is None else str(access.key)
    try:
        with _key_file_warnings():  # told above
            key = access.token_key(contents)
        if key is None:
            return None, None
        key.sign(int(time.time()))
    except InvalidField as error:
        return None, KeySeen(
            source=source,
            file_problem=file_problem,
            file_warning=file_warning,
            problem=str(error),
        )
    return key, KeySeen(
        source=source,
        file_warning=file_warning,
        key_id=key.key_id,
        team_id=key.team_id,
        named_id=access.key_id_of_name(),
    )


def look_at_identity(access: Access) -> tuple[ProviderIdentity | None, IdentitySeen | None]:
    """Return the provider certificate if it is of use, and what it says; None if none is named."""
    try:
        with _key_file_warnings() as told:
            identity = access.identity()
    except InvalidField as error:
        return None, IdentitySeen(source=str(access.certificate), problem=str(error))
    if identity is None:
        return None, None
    return identity, IdentitySeen(
        source=str(access.certificate),
        certificate=identity.certificate,
        warning=next(iter(told), None),
    )


@contextmanager
def _key_file_warnings() -> Generator[list[str], None, None]:
    """Collect what is said of the modes of files; to be read afterwards."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KeyFileWarning)
        yield texts
    texts += [str(warning.message) for warning in caught]
