"""Decides what becomes of a request: accepted, or which rejection."""

from dataclasses import replace
from typing import TYPE_CHECKING, final

from .app_requests import bundle_id_of, operation_of
from .client_certificates import ClientCertificate
from .device_push import CHECKS_AFTER_TOKEN, CHECKS_BEFORE_TOKEN
from .provider_tokens import TokenGate
from .request import ACCEPTED, Check, Request, Verdict, refused
from .temper import Temper

if TYPE_CHECKING:
    from .simulator import Simulator

__all__ = ["Examiner"]


@final
class Examiner:
    """Examines the requests of one connection, which has a certificate or remembers its token."""

    def __init__(
        self, simulator: "Simulator", certificate: ClientCertificate | None = None
    ) -> None:
        self._simulator = simulator
        self._config = simulator.config
        self._tokens: TokenGate | None = None
        self._certificate: ClientCertificate | None = None
        if self._config.authentication == "token":
            self._tokens = TokenGate(simulator.public_keys)
        elif self._config.authentication == "certificate" and certificate is not None:
            self._certificate = certificate
            self._config = replace(self._config, default_topic=certificate.default_topic)

    def examine(self, request: Request, ordinal: int, temper: Temper, now: float) -> Verdict:
        """Return how the `ordinal`-th request here is answered, having done what it asks for."""
        if temper.answer_status is not None and ordinal >= temper.answer_from:
            reason = None if temper.answer_status == 200 else temper.answer_reason
            return self._dated(Verdict(temper.answer_status, reason))
        if request.for_app:
            return self._examine_for_app(request, now)
        reason = (
            self._check(CHECKS_BEFORE_TOKEN, request)
            or self._check_credentials(request, now)
            or self._check(CHECKS_AFTER_TOKEN, request)
        )
        if reason is None and not self._covers(request.topic):
            reason = "TopicDisallowed"
        if reason is not None:
            return refused(reason)
        rejection = self._simulator.rejection_of(request.device_token)
        if rejection is None:
            return ACCEPTED
        return self._dated(Verdict(rejection.status, rejection.reason, rejection.timestamp))

    def _examine_for_app(self, request: Request, now: float) -> Verdict:
        if request.has_duplicates:
            return refused("DuplicateHeaders")
        operation = operation_of(request)
        if isinstance(operation, str):
            return refused(operation)
        if reason := self._check_credentials(request, now):
            return refused(reason)
        if not self._covers(bundle_id_of(request)):
            return refused("TopicMismatch")
        return operation.carry_out(request, self._simulator)

    def _check_credentials(self, request: Request, now: float) -> str | None:
        if self._tokens is None:
            # One reason for the lack of either: Apple names certificate and token in its meaning.
            by_certificate = self._config.authentication == "certificate"
            return "MissingProviderToken" if by_certificate and not self._certificate else None
        authorization = request.fields.get(b"authorization")
        return self._tokens.check(authorization, self._simulator.unix_time(now))

    def _covers(self, topic: str) -> bool:
        """Whether the certificate, if that is what counts, is good for a topic; none is its own."""
        return self._certificate is None or not topic or topic in self._certificate.topics

    def _check(self, checks: tuple[Check, ...], request: Request) -> str | None:
        for check in checks:
            if reason := check(request, self._config):
                return reason
        return None

    def _dated(self, verdict: Verdict) -> Verdict:
        """Give a 410 without a timestamp that of the simulator's start."""
        if verdict.status != 410 or verdict.timestamp is not None:
            return verdict
        return Verdict(verdict.status, verdict.reason, self._simulator.started_at_ms)
