"""What a notification shows and how it sounds: the parts of a payload that have members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn, Self, cast, final

from apns_core.errors import InvalidField
from apns_core.requests.values import from_zero_to_one, optional_text, text

__all__ = [
    "Alert",
    "CriticalSound",
    "InterruptionLevel",
    "LiveActivityAlert",
    "Localized",
    "part",
    "present",
]


@final
class InterruptionLevel(StrEnum):
    """How much a notification may interrupt."""

    PASSIVE = "passive"
    """Joins the list, without lighting up the screen or a sound."""
    ACTIVE = "active"
    """The default."""
    TIME_SENSITIVE = "time-sensitive"
    """Passes a Focus that admits it. Needs an entitlement."""
    CRITICAL = "critical"
    """Passes the mute switch too. Needs an entitlement that Apple gives on request."""


class _Part:
    """What is of a payload: copied, but not pickled."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # nothing changes it

    def __reduce__(self) -> NoReturn:
        raise TypeError("it is of a payload, and cannot be pickled")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(_Part):
    """What is shown. Raises InvalidField for texts that nothing would show.

    The texts themselves, or keys of the app's ``Localizable.strings`` with arguments that take the
    places of ``%@`` in them. ``launch_image``: a file in the app, or a storyboard.
    """

    # What is of the payload is left out of the repr: it would end in logs.
    title: str | None = field(default=None, repr=False)
    subtitle: str | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    launch_image: str | None = field(default=None, repr=False)
    title_loc_key: str | None = field(default=None, repr=False)
    title_loc_args: Sequence[str] | None = field(default=None, repr=False)
    subtitle_loc_key: str | None = field(default=None, repr=False)
    subtitle_loc_args: Sequence[str] | None = field(default=None, repr=False)
    loc_key: str | None = field(default=None, repr=False)
    """Of the body."""
    loc_args: Sequence[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in _ALERT_TEXTS:
            optional_text(name, getattr(self, name))
        for name in _ALERT_ARGUMENTS:
            _keep_arguments(self, name, name.replace("args", "key"))
        if all(getattr(self, name) is None for name in _ALERT_TEXTS if name != "launch_image"):
            raise InvalidField("alert", "shows no text: give a title, a body or a key for one")

    def members(self) -> Mapping[str, object]:
        """Return the members of its JSON object."""
        # Each member is called as its attribute is, but for the hyphens.
        texts = {name: getattr(self, name) for name in _ALERT_TEXTS}
        arguments = {name: _listed(getattr(self, name)) for name in _ALERT_ARGUMENTS}
        members = present(texts | arguments)
        return {name.replace("_", "-"): value for name, value in members.items()}


_ALERT_TEXTS: Final = (
    "title",
    "subtitle",
    "body",
    "launch_image",
    "title_loc_key",
    "subtitle_loc_key",
    "loc_key",
)
_ALERT_ARGUMENTS: Final = ("title_loc_args", "subtitle_loc_args", "loc_args")


@final
@dataclass(frozen=True, slots=True)
class CriticalSound(_Part):
    """The sound of a critical alert, which the mute switch does not mute.

    ``name``: a file in the app's bundle or its ``Library/Sounds``. ``volume``: from 0.0 to 1.0.
    Raises InvalidField.
    """

    name: str = field(default="default", repr=False)
    volume: float = 1.0

    def __post_init__(self) -> None:
        text("name", self.name)
        from_zero_to_one("volume", self.volume)

    def members(self) -> Mapping[str, object]:
        """Return the members of its JSON object."""
        return {"critical": 1, "name": self.name, "volume": self.volume}


@final
@dataclass(frozen=True, slots=True)
class Localized(_Part):
    """A text of a Live Activity's alert: a key of the app's, and arguments. Raises InvalidField."""

    loc_key: str = field(repr=False)
    loc_args: Sequence[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        text("loc_key", self.loc_key)
        _keep_arguments(self, "loc_args", "loc_key")

    def members(self) -> Mapping[str, object]:
        """Return the members of its JSON object."""
        return present({"loc-key": self.loc_key, "loc-args": _listed(self.loc_args)})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LiveActivityAlert(_Part):
    """Lights up the screen with an update of a Live Activity. Raises InvalidField."""

    title: str | Localized = field(repr=False)
    body: str | Localized = field(repr=False)
    sound: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("title", "body"):
            if not isinstance(getattr(self, name), Localized):
                text(name, getattr(self, name))
        optional_text("sound", self.sound)

    def members(self) -> Mapping[str, object]:
        """Return the members of its JSON object."""
        return present({"title": part(self.title), "body": part(self.body), "sound": self.sound})


def part(value: object) -> object:
    """Return a part as the members of its JSON object, and anything else as it is."""
    return value.members() if isinstance(value, _PARTS) else value


def present(members: Mapping[str, object]) -> dict[str, object]:
    """Leave out the members that are None."""
    return {name: value for name, value in members.items() if value is not None}


def _listed(args: Sequence[str] | None) -> list[str] | None:
    return None if args is None else list(args)


def _keep_arguments(owner: object, field: str, key_field: str) -> None:
    """Check arguments, and keep them as a tuple: what was checked is what is sent."""
    args = getattr(owner, field)
    if args is None:
        return
    # A str is a sequence of its characters.
    if isinstance(args, str) or not isinstance(args, Sequence):
        raise InvalidField(field, "not a sequence of texts")
    texts = tuple(cast("Sequence[object]", args))
    if not all(isinstance(arg, str) for arg in texts):
        raise InvalidField(field, "not a sequence of texts")
    if getattr(owner, key_field) is None:
        raise InvalidField(field, "arguments without a key")
    object.__setattr__(owner, field, texts)


_PARTS: Final = (Alert, CriticalSound, Localized, LiveActivityAlert)
