"""What a provider certificate says: its topics, its environments, its expiry.

Apple, "Establishing a certificate-based connection to APNs". The engine never imports it. How a
connection presents a certificate is in `apns_core.trust.identity`.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast, final

from cryptography import x509
from cryptography.x509.oid import NameOID

from apns_core.errors import InvalidField
from apns_core.trust.der import CONSTRUCTED, STRINGS, Element, elements

__all__ = ["CertificateExpiryWarning", "ProviderCertificate", "Topic"]


class CertificateExpiryWarning(UserWarning):
    """A provider certificate expires soon, or has expired."""


@final
@dataclass(frozen=True, slots=True)
class Topic:
    """One topic that a certificate is good for."""

    name: str
    """What ``apns-topic`` may say: ``com.example.app.voip``."""

    services: tuple[str, ...]
    """What Apple calls its use: ``app``, ``voip``, ``complication`` …; empty if it does not say."""


@final
@dataclass(frozen=True, slots=True)
class ProviderCertificate:
    """The facts in a provider certificate. None of them is secret.

    Made by `from_pem`, `from_der` or `from_x509`.
    """

    common_name: str
    """For people: ``Apple Push Services: com.example.app``. Empty if there is none."""

    default_topic: str | None
    """The topic of a request that names none: ``UID`` of the subject. For MDM the only place."""

    topics: tuple[Topic, ...]
    """All topics, the default one first. Apple sends no push of a type whose topic is not here."""

    development: bool
    """Whether the development environment accepts it."""

    production: bool
    """Whether the production environment accepts it. Today's certificates are good for both."""

    not_before: datetime
    """Aware, in UTC."""

    not_after: datetime
    """Aware, in UTC. Apple gives a year."""

    @classmethod
    def from_pem(cls, pem: bytes | str) -> "ProviderCertificate":
        """Read the first certificate of a PEM file. Raises `InvalidField`."""
        data = pem.encode("ascii", "replace") if isinstance(pem, str) else pem
        certificate = _read(x509.load_pem_x509_certificate, data)
        # The file may hold the key as well, and whoever reports an error may show its frames.
        del pem, data
        if certificate is None:
            raise InvalidField("pem", "holds no certificate in PEM form")
        return cls.from_x509(certificate)

    @classmethod
    def from_der(cls, der: bytes) -> "ProviderCertificate":
        """Read a ``.cer`` file as Apple's portal gives it. Raises `InvalidField`."""
        certificate = _read(x509.load_der_x509_certificate, der)
        if certificate is None:
            raise InvalidField("der", "holds no certificate in DER form")
        return cls.from_x509(certificate)

    @classmethod
    def from_x509(cls, certificate: x509.Certificate) -> "ProviderCertificate":
        """Read a certificate of ``cryptography``. Raises `InvalidField` if it is damaged.

        An extension of Apple's that is not of the known form gives the topics that can be read
        from it; a certificate without any gives those of its subject.
        """
        if not isinstance(cast("object", certificate), x509.Certificate):
            raise InvalidField("certificate", "not one of cryptography's")
        try:
            subject = certificate.subject
            extensions = {
                extension.oid: extension.value.value
                for extension in certificate.extensions
                if isinstance(extension.value, x509.UnrecognizedExtension)
            }
        except _DAMAGES:
            raise InvalidField("certificate", "is damaged: its fields cannot be read") from None
        default_topic = _text_of(subject, NameOID.USER_ID)
        listed = [
            topic
            for oid in (_TOPICS, _VOIP_TOPICS)
            if oid in extensions
            for topic in _read_topics(extensions[oid])
        ]
        return cls(
            common_name=_text_of(subject, NameOID.COMMON_NAME) or "",
            default_topic=default_topic,
            topics=_merge(default_topic, listed),
            development=_DEVELOPMENT in extensions,
            production=_PRODUCTION in extensions,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )

    def covers(self, topic: str) -> bool:
        """Whether a notification with this ``apns-topic`` may be sent with it."""
        return any(known.name == topic for known in self.topics)

    def expires_within(self, now: datetime, days: float) -> bool:
        """Whether it has expired by ``now`` plus this many days.

        Raises `InvalidField` when ``now`` is not aware.
        """
        if now.tzinfo is None:
            raise InvalidField("now", "must be an aware datetime, such as datetime.now(UTC)")
        return self.not_after <= now + timedelta(days=days)

    def warn_before_expiry(self, now: datetime, *, days: float = 30, stacklevel: int = 1) -> None:
        """Warn with `CertificateExpiryWarning` if it expires within this many days of ``now``.

        To be called at the start and once a day: connections that stand outlive the certificate,
        and the first one after that is refused. ``stacklevel`` as for `warnings.warn`; 1 blames
        the line that calls this. Raises `InvalidField` when ``now`` is not aware.
        """
        if self.expires_within(now, days):
            verb = "expired" if self.expires_within(now, 0) else "expires"
            name = self.common_name or self.default_topic or "without a name"
            warnings.warn(
                f"the provider certificate ({name}) {verb} on {self.not_after:%Y-%m-%d %H:%M} UTC",
                CertificateExpiryWarning,
                stacklevel=stacklevel + 1,
            )


