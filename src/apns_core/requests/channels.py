"""Channel management: create, read, delete and list an app's channels, and what is answered.

Apple, "Sending channel management requests to APNs". These requests go to hosts and ports of their
own: `endpoints.CHANNELS_PRODUCTION`, `endpoints.CHANNELS_DEVELOPMENT`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol, Self, TypeAlias, cast, final
from uuid import UUID

from apns_core.errors import InvalidField
from apns_core.requests.request import SHORT_ANSWER
from apns_core.requests.route import Field, PushType, is_whole_number
from apns_core.requests.values import (
    bundle_id_text,
    channel_id_text,
    encode_json,
    is_channel_id,
    uuid_text,
)

__all__ = [
    "Answer",
    "Channel",
    "ChannelList",
    "ChannelRequest",
    "CreateChannel",
    "CreatedChannel",
    "DeleteChannel",
    "DeletedChannel",
    "ListChannels",
    "ReadChannel",
    "StoragePolicy",
    "Unreadable",
    "parse_storage_policy",
]


@final
class StoragePolicy(IntEnum):
    """What APNs keeps of a channel's messages for devices that are offline; never changes."""

    NO_STORAGE = 0
    """Nothing: for frequent updates, with a higher publishing budget."""
    MOST_RECENT_MESSAGE = 1
    """The last one, for at most 8 hours."""


def parse_storage_policy(value: object) -> StoragePolicy:
    """Return the policy that ``value`` is. Raises InvalidField."""
    if not is_whole_number(value) or value not in _STORAGE_POLICIES:
        raise InvalidField("storage_policy", "not 0 (no storage) or 1 (most recent message)")
    return StoragePolicy(value)


# ── what is answered ──


class Answer(Protocol):
    """What a result is read from: an `apns_core.Accepted` is one."""

    @property
    def status(self) -> int:
        """The HTTP status, a 2xx."""
        ...

    @property
    def apns_request_id(self) -> str | None:
        """The field ``apns-request-id``."""
        ...

    @property
    def channel_id(self) -> str | None:
        """The field ``apns-channel-id``."""
        ...

    @property
    def body(self) -> bytes:
        """The body, as far as it was kept."""
        ...


@final
@dataclass(frozen=True, slots=True)
class CreatedChannel:
    """A channel exists now. Keep its id: APNs made it, and nothing else finds the channel."""

    channel_id: str
    storage_policy: StoragePolicy
    """As it was asked for."""
    request_id: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Channel:
    """How a channel was created."""

    channel_id: str
    """As it was asked for."""
    storage_policy: StoragePolicy
    push_type: str
    """In lower case, whatever Apple's page at hand says: ``PushType.LIVEACTIVITY``."""
    request_id: str | None = None


@final
@dataclass(frozen=True, slots=True)
class DeletedChannel:
    """A channel is gone for good. APNs may still deliver what it had stored."""

    channel_id: str
    """As it was asked for."""
    request_id: str | None = None


@final
@dataclass(frozen=True, slots=True)
class ChannelList:
    """The channels that an app has in this environment, in the order of the answer."""

    channel_ids: tuple[str, ...]
    request_id: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Unreadable:
    """APNs has done what it was asked, and its answer does not say what it must."""

    problem: str
    status: int
    body: bytes = field(repr=False)
    request_id: str | None = None


# ── what is asked ──


@final
class _Route:
    """The method: all that these requests have in common."""

    __slots__ = ("fields", "method")

    certificate_only = False

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.fields: tuple[Field, ...] = ()


# One for each method and for ever: the engine keeps encoded fields by route.
_GET: Final = _Route(b"GET")
_POST: Final = _Route(b"POST")
_DELETE: Final = _Route(b"DELETE")

_LIST_ANSWER: Final = 2**20
"""Octets. An app has at most 10,000 channels (Apple): a hundred octets for each id."""


class _ChannelRequest:
    __slots__ = ("answer_limit", "bundle_id", "extra_fields", "path", "payload", "request_id")

    successes = frozenset((201, 204))

    def __init__(
        self,
        bundle_id: str,
        resource: str,
        request_id: str | UUID | None,
        *fields: Field,
        payload: bytes = b"",
        answer_limit: int = SHORT_ANSWER,
    ) -> None:
        self.bundle_id = bundle_id_text(bundle_id)
        self.path = f"/1/apps/{self.bundle_id}/{resource}".encode()
        self.payload = payload
        self.request_id = None if request_id is None else uuid_text("request_id", request_id)
        self.answer_limit = answer_limit
        """Octets of the answer's body that are worth keeping."""
        if self.request_id is not None:
            fields = (*fields, (b"apns-request-id", self.request_id.encode()))
        self.extra_fields: tuple[Field, ...] = fields

    @property
    def expiration(self) -> None:
        """None: these requests do not expire."""
        return

    @property
    def lifetime(self) -> None:
        """None likewise."""
        return

    def submitted_at(self, unix_time: float) -> Self:
        """Return itself."""
        del unix_time
        return self

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            return f"<{name} of {self.bundle_id}>"
        except AttributeError:  # refused half-way: whoever reports the error may show its locals
            return f"<{name}, refused>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing changes it, and `dataclasses.asdict` of an outcome makes a deep copy.
        return self


