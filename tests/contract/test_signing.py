"""Signers of provider tokens that take their time, and what goes on meanwhile."""

import asyncio
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NoReturn, cast
from unittest.mock import patch

import pytest

import apns_asyncio
import apns_trio
from apns_core import ClientClosed, InvalidField
from apns_core.adapters.signers import SIGNING_TIMEOUT
from apns_core.trust.provider_token import SIGNING_RETRY, TokenSigner
from apns_core.trust.signing import RemoteKey
from apns_simulator import ProviderKey, make_provider_key
from tests.contract.kit import Client, Kit, both_loops, each_loop, name_of, send


@dataclass
class Slow:
    """Signs when it may, in a thread; ``error`` is what it raises instead."""

    key: ProviderKey = field(default_factory=make_provider_key)
    error: BaseException | None = None
    blocking: bool = True
    begun: int = 0
    ended: int = 0
    may: threading.Event = field(default_factory=threading.Event)

    def sign(self, issued_at: int) -> str:
        self.begun += 1
        assert self.may.wait(10)
        self.ended += 1
        error, self.error = self.error, None
        if error is not None:
            raise error
        return self.key.sign(issued_at)


class Answers:
    """One `send`, waited for in small steps: threads know no virtual time."""

    def __init__(self, kit: Kit, client: Client) -> None:
        self._kit = kit
        self._client = client
        self._answers: list[str] = []
        self._task = kit.spawn(self._send)

    async def _send(self) -> None:
        self._answers.append(await send(self._client))

    async def end(self) -> str:
        await self._kit.until(lambda: self._answers)
        await self._task.end()
        return self._answers[0]


def replace_signer(client: Client, signer: TokenSigner) -> None:
    assert isinstance(client, apns_asyncio.Client | apns_trio.Client)
    client.replace_token_signer(signer)


@each_loop
async def test_the_loop_goes_on_while_a_signer_blocks(kit: Kit) -> None:
    slow = Slow()
    server = kit.serve(authentication="token", trusted_keys=slow.key.trusted())
    async with kit.client(server, signer=slow) as client:
        task = kit.spawn(send, client)
        await kit.until(lambda: slow.begun)
        await kit.turns(20)
        assert not slow.ended
        task.cancel()
        assert await task.end() == "cancelled"
        answer = Answers(kit, client)
        await kit.turns()
        slow.may.set()
        assert await answer.end() == "accepted"
        assert await send(client, 1) == "accepted"
    assert slow.begun == 1


@each_loop
async def test_a_remote_key_signs_in_a_thread(kit: Kit) -> None:
    threads: list[str] = []

    def sign_message(_: bytes) -> bytes:
        threads.append(threading.current_thread().name)
        return bytes(64)

    key = RemoteKey(sign_message, key_id="ABC123DEFG", team_id="DEF123GHIJ")
    async with kit.client(kit.serve(), signer=key) as client:
        assert await Answers(kit, client).end() == "accepted"
    (name,) = threads
    assert name != threading.current_thread().name


@pytest.mark.parametrize("error", [ValueError("the key"), SystemExit(1)])
@each_loop
async def test_what_a_signer_raises_in_its_thread_is_told_and_tried_again(
    kit: Kit, error: BaseException
) -> None:
    slow = Slow(error=error)
    server = kit.serve(authentication="token", trusted_keys=slow.key.trusted())
    async with kit.client(server, signer=slow) as client:
        answer = Answers(kit, client)
        await kit.until(lambda: slow.begun)
        slow.may.set()
        await kit.until(lambda: client.last_error)
        await kit.sleep(SIGNING_RETRY - 0.1)
        assert await answer.end() == "accepted"
        assert str(client.last_error) == f"signing raised {type(error).__name__}"
    assert slow.begun == 2
    error.__traceback__ = None


class Cancelled(BaseException):
    """Such as ``asyncio.CancelledError``: no Exception, and of no program's end."""


@pytest.mark.parametrize("error", [ValueError, Cancelled, asyncio.CancelledError, GeneratorExit])
@both_loops
async def test_what_a_signer_raises_is_tried_again(kit: Kit, error: type[BaseException]) -> None:
    class Fails:
        key = make_provider_key()
        signed = 0

        def sign(self, issued_at: int) -> str:
            self.signed += 1
            if self.signed == 1:
                raise error
            return self.key.sign(issued_at)

    signer = Fails()
    server = kit.serve(authentication="token", trusted_keys=signer.key.trusted())
    async with kit.client(server, signer=signer) as client:
        assert await send(client) == "accepted"
        assert str(client.last_error) == f"signing raised {error.__name__}"
    assert kit.now() == SIGNING_RETRY


@each_loop
async def test_a_signer_that_hangs_has_failed_after_a_while(kit: Kit) -> None:
    slow = Slow()
    server = kit.serve(authentication="token", trusted_keys=slow.key.trusted())
    connection = {"request_timeout": 1_000.0}
    async with kit.client(server, signer=slow, connection=connection) as client:
        answer = Answers(kit, client)
        await kit.until(lambda: slow.begun)
        await kit.sleep(SIGNING_TIMEOUT - 1)
        assert client.last_error is None
        await kit.sleep(1.1)
        assert str(client.last_error) == "signing raised TimeoutError"
        slow.may.set()
        await kit.until(lambda: slow.ended)
        await kit.turns()
        assert not kit.sender(client).in_flight  # what came late is ignored
        await kit.sleep(SIGNING_RETRY - 0.5)
        assert await answer.end() == "accepted"
    assert slow.begun == 2


