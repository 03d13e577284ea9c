import asyncio
import socket
import ssl
from contextlib import suppress

import pytest

from apns_asyncio import Client
from apns_core import Accepted, Cause, Endpoint, Notification, Outcome, Rejected, Route, Unprocessed
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.tls import client_context
from apns_simulator import ClientCertificate, SimulatorConfig, SimulatorThread
from apns_simulator.authority import Authority
from tests.apns_simulator.raw_client import DEVICE, RawClient, fields, make_simulator

APP, VOIP = "com.example.app", "com.example.app.voip"
ONE = ClientCertificate((APP,))
TWO = ClientCertificate((APP, VOIP))
CONFIG = SimulatorConfig(authentication="certificate")


def ask(certificate: ClientCertificate | None, **changes: str | None) -> tuple[int | None, object]:
    client = RawClient(make_simulator(authentication="certificate"), certificate=certificate)
    token = changes.pop("token", None)
    answer = client.request(fields(DEVICE, token=token, **changes))
    return answer.status, None if answer.status == 200 else answer.reason


# ── what it is good for ──


@pytest.mark.parametrize(
    ("certificate", "changes", "answer"),
    [
        (ONE, {}, (200, None)),
        # Its only topic stands in for an absent one; among several nothing does.
        (ONE, {"apns_topic": None}, (200, None)),
        (TWO, {"apns_topic": None}, (400, "MissingTopic")),
        (TWO, {"apns_topic": APP}, (200, None)),
        (TWO, {"apns_topic": VOIP, "apns_push_type": "voip"}, (200, None)),
        # A push type whose topic it does not list is out of its reach.
        (ONE, {"apns_topic": VOIP, "apns_push_type": "voip"}, (400, "TopicDisallowed")),
        (ONE, {"apns_topic": "com.example.other"}, (400, "TopicDisallowed")),
        (ONE, {"path": "/1/apps/com.example.app/all-channels", "method": "GET"}, (200, None)),
        (
            ONE,
            {"path": "/1/apps/com.example.other/all-channels", "method": "GET"},
            (403, "TopicMismatch"),
        ),
        # Beside a certificate nobody looks at a provider token.
        (ONE, {"token": "no.good.token"}, (200, None)),
        (None, {}, (403, "MissingProviderToken")),
        (None, {"token": "no.good.token"}, (403, "MissingProviderToken")),
    ],
)
def test_answers(
    certificate: ClientCertificate | None,
    changes: dict[str, str | None],
    answer: tuple[int, str | None],
) -> None:
    assert ask(certificate, **changes) == answer


@pytest.mark.parametrize("authentication", ["token", "none"])
def test_elsewhere_it_counts_for_nothing(authentication: str) -> None:
    simulator = make_simulator(authentication=authentication)
    client = RawClient(simulator, certificate=ClientCertificate(()))
    assert client.goaways == []
    assert client.request(fields(apns_topic=None)).reason == "MissingTopic"


# ── which are refused ──


@pytest.mark.parametrize(
    ("certificate", "environment", "reason"),
    [
        (ClientCertificate((APP,), ("development",)), "production", "BadCertificateEnvironment"),
        (ClientCertificate((APP,), ("production",)), "development", "BadCertificateEnvironment"),
        (ClientCertificate((APP,), ()), "production", "BadCertificateEnvironment"),
        (ClientCertificate(()), "production", "BadCertificate"),
    ],
)
def test_two_goaways_and_the_end(
    certificate: ClientCertificate, environment: str, reason: str
) -> None:
    simulator = make_simulator(authentication="certificate", environment=environment)
    client = RawClient(simulator, certificate=certificate)
    first, second = client.goaways
    assert (first.last_stream_id, first.error_code) == (0, 0)
    assert first.additional_data == b'{"reason": "%b"}' % reason.encode()
    assert (second.last_stream_id, second.error_code, second.additional_data) == (0, 0, b"")
    assert client.is_closed()
    assert simulator.ledger.violations == []


@pytest.mark.parametrize("environment", ["development", "production"])
def test_todays_certificates_are_for_both_environments(environment: str) -> None:
    simulator = make_simulator(authentication="certificate", environment=environment)
    client = RawClient(simulator, certificate=ONE)
    assert client.goaways == []
    assert client.request(fields(token=None)).status == 200


# ── what is issued ──


@pytest.mark.parametrize(
    "certificate",
    [
        ONE,
        TWO,
        ClientCertificate((APP,), ("development",)),
        ClientCertificate((APP,), ("production",)),
        ClientCertificate(tuple(f"{APP}{number}" for number in range(30))),
    ],
    ids=["one topic", "two topics", "development", "production", "thirty topics"],
)
def test_it_reads_as_apples_do(certificate: ClientCertificate) -> None:
    identity = ProviderIdentity.from_pem(Authority().issue_client_certificate(certificate))
    read = identity.certificate
    assert read.default_topic == APP + ("0" if len(certificate.topics) == 30 else "")
    assert tuple(topic.name for topic in read.topics) == certificate.topics
    assert (read.development, read.production) == (
        "development" in certificate.environments,
        "production" in certificate.environments,
    )


def test_it_has_no_topic_where_there_is_none() -> None:
    pem = Authority().issue_client_certificate(ClientCertificate(()))
    assert ProviderIdentity.from_pem(pem).certificate.topics == ()


# ── over TLS ──


def push(simulator: SimulatorThread, pem: str | None) -> Outcome[object]:
    async def send() -> Outcome[object]:
        identity = None if pem is None else ProviderIdentity.from_pem(pem)
        context = client_context(cadata=simulator.ca_pem, identity=identity)
        endpoint = Endpoint(simulator.host, simulator.port)
        async with Client(endpoint, ssl_context=context) as client:
            return await client.send(Notification(Route(None), "ab", b'{"aps":{}}'))

    return asyncio.run(send())


def test_the_engine_takes_it_for_what_it_is() -> None:
    with SimulatorThread(CONFIG) as simulator:
        outcomes = [
            push(simulator, certificate and simulator.issue_client_certificate(certificate))
            for certificate in (ONE, TWO, ClientCertificate((APP,), ("production",)), None)
        ]
        assert simulator.ledger().by_reason == {"MissingTopic": 1, "MissingProviderToken": 1}
    one, two, other, none = outcomes
    assert isinstance(one, Accepted)
    assert isinstance(two, Rejected)
    assert two.reason_text == "MissingTopic"
    # It gives up for good: all further connections would meet the same.
    assert isinstance(other, Unprocessed)
    assert other.cause is Cause.FATAL
    assert isinstance(none, Rejected)
    assert none.reason_text == "MissingProviderToken"


def test_the_certificate_of_a_strange_authority_is_refused_by_tls() -> None:
    strange = ProviderIdentity.from_pem(Authority().issue_client_certificate(ONE))
    with SimulatorThread(CONFIG) as simulator:
        context = client_context(cadata=simulator.ca_pem, identity=strange)
        plain = socket.create_connection((simulator.host, simulator.port), 10.0)
        received = b""
        # In TLS 1.3 a client learns of it after its own handshake, by an alert or the end alone.
        with (
            suppress(ssl.SSLError, ConnectionError),
            context.wrap_socket(plain, server_hostname=simulator.host) as secure,
        ):
            received = secure.recv(1_024)
        assert received == b""
        assert simulator.ledger().connections == []