@final
class CreateChannel(_ChannelRequest):
    """Make a channel; APNs draws its id at random.

    ``request_id`` is a UUID that comes back with the answer; APNs makes one if there is none.
    Raises InvalidField. To send it twice makes two channels: after an `Unknown` outcome,
    `ListChannels` before and after tells.
    """

    __slots__ = ("storage_policy",)

    def __init__(
        self,
        bundle_id: str,
        storage_policy: StoragePolicy | int,
        *,
        request_id: str | UUID | None = None,
    ) -> None:
        self.storage_policy = parse_storage_policy(storage_policy)
        body = {"message-storage-policy": int(self.storage_policy), "push-type": "LiveActivity"}
        super().__init__(
            bundle_id, "channels", request_id, payload=encode_json("storage_policy", body)
        )

    @property
    def route(self) -> _Route:
        """POST."""
        return _POST

    def result(self, answer: Answer) -> CreatedChannel | Unreadable:
        """Read the answer of an accepted request. Never raises."""
        if answer.channel_id is None or not is_channel_id(answer.channel_id):
            return _unreadable(answer, "no apns-channel-id: the channel exists, its id is unknown")
        return CreatedChannel(answer.channel_id, self.storage_policy, answer.apns_request_id)


@final
class ReadChannel(_ChannelRequest):
    """Ask how a channel was created. ``request_id`` as for `CreateChannel`. Raises InvalidField."""

    __slots__ = ("channel_id",)

    def __init__(
        self, bundle_id: str, channel_id: str, *, request_id: str | UUID | None = None
    ) -> None:
        self.channel_id = channel_id_text(channel_id)
        super().__init__(bundle_id, "channels", request_id, _channel_field(self.channel_id))

    @property
    def route(self) -> _Route:
        """GET."""
        return _GET

    def result(self, answer: Answer) -> Channel | Unreadable:
        """Read the answer of an accepted request. Never raises.

        The storage policy may come as number or text, the names of members in any style.
        """
        members = _members(answer.body)
        if members is None:
            return _unreadable(answer, "the body is no JSON object")
        stored = members.get("messagestoragepolicy")
        policy = _POLICIES.get(str(stored)) if type(stored) in (int, str) else None
        if policy is None:
            return _unreadable(answer, "no message-storage-policy, or one that is not documented")
        push_type = members.get("pushtype", PushType.LIVEACTIVITY)
        if not isinstance(push_type, str) or not push_type.isascii():
            return _unreadable(answer, "the push-type is no text")
        return Channel(self.channel_id, policy, push_type.lower(), answer.apns_request_id)


@final
class DeleteChannel(_ChannelRequest):
    """Delete a channel, irrevocably. ``request_id`` as for `CreateChannel`. Raises InvalidField."""

    __slots__ = ("channel_id",)

    def __init__(
        self, bundle_id: str, channel_id: str, *, request_id: str | UUID | None = None
    ) -> None:
        self.channel_id = channel_id_text(channel_id)
        super().__init__(bundle_id, "channels", request_id, _channel_field(self.channel_id))

    @property
    def route(self) -> _Route:
        """DELETE."""
        return _DELETE

    def result(self, answer: Answer) -> DeletedChannel:
        """Read the answer of an accepted request: its status says it all. Never raises."""
        return DeletedChannel(self.channel_id, answer.apns_request_id)


@final
class ListChannels(_ChannelRequest):
    """Ask for the ids of all channels. ``request_id`` as for `CreateChannel`.

    Raises InvalidField.
    """

    __slots__ = ()

    def __init__(self, bundle_id: str, *, request_id: str | UUID | None = None) -> None:
        super().__init__(bundle_id, "all-channels", request_id, answer_limit=_LIST_ANSWER)

    @property
    def route(self) -> _Route:
        """GET."""
        return _GET

    def result(self, answer: Answer) -> ChannelList | Unreadable:
        """Read the answer of an accepted request. Never raises.

        Apple's page says in one place that the body is empty and in another that it lists the
        channels. From an empty body we conclude nothing.
        """
        members = _members(answer.body)
        if members is None:
            return _unreadable(answer, "the body is no JSON object, or was cut short")
        channels = members.get("channels")
        if not isinstance(channels, list):
            return _unreadable(answer, "the body has no list of channels")
        ids = tuple(
            channel_id
            for channel_id in cast("list[object]", channels)
            if isinstance(channel_id, str) and is_channel_id(channel_id)
        )
        if len(ids) != len(cast("list[object]", channels)):
            return _unreadable(answer, "not all channels have an id that could be sent back")
        return ChannelList(ids, answer.apns_request_id)


ChannelRequest: TypeAlias = CreateChannel | ReadChannel | DeleteChannel | ListChannels


# ── reading ──


def _channel_field(channel_id: str) -> Field:
    return (b"apns-channel-id", channel_id.encode())


def _members(body: bytes) -> Mapping[str, object] | None:
    """Return the members of a JSON object, their names in lower case without punctuation.

    Apple writes ``message-storage-policy``; camelCase has been reported.
    """
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):  # a peer wrote it: malformed, or nested without end
        return None
    if not isinstance(document, dict):
        return None
    members = cast("dict[str, object]", document)
    return {name.lower().replace("-", "").replace("_", ""): v for name, v in members.items()}


def _unreadable(answer: Answer, problem: str) -> Unreadable:
    return Unreadable(problem, answer.status, answer.body, answer.apns_request_id)


_STORAGE_POLICIES: Final = frozenset(StoragePolicy)
# Documented as numbers; node-apn's README shows text.
_POLICIES: Final = {str(int(policy)): policy for policy in StoragePolicy}
