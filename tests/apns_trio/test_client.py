"""What trio alone knows: nurseries, shields, groups of exceptions, Ctrl-C."""

import errno
import os
import select
import signal
import socket
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
import trio
import trio.testing

import apns_trio
from apns_core import Endpoint, Notification
from apns_core.proxy import Proxy
from apns_simulator import SimulatorConfig, SimulatorThread, Temper, make_provider_key
from apns_trio.pump import Pump
from tests.contract import on_trio
from tests.contract.kit import Client, Kit, collect, name_of, notification, notifications, send


def _pump(client: Client) -> Pump:
    assert isinstance(client, apns_trio.Client)
    return client._open()


def test_tasks_end_with_their_client() -> None:
    async def scenario(kit: Kit) -> None:
        before = trio.lowlevel.current_task().child_nurseries
        async with kit.client(kit.serve()) as client:
            (nursery,) = [
                n for n in trio.lowlevel.current_task().child_nurseries if n not in before
            ]
            await send(client)
            assert nursery.child_tasks
        assert not nursery.child_tasks
        assert nursery not in trio.lowlevel.current_task().child_nurseries

    on_trio.run(scenario)


def test_a_shield_around_the_body_is_a_shield() -> None:
    """Connections are not torn down by a cancellation that those who call do not see."""

    async def scenario(kit: Kit) -> None:
        with trio.CancelScope() as outer:
            async with kit.client(kit.serve()) as client:
                outer.cancel()
                with trio.CancelScope(shield=True):
                    assert await send(client) == "accepted"
                await trio.lowlevel.checkpoint()
        assert outer.cancelled_caught

    on_trio.run(scenario)


def test_ctrl_c_in_the_body_comes_out_as_itself() -> None:
    async def scenario(kit: Kit) -> None:
        server = kit.serve(temper=Temper(silent_after=0))
        task = kit.spawn(kit.sleep, 0)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it leaves the inner block
            async with kit.client(server) as client:
                task = kit.spawn(send, client)
                await kit.sleep(1)
                signal.raise_signal(signal.SIGINT)
                await kit.sleep(1)
        assert await task.end() == "unknown CLOSED"

    on_trio.run(scenario)


@pytest.mark.parametrize(("error", "times"), [(None, 1), (None, 2), (ValueError(), 1)])
def test_ctrl_c_while_the_client_s_tasks_end_comes_out_as_itself(
    error: Exception | None, times: int
) -> None:
    steps: list[str] = []

    @trio.lowlevel.enable_ki_protection  # or it comes out of the source, and not of who waits
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    async def scenario(kit: Kit) -> None:
        async def source() -> AsyncIterator[Notification]:
            try:
                yield notification()
                await kit.sleep(100)
            finally:
                with kit.shielded():
                    for _ in range(times):
                        await kit.sleep(1)
                        interrupt()
                    await kit.sleep(1)
                steps.append("ended")

        with pytest.raises(KeyboardInterrupt) as caught:  # noqa: PT012 - it leaves the inner block
            async with kit.client(kit.serve()) as client:
                outcomes = client.send_many(source())
                await anext(aiter(outcomes))
                if error is not None:
                    raise error
        context = caught.value.__context__
        if error is None and times == 2:
            assert isinstance(context, KeyboardInterrupt)
        else:
            assert context is error
        assert steps == ["ended"]
        assert kit.now() == times + 1

    on_trio.run(scenario)
    if error is not None:
        error.__traceback__ = None


def test_ctrl_c_in_a_task_of_the_client_interrupts_the_body() -> None:
    """In that task it would come out in a group."""

    async def scenario(kit: Kit) -> None:
        server = kit.serve(temper=Temper(silent_after=0))
        body = trio.lowlevel.current_task()
        interrupted: list[str] = []

        def interrupt() -> list[object]:
            task = trio.lowlevel.current_task()
            if task is not body and not interrupted:
                interrupted.append(task.name)
                signal.raise_signal(signal.SIGINT)
            return []

        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the same
            async with kit.client(server) as client:
                with patch.object(_pump(client).sender, "outcomes", interrupt):
                    await send(client)
        assert len(interrupted) == 1

    on_trio.run(scenario)


def test_ctrl_c_while_a_caller_s_frame_signs_leaves_the_client_in_order() -> None:
    class Signer:
        def __init__(self) -> None:
            self.key = make_provider_key()
            self.signed = 0

        def sign(self, issued_at: int) -> str:
            self.signed += 1
            if self.signed == 1:
                signal.raise_signal(signal.SIGINT)
            return self.key.sign(issued_at)

    async def scenario(kit: Kit) -> None:
        signer = Signer()
        server = kit.serve(authentication="token", trusted_keys=signer.key.trusted())
        async with kit.client(server, signer=signer) as client:
            with pytest.raises(KeyboardInterrupt):
                await send(client)
            assert [await send(client, number) for number in range(2)] == ["accepted"] * 2
            assert kit.now() == 0

    on_trio.run(scenario)


def test_a_connection_that_is_called_off_in_the_moment_in_which_it_stands() -> None:
    async def scenario(kit: Kit) -> None:
        server = kit.serve()
        async with kit.client(server) as client:

            def call_off(_: str | None) -> None:
                _pump(client).abort()

            with patch("apns_trio.link.check_alpn", call_off):
                assert await send(client) == "unprocessed CLOSED"
            assert client.last_error is None
        assert [bytes(peer.heard) for peer in server.peers] == [b""]

    on_trio.run(scenario)


