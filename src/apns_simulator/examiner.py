"""Decides what becomes of a request: accepted, or which rejection."""

from typing import TYPE_CHECKING, final

from .config import Rejection
from .device_push import CHECKS_AFTER_TOKEN, CHECKS_BEFORE_TOKEN, Check, Request
from .provider_tokens import TokenGate
from .reasons import REASON_STATUS
from .temper import Temper

if TYPE_CHECKING:
    from .simulator import Simulator

__all__ = ["Examiner"]


@final
class Examiner:
    """Examines the requests of one connection, which remembers the provider token."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._tokens: TokenGate | None = None
        if simulator.config.authentication == "token":
            self._tokens = TokenGate(simulator.public_keys)

    def examine(
        self, request: Request, ordinal: int, temper: Temper, now: float
    ) -> Rejection | None:
        """Return how the `ordinal`-th request here is rejected; ``None`` accepts it."""
        if temper.answer_status is not None and ordinal >= temper.answer_from:
            if temper.answer_status == 200:
                return None
            return self._dated(Rejection(temper.answer_status, temper.answer_reason))
        reason = self._first_fault(request, now)
        if reason is not None:
            return Rejection(REASON_STATUS[reason], reason)
        rejection = self._simulator.rejection_of(request.device_token)
        return None if rejection is None else self._dated(rejection)

    def _first_fault(self, request: Request, now: float) -> str | None:
        if reason := self._check(CHECKS_BEFORE_TOKEN, request):
            return reason
        if self._tokens is not None:
            authorization = request.fields.get(b"authorization")
            if reason := self._tokens.check(authorization, self._simulator.unix_time(now)):
                return reason
        return self._check(CHECKS_AFTER_TOKEN, request)

    def _check(self, checks: tuple[Check, ...], request: Request) -> str | None:
        config = self._simulator.config
        for check in checks:
            if reason := check(request, config):
                return reason
        return None

    def _dated(self, rejection: Rejection) -> Rejection:
        """Give a 410 without a timestamp that of the simulator's start."""
        if rejection.status != 410 or rejection.timestamp is not None:
            return rejection
        return Rejection(rejection.status, rejection.reason, self._simulator.started_at_ms)