@pytest.mark.parametrize("then", ["they end", "the key is replaced"])
@each_loop
async def test_no_more_threads_than_so_many_hang(kit: Kit, then: str) -> None:
    slow = Slow()
    new = make_provider_key()
    trusted = {**slow.key.trusted(), **new.trusted()}
    server = kit.serve(authentication="token", trusted_keys=trusted)
    connection = {"request_timeout": 1_000.0}
    with patch("apns_core.adapters.pump.MAX_THREADS", 2):
        async with kit.client(server, signer=slow, connection=connection) as client:
            answer = Answers(kit, client)
            await kit.sleep(SIGNING_TIMEOUT + SIGNING_RETRY + 1)
            await kit.until(lambda: slow.begun == 2)
            await kit.sleep(SIGNING_TIMEOUT + 5 * SIGNING_RETRY)
            assert slow.begun == 2
            if then == "they end":
                slow.may.set()
                await kit.until(lambda: slow.ended == 2)
                await kit.sleep(SIGNING_RETRY)
            else:
                replace_signer(client, new)
            assert await answer.end() == "accepted"
            slow.may.set()
            await kit.until(lambda: slow.ended == slow.begun)
        assert slow.begun == (3 if then == "they end" else 2)


@each_loop
async def test_closing_waits_for_no_signer(kit: Kit) -> None:
    slow = Slow()
    async with kit.client(kit.serve(authentication="token"), signer=slow) as client:
        task = kit.spawn(send, client)
        await kit.until(lambda: slow.begun)
        before = time.monotonic()
        await client.aclose(0)
        assert await task.end() == "unprocessed CLOSED"
    assert time.monotonic() < before + 5
    assert not slow.ended
    slow.may.set()
    await kit.until(lambda: slow.ended)
    await kit.settle()
    assert client.last_error is None


@each_loop
async def test_no_thread_for_a_signer(kit: Kit) -> None:
    def start(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    slow = Slow()
    slow.may.set()
    server = kit.serve(authentication="token", trusted_keys=slow.key.trusted())
    async with kit.client(server, signer=slow) as client:
        with ExitStack() as stack:
            for place in ("threading.Thread.start", "trio.to_thread.run_sync"):
                stack.enter_context(patch(place, start))
            answer = Answers(kit, client)
            await kit.until(lambda: client.last_error)
        assert str(client.last_error) == "signing raised RuntimeError"
        await kit.sleep(SIGNING_RETRY - 0.1)
        assert await answer.end() == "accepted"


@each_loop
async def test_a_key_that_is_replaced_is_not_waited_for(kit: Kit) -> None:
    old, new = Slow(), Slow()
    new.may.set()
    server = kit.serve(authentication="token", trusted_keys=new.key.trusted())
    async with kit.client(server, signer=old, connect_floor=0.0) as client:
        answer = Answers(kit, client)
        await kit.until(lambda: old.begun)
        replace_signer(client, new)
        assert await answer.end() == "accepted"
        old.may.set()
        await kit.until(lambda: old.ended)
        await kit.turns()
        assert await send(client, 1) == "accepted"
        assert name_of(client.last_error) == "none"


@each_loop
async def test_a_new_key_signs_once_where_the_old_one_had_signed(kit: Kit) -> None:
    old, new = Slow(), Slow()
    old.may.set()
    trusted = {**old.key.trusted(), **new.key.trusted()}
    server = kit.serve(authentication="token", trusted_keys=trusted, latency=0.1)
    async with kit.client(server, signer=old, connect_floor=0.0) as client:
        assert await Answers(kit, client).end() == "accepted"
        in_flight = Answers(kit, client)
        await kit.turns()
        at = kit.now()
        replace_signer(client, new)
        await kit.until(lambda: new.begun)
        new.may.set()
        assert await in_flight.end() == "accepted"
        assert await Answers(kit, client).end() == "accepted"
        assert kit.now() < at + SIGNING_RETRY
        assert client.last_error is None
    assert (old.begun, new.begun) == (1, 1)


@each_loop
async def test_a_key_is_replaced_as_long_as_there_is_something_to_sign_for(kit: Kit) -> None:
    old, new = make_provider_key(), make_provider_key()
    server = kit.serve(authentication="token", trusted_keys=new.trusted(), latency=1)
    client = kit.client(server, signer=old, connect_floor=0.0)
    with pytest.raises(ClientClosed, match="not open yet"):
        replace_signer(client, new)
    async with client:
        kit.look_up = lambda: kit.sleep(5)
        task = kit.spawn(send, client)
        await kit.turns()
        closing = kit.spawn(client.aclose)
        await kit.turns()
        replace_signer(client, new)
        assert await task.end() == "accepted"
        assert await closing.end() == "None"
        with pytest.raises(ClientClosed, match="is closed"):
            replace_signer(client, old)
    with pytest.raises(ClientClosed, match="is closed"):
        replace_signer(client, old)


@each_loop
async def test_a_signer_that_would_have_to_be_awaited_is_refused(kit: Kit) -> None:
    class Awaited:
        async def sign(self, issued_at: int) -> str:
            raise NotImplementedError(issued_at)

    awaited = cast("TokenSigner", Awaited())
    with pytest.raises(InvalidField, match=r"^token_signer: "):
        kit.client(443, signer=awaited)
    async with kit.client(kit.serve(), signer=make_provider_key()) as client:
        with pytest.raises(InvalidField, match=r"^token_signer: "):
            replace_signer(client, awaited)