# What `cryptography` finds when a field is looked at. TypeError is for a name that is no text.
_DAMAGES: Final = (
    TypeError,
    ValueError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

# Extensions of Apple's, 1.2.840.113635.100.6.3: the first two are documented by their presence in
# certificates alone (node-apn, NWPusher), the others by Apple's page.
_DEVELOPMENT: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.1")
_PRODUCTION: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.2")
_VOIP_TOPICS: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.4")
_TOPICS: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")


def _read(load: Callable[[bytes], x509.Certificate], data: object) -> x509.Certificate | None:
    if not isinstance(data, bytes):
        return None
    try:
        return load(data)
    except (ValueError, x509.InvalidVersion):
        return None


def _text_of(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    return next((value for value in values if isinstance(value, str)), None)


def _merge(default: str | None, listed: Iterable[Topic]) -> tuple[Topic, ...]:
    services: dict[str, tuple[str, ...]] = {} if default is None else {default: ()}
    for topic in listed:
        services[topic.name] = tuple(
            dict.fromkeys((*services.get(topic.name, ()), *topic.services))
        )
    return tuple(Topic(name, known) for name, known in services.items())


def _read_topics(value: bytes) -> Iterator[Topic]:
    """Read the value of a topic extension; whatever else it is, it gives what strings it has.

    Not documented. As certificates have it (jchambers/pushy makes its test certificates so):

        SEQUENCE { UTF8String topic, SEQUENCE { UTF8String service, … }, UTF8String topic, … }
    """
    try:
        outer = list(elements(value))
    except ValueError:
        return
    yield from _topics_among(outer, 0)


# A certificate is at most some kilobytes, but a file may be anything.
_MAX_DEPTH: Final = 8


def _topics_among(level: Sequence[Element], depth: int) -> Iterator[Topic]:
    name: str | None = None
    for element in level:
        text = _string(element)
        if text is not None:
            if name is not None:
                yield Topic(name, ())
            name = text
        elif element.tag & CONSTRUCTED and depth < _MAX_DEPTH:
            try:
                inner = list(elements(element.contents))
            except ValueError:
                continue
            services = [_string(each) for each in inner]
            if name is not None and None not in services:
                yield Topic(name, tuple(service for service in services if service is not None))
                name = None
            else:
                yield from _topics_among(inner, depth + 1)
    if name is not None:
        yield Topic(name, ())


def _string(element: Element) -> str | None:
    encoding = STRINGS.get(element.tag)
    if encoding is None:
        return None
    try:
        return element.contents.decode(encoding)
    except UnicodeDecodeError:
        return None
