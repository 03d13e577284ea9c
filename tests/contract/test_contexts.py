"""In whose context things happen: connections are the client's, sources their caller's."""

import gc
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar

from apns_core import Notification
from tests.contract.kit import Client, Kit, both_loops, collect, notifications, send


class Request:
    """What a web framework keeps in a context, say."""


REQUEST: ContextVar[Request | None] = ContextVar("REQUEST", default=None)


async def handle(client: Client, requests: list[weakref.ref[Request]]) -> None:
    request = Request()
    requests.append(weakref.ref(request))
    REQUEST.set(request)
    await send(client)


@both_loops
async def test_a_connection_inherits_no_context_of_a_caller(kit: Kit) -> None:
    seen: list[Request | None] = []

    async def look_up() -> None:
        seen.append(REQUEST.get())

    kit.look_up = look_up
    async with kit.client(kit.serve()) as client:
        REQUEST.set(Request())
        await send(client)
    REQUEST.set(None)
    assert seen == [None]


@both_loops
async def test_a_connection_keeps_no_caller_s_context_alive(kit: Kit) -> None:
    requests: list[weakref.ref[Request]] = []
    async with kit.client(kit.serve()) as client:
        for _ in range(2):
            await kit.spawn(handle, client, requests).end()
        await kit.sleep(1)
        gc.collect()
        assert [request() for request in requests] == [None, None]


@both_loops
async def test_a_source_is_read_in_the_context_of_its_caller(kit: Kit) -> None:
    request = Request()
    seen: set[Request | None] = set()

    async def source() -> AsyncIterator[Notification]:
        for each in notifications(3):
            seen.add(REQUEST.get())
            yield each

    async with kit.client(kit.serve()) as client:
        REQUEST.set(request)
        await collect(client.send_many(source()))
    REQUEST.set(None)
    assert seen == {request}
