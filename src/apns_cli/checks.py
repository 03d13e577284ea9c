"""All checks of `apns doctor`, in the order in which they are told."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from apns_cli.credential_checks import (
    check_clock,
    check_credentials,
    check_identity,
    check_key,
    check_request,
)
from apns_cli.diagnosis import Facts, Finding
from apns_cli.network_checks import (
    check_alpn,
    check_alternative_port,
    check_chain,
    check_names,
    check_proxy,
    check_settings,
    check_tcp,
    check_tls,
    check_trust,
)

__all__ = ["CHECKS", "Check", "diagnose"]

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]


def diagnose(facts: Facts) -> list[Finding]:
    """Return what all checks find."""
    return [finding for check in CHECKS for finding in check(facts)]


CHECKS: Final[tuple[Check, ...]] = (
    check_proxy,
    check_names,
    check_tcp,
    check_alternative_port,
    check_tls,
    check_trust,
    check_chain,
    check_alpn,
    check_settings,
    check_credentials,
    check_key,
    check_identity,
    check_request,
    check_clock,
)
