"""The connection to NATS: how it begins, how it ends, and that it comes back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_twisted
from nats.aio.client import Client
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NoAnswer, NobodyListens, NotConnected
from disroom.adapters.nats.inbox import Inbox
from disroom.adapters.nats.message import Incoming
from tests.adapters.nats.connections import Connections, Messages, answers
from tests.contract.witness import promise
from tests.eventually import eventually, stand_still
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy
from tests.processes.ports import ReservedPort

NewNats = Callable[..., NatsServer]


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def connections() -> AsyncIterator[Connections]:
    """Connections that are stopped after the test."""
    made = Connections()
    yield made
    await made.stop()


# Starting.


@promise
async def test_a_server_that_cannot_be_reached_is_named(connections: Connections) -> None:
    """The operator reads within ten seconds which server it is, and what is wrong with it."""
    closed, silent = ReservedPort(), ReservedPort()
    expected = {
        f"nats://127.0.0.1:{closed.number}": "connection refused",
        f"nats://127.0.0.1:{silent.number}": "it does not answer",
        "nats://no-such-host.invalid:4222": "",
    }
    with silent.listen():  # it accepts and says nothing
        asked = [Deferred.fromCoroutine(connections.refused(url)) for url in expected]
        for (url, reason), text in zip(expected.items(), asked, strict=True):
            assert (await text).startswith(f"cannot connect to NATS: {url}: {reason}")
    closed.release()
    silent.release()


@promise
async def test_any_server_of_several_will_do(connections: Connections, nats: NatsServer) -> None:
    """A server that is down does not keep an instance from starting with another."""
    port = ReservedPort()
    dead = f"nats://127.0.0.1:{port.number}"
    for _ in range(4):  # they are tried in any order
        connection = await connections.start(dead, nats.url)
        assert connection.connected and connection.max_payload > 100_000
    port.release()


@promise
async def test_a_server_that_is_only_starting_is_waited_for(
    connections: Connections, nats: NatsServer
) -> None:
    """Brokers and instances can be started together."""
    asked: list[float] = []

    def addresses() -> list[str]:
        asked.append(time.monotonic())
        if len(asked) == 2:
            raise RuntimeError("no ports file")
        return [nats.url] if len(asked) > 3 else []

    connection = connections.make(addresses=addresses)
    await connection.start()
    assert connection.connected and len(asked) == 4


# Coming back.


@dataclass(slots=True)
class Told:
    """What a watcher of a connection was told."""

    events: list[str] = field(default_factory=list)

    def watch(self, connection: NatsConnection) -> Told:
        """Watch a connection."""
        connection.watch(
            connected=lambda: self.events.append("connected"),
            lost=lambda: self.events.append("lost"),
        )
        return self

    async def returned(self, times: int = 1, seconds: float = 10.0) -> None:
        """Wait until the connection has been lost and restored so many times."""
        await eventually(
            lambda: self.events == ["lost", "connected"] * times, seconds, lambda: f"{self.events}"
        )


@promise
async def test_subscriptions_survive_a_cut(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """After a broken connection an instance hears everything again, but what it cancelled."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy, nats.connect() as speaker:
        connection = await connections.start(proxy.url)
        told = Told().watch(connection)
        kept, cancelled = Messages(), Messages()
        connection.subscribe(f"{unique}.kept", kept.receive)
        connection.subscribe(f"{unique}.cancelled", cancelled.receive).cancel()
        await connection.flush(2.0)
        for times in (1, 2, 3):
            proxy.cut()
            await told.returned(times)
            speaker.publish(f"{unique}.cancelled", b"x")
            speaker.publish(f"{unique}.kept", b"%d" % times)
            await kept.heard(times)
        assert kept.payloads == [b"1", b"2", b"3"]
        assert cancelled.payloads == []


