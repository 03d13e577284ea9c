import json

import click
import pytest
from click.testing import CliRunner

from apns_cli.payload_options import Content, content_options
from apns_core import InvalidField, PushType

SEEN: list[Content] = []


@click.command
@content_options
@click.argument("word")
def show(content: Content, word: str) -> None:
    click.echo(word)
    SEEN.append(content)


def content_of(*args: str, stdin: str | None = None) -> Content:
    result = CliRunner().invoke(show, [*args, "word"], input=stdin)
    assert (result.exit_code, result.stdout) == (0, "word\n"), result.stderr
    return SEEN.pop()


@pytest.mark.parametrize(
    ("args", "aps"),
    [
        (("--body", "Hi"), {"alert": "Hi"}),
        (("--title", "A", "--body", "B"), {"alert": {"title": "A", "body": "B"}}),
        (("--subtitle", "S"), {"alert": {"subtitle": "S"}}),
        (("--badge", "0"), {"badge": 0}),
        (
            ("--body", "Hi", "--sound", "default", "--category", "C", "--thread-id", "T"),
            {"alert": "Hi", "sound": "default", "category": "C", "thread-id": "T"},
        ),
        (
            ("--body", "Hi", "--mutable-content", "--content-available"),
            {"alert": "Hi", "mutable-content": 1, "content-available": 1},
        ),
        (
            ("--body", "Hi", "--interruption-level", "time-sensitive"),
            {"alert": "Hi", "interruption-level": "time-sensitive"},
        ),
    ],
)
def test_the_parts_of_an_alert(args: tuple[str, ...], aps: dict[str, object]) -> None:
    assert json.loads(content_of(*args).encode(PushType.ALERT)) == {"aps": aps}


@pytest.mark.parametrize(
    ("push_type", "aps"),
    [
        (PushType.BACKGROUND, {"content-available": 1}),
        (PushType.WIDGETS, {"content-changed": True}),
        (PushType.CONTROLS, {"content-changed": True}),
    ],
)
def test_what_nobody_sees(push_type: PushType, aps: dict[str, object]) -> None:
    assert json.loads(content_of().encode(push_type)) == {"aps": aps}
    assert json.loads(content_of("--data", "k=v").encode(push_type)) == {"aps": aps, "k": "v"}


def test_a_document_is_all_of_it() -> None:
    content = content_of("--payload", "-", stdin='{"aps": {}} ')
    assert content.encode(PushType.VOIP) == b'{"aps": {}} '


@pytest.mark.parametrize(
    ("args", "push_type", "problem"),
    [
        (("--payload", "-", "--title", "A"), PushType.ALERT, "leave out --title"),
        (("--payload", "-", "--badge", "0"), PushType.ALERT, "leave out --badge"),
        (("--payload", "-", "--data", "k=v"), PushType.ALERT, "leave out --data"),
        (("--mutable-content",), PushType.BACKGROUND, "leave out --mutable-content"),
        (("--thread-id", "T"), PushType.WIDGETS, "leave out --thread-id"),
        (("--body", "B"), PushType.VOIP, "by --payload"),
        ((), PushType.LIVEACTIVITY, "by --payload"),
    ],
)
def test_options_that_contradict_each_other(
    args: tuple[str, ...], push_type: PushType, problem: str
) -> None:
    with pytest.raises(click.UsageError, match=problem):
        content_of(*args, stdin="{}").encode(push_type)


@pytest.mark.parametrize("args", [(), ("--data", "k=v"), ("--body", ""), ("--badge", "-1")])
def test_what_no_device_would_show(args: tuple[str, ...]) -> None:
    with pytest.raises(InvalidField):
        content_of(*args).encode(PushType.ALERT)


def test_what_it_says_is_not_shown() -> None:
    content = content_of("--title", "secret", "--body", "secret", "--data", "k=secret")
    assert "secret" not in repr(content)