def test_outcomes_left_alone_withdraw_and_warn_of_nothing() -> None:
    async def scenario(kit: Kit) -> object:
        server = kit.serve(latency=1, max_concurrent_streams=2)
        async with kit.client(server, max_queued=10) as client:
            async for _ in client.send_many(notification(n) for n in range(1_000)):
                break
            await kit.sleep(10)
            return server.ledger.processed_count

    assert on_trio.run(scenario).result in {4, 6}


def test_outcomes_that_outlive_their_loop() -> None:
    async def scenario(kit: Kit) -> object:
        async with kit.client(kit.serve()) as client:
            outcomes = client.send_many(notifications(5))
            await anext(aiter(outcomes))
            return outcomes

    observed = on_trio.run(scenario)
    del observed


def test_the_options_of_tcp() -> None:
    async def scenario(kit: Kit) -> None:
        async with kit.client(kit.serve()) as client:
            await send(client)
            (link,) = _pump(client)._links.values()
            assert link._stream is not None
            plain = link._stream._connection
            assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    on_trio.run(scenario)


def test_a_source_may_close_the_client_that_reads_it() -> None:
    async def scenario(kit: Kit) -> str:
        async def source() -> AsyncIterator[Notification]:
            yield notification(1)
            await client.aclose()

        async with kit.client(kit.serve()) as client:
            task = kit.spawn(collect, client.send_many(source()))
            await kit.sleep(1)
        return await task.end()

    assert on_trio.run(scenario).result == "ClientClosed"


@pytest.mark.parametrize("where", ["here", "in a child task"])
def test_a_source_may_close_outcomes_that_somebody_waits_for(where: str) -> None:
    async def scenario(kit: Kit) -> str:
        async def source() -> AsyncIterator[Notification]:
            yield notification(1)
            await kit.sleep(1)
            if where == "here":
                await outcomes.aclose()
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(outcomes.aclose)

        async with kit.client(kit.serve()) as client:
            outcomes = client.send_many(source())
            end = await kit.spawn(collect, outcomes).end()
            assert kit.now() == 1
        return end

    assert on_trio.run(scenario).result == "{1: 'accepted'}"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("can't start new thread"), "ConnectFailed"),
        (UnicodeError("label too long"), "ConnectFailed"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_look_up_for_which_there_is_no_thread_is_tried_again(error: Exception, told: str) -> None:
    async def scenario(kit: Kit) -> None:
        errors = [error]

        async def look_up() -> None:
            if errors:
                raise errors.pop()

        kit.look_up = look_up
        async with kit.client(kit.serve()) as client:
            assert await send(client) == "accepted"
            assert name_of(client.last_error) == told

    on_trio.run(scenario)


def test_a_proxy_for_whose_look_up_there_is_no_thread_is_tried_again() -> None:
    async def scenario(kit: Kit) -> str:
        async def look_up() -> None:
            raise RuntimeError("can't start new thread")

        kit.look_up = look_up
        proxy = Proxy("http://localhost:9")
        async with kit.make_client(Endpoint("localhost", 9), proxy=proxy) as client:
            outcome = await send(client)
            assert name_of(client.last_error) == "ConnectFailed"
        return outcome

    assert on_trio.run(scenario).result == "unprocessed DEADLINE"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
def test_why_a_proxy_cannot_be_reached_is_told(addresses: list[str]) -> None:
    async def scenario(kit: Kit) -> str:
        kit.addresses = addresses
        proxy = Proxy("http://localhost:9")
        async with kit.make_client(Endpoint("localhost", 9), proxy=proxy) as client:
            await send(client)
            return str(client.last_error)

    told = on_trio.run(scenario).result
    assert isinstance(told, str)
    assert "cannot be reached" in told
    assert told.count(os.strerror(errno.ECONNREFUSED)) == len(addresses)


def test_an_answer_that_was_there_in_time_counts_after_the_loop_was_held_up() -> None:
    """The deadline and the answer are seen in the same turn of the loop."""

    async def main(simulator: SimulatorThread) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        client = apns_trio.Client(
            Endpoint(simulator.host, simulator.port),
            ssl_context=simulator.client_context(),
        )
        ends: list[str] = []

        async def send_one(number: int) -> None:
            ends.append(await send(client, number))

        async with client, trio.open_nursery() as nursery:
            await send_one(0)
            (link,) = _pump(client)._links.values()
            assert link._stream is not None
            plain = link._stream._connection
            for number in range(1, 11):
                nursery.start_soon(send_one, number)
                while not _pump(client).sender.in_flight or link._writing:
                    await trio.lowlevel.checkpoint()
                readable, _, _ = select.select([plain], [], [], 5)
                assert readable
                clock.jump(60)
                await trio.testing.wait_all_tasks_blocked()
                assert ends == ["accepted"] * (number + 1)

    config = SimulatorConfig(authentication="none", latency=0.02)  # there is time to block
    with SimulatorThread(config) as simulator:
        trio.run(main, simulator, clock=trio.testing.MockClock())