@promise
async def test_a_subscription_that_is_cancelled_leaves_nothing_running(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """Nor one on a connection of which nobody has noticed yet that it has ended."""
    connection = await connections.start(nats.url)
    for ended in (False, True):
        subscription = connection.subscribe(unique, lambda message: None)
        assert subscription._attached is not None and connection._link is not None
        running = subscription._attached[1]._wait_for_msgs_task
        if ended:
            connection._link._client._status = Client.CLOSED
        subscription.cancel()
        assert running is not None
        await eventually(running.done)


@promise
async def test_what_is_published_without_a_connection_is_refused_and_not_sent_later(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """What a user was told to have failed does not turn up by itself afterwards."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        connection = await connections.start(proxy.url)
        told, heard = Told().watch(connection), Messages()
        proxy.refuse()
        proxy.cut()
        await eventually(lambda: not connection.connected)
        with pytest.raises(NotConnected):
            await connection.publish(unique, b"lost")
        with pytest.raises(NotConnected):
            await connection.flush(2.0)
        with pytest.raises(NotConnected):
            await connection.wait_connected(0.05)
        connection.subscribe(unique, heard.receive)
        proxy.accept()
        await connection.wait_connected(10.0)
        await told.returned()
        await connection.publish(unique, b"sent")
        await heard.heard(1)
        assert heard.payloads == [b"sent"]


@promise
async def test_a_connection_that_the_server_closes_for_good_is_made_anew(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """An error after which nats-py would not reconnect does not cut the instance off for ever."""
    connection = await connections.start(nats.url)
    told, heard = Told().watch(connection), Messages()
    connection.subscribe(unique, heard.receive)
    too_much = b"x" * connection.max_payload  # with the header it is more than the server takes
    await connection.publish(unique, too_much, headers={"Too": "much"})
    await told.returned()
    await connection.publish(unique, b"hello")
    await heard.heard(1)
    assert heard.payloads == [b"hello"]


@promise
async def test_whatever_goes_wrong_on_the_way_to_a_server_it_is_tried_again(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """A mistake that nobody has foreseen costs an instance no more than the time that it lasts."""
    heard, asked = Messages(), 0
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:

        def addresses() -> list[str]:
            nonlocal asked
            asked += 1
            return ["nats://[::1"] if 1 < asked < 4 else [proxy.url]

        connection = connections.make(addresses=addresses)
        await connection.start()
        told = Told().watch(connection)
        connection.subscribe(unique, heard.receive)
        with capturedLogs() as logged:
            impossible = connection.subscribe("\ud800", heard.receive)
            proxy.cut()
            await eventually(lambda: asked > 5)
            assert told.events == ["lost"] and connection._link is None
            impossible.cancel()
            await told.returned()
        assert await answers(connection, f"{unique}.other")
        await connection.publish(unique, b"x")
        await heard.heard(1)
    failures = [event["log_failure"].value for event in logged if "log_failure" in event]
    # When it was subscribed to, then while connecting: each is told when it is another.
    assert [type(failure) for failure in failures] == [
        *(UnicodeEncodeError, ValueError, UnicodeEncodeError)
    ]


@promise
async def test_a_frozen_server_is_left_for_another(
    connections: Connections, new_nats: NewNats
) -> None:
    """A server that keeps the connection and says nothing is noticed within five seconds."""
    frozen, other = new_nats(name="frozen"), new_nats(name="other")
    at = frozen
    connection = await connections.start(addresses=lambda: [at.url])
    told = Told().watch(connection)
    at = other
    frozen.pause()
    # More than the sockets hold: what nats-py itself would wait for before it reconnects.
    for _ in range(20):
        await connection.publish("any", b"x" * 1_000_000)
    await told.returned(seconds=6.0)
    assert await answers(connection, "any")


@promise
async def test_a_server_that_answers_late_is_kept(
    connections: Connections, new_nats: NewNats
) -> None:
    """A moment's standstill of a server costs those who waited for it, and nobody else."""
    slow = new_nats(name="slow")
    connection = await connections.start(slow.url)
    slow.pause()
    with pytest.raises(NotConnected):
        await connection.flush(0.2)
    slow.resume()
    assert await answers(connection, "any")
    assert connection.number == 1


@promise
async def test_a_server_that_has_moved_is_found(
    connections: Connections, new_nats: NewNats
) -> None:
    """An embedded broker that comes back on another port is found there."""
    first, second = new_nats(name="first"), new_nats(name="second")
    at: list[NatsServer] = [first]
    connection = await connections.start(addresses=lambda: [at[0].url])
    told = Told().watch(connection)
    at.clear()  # while it moves, its address cannot be told
    first.kill()
    await eventually(lambda: told.events == ["lost"])
    at.append(second)
    await told.returned()
    assert await answers(connection, "any")


@promise
async def test_stopping_takes_no_time_in_any_state(
    connections: Connections, new_nats: NewNats
) -> None:
    """An instance can be stopped while its broker is away, or frozen."""
    server = new_nats()
    connected, cut_off, frozen = [await connections.start(server.url) for _ in range(3)]
    for connection in (connected, connections.make(server.url)):
        await _stopped_soon(connection)
    with pytest.raises(NotConnected):
        await connected.publish("any", b"")
    server.pause()
    await _stopped_soon(frozen)
    server.kill()
    await eventually(lambda: not cut_off.connected)
    await _stopped_soon(cut_off)
    with pytest.raises(NotConnected):
        await cut_off.wait_connected(10.0)


async def _stopped_soon(connection: NatsConnection) -> None:
    began = time.monotonic()
    for _ in range(2):
        await connection.stop()
    assert time.monotonic() - began < 1.5


@promise
async def test_a_subscriber_that_fails_hears_on(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """A mistake with one message does not keep an instance from the next."""
    connection = await connections.start(nats.url)
    heard = Messages()

    def receive(message: Incoming) -> None:
        heard.receive(message)
        raise RuntimeError("a mistake")

    connection.subscribe(unique, receive)
    for number in range(3):
        await connection.publish(unique, b"%d" % number)
    await heard.heard(3)
    assert connection.connected


@pytest.mark.parametrize("direct", [True, False])
@promise
async def test_a_message_with_a_ready_made_header_arrives(
    connections: Connections, nats: NatsServer, unique: str, direct: bool
) -> None:
    """By the short way, and by nats-py's where that is not the one which is known."""
    connection = await connections.start(nats.url)
    heard: list[tuple[bytes, str, dict[str, str]]] = []
    assert connection._link is not None
    connection._link._client.direct = direct
    connection.subscribe(unique, lambda m: heard.append((m.data, m.reply, m.headers)))
    connection.send(unique, b"data", reply="re.ply", head=b"NATS/1.0\r\nA: b\r\n\r\n")
    await eventually(lambda: heard)
    assert heard == [(b"data", "re.ply", {"A": "b"})]
    await connection.stop()
    with pytest.raises(NotConnected):
        connection.send(unique, b"lost", reply="re.ply", head=b"NATS/1.0\r\n\r\n")


# Requests.


@promise
async def test_a_request_is_answered_or_says_why_not(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """Nobody waits longer than necessary for an answer that will not come."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        connection = await connections.start(proxy.url)
        inbox = Inbox(connection, reactor)
        silent = connection.subscribe(f"{unique}.silent", lambda message: None)

        def echo(message: Incoming) -> None:
            Deferred.fromCoroutine(connection.publish(message.reply, message.data))

        connection.subscribe(f"{unique}.echo", echo)
        assert (await inbox.request(f"{unique}.echo", b"hello")).data == b"hello"
        with pytest.raises(NobodyListens):
            await inbox.request(f"{unique}.nobody", b"")
        with pytest.raises(NoAnswer, match=r"within 0\.05 s"):
            await inbox.request(silent.subject, b"", seconds=0.05)
        waiting = Deferred.fromCoroutine(inbox.request(silent.subject, b"", seconds=30))
        proxy.cut()
        with pytest.raises(NotConnected):
            await waiting
        await connection.wait_connected(10.0)
        assert (await inbox.request(f"{unique}.echo", b"again")).data == b"again"


@promise
async def test_whoever_is_told_of_a_cut_may_end_the_wait_of_another(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """A room that is left because of it, say, waits for nothing more; all others are told."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        connection = await connections.start(proxy.url)
        inbox = Inbox(connection, reactor)
        silent = connection.subscribe(unique, lambda message: None)
        inbox.expect(lambda outcome: ended.cancel())
        ended = Deferred.fromCoroutine(inbox.request(silent.subject, b"", seconds=30))
        ended.addErrback(lambda failure: failure.trap(CancelledError) and None)
        told: list[object] = []
        inbox.expect(told.append)
        proxy.cut()
        await eventually(lambda: told)
        assert isinstance(told[0], NotConnected)


@promise
async def test_what_is_asked_before_a_standstill_is_answered(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """Nobody is told that NATS does not answer because their own server was frozen."""
    connection = await connections.start(nats.url)
    inbox = Inbox(connection, reactor)

    def echo(message: Incoming) -> None:
        Deferred.fromCoroutine(connection.publish(message.reply, message.data))

    connection.subscribe(unique, echo)
    await connection.flush(2.0)
    flushed = Deferred.fromCoroutine(connection.flush(0.2))
    answered = Deferred.fromCoroutine(inbox.request(unique, b"hello", seconds=0.2))
    stand_still(0.5)
    await flushed
    assert (await answered).data == b"hello"


@promise
async def test_an_answer_that_comes_during_a_standstill_is_taken(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """It lies in the socket when the time is up, and is read though the time is up."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy, nats.connect() as friend:
        friend.subscribe(unique)
        friend.flush()
        connection = await connections.start(proxy.url)
        answered = Deferred.fromCoroutine(
            Inbox(connection, reactor).request(unique, b"hello", seconds=0.3)
        )
        await eventually(lambda: any(seen.frame.subject == unique for seen in proxy.seen))
        asked = friend.next_message()
        assert asked.reply is not None
        friend.publish(asked.reply, b"hello yourself")
        friend.flush()
        stand_still(0.6)
        assert (await answered).data == b"hello yourself"
