"""What every implementation of ICourier promises: in memory and on NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from disroom.adapters.memory.courier import MemoryCourier, MemoryPost
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.courier import NatsCourier
from disroom.adapters.nats.settings import NatsSettings
from disroom.chat.errors import NotDelivered
from disroom.chat.events import PrivateMessage
from disroom.chat.interfaces import ICourier
from disroom.chat.names import Nick
from tests.contract.witness import promise
from tests.processes.nats import NatsServer

ALICE, BOB = Nick.parse("Alice"), Nick.parse("bob")

Courier = MemoryCourier | NatsCourier


class Post:
    """Makes couriers that reach each other."""

    def __init__(self, server: NatsServer | None, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._memory = MemoryPost()
        self._connections: list[NatsConnection] = []

    async def courier(self, incarnation: str) -> Courier:
        """Make the courier of an instance."""
        if self._server is None:
            return MemoryCourier(self._memory, incarnation)
        settings = NatsSettings((self._server.url,))
        connection = NatsConnection(lambda: settings, clock=reactor, instance_name=incarnation)
        self._connections.append(connection)
        courier = NatsCourier(connection, clock=reactor, prefix=self._prefix)
        courier.set_incarnation(incarnation)
        await connection.start()
        return courier

    async def settled(self) -> None:
        """Wait until the server knows who listens to what."""
        for connection in self._connections:
            await connection.flush(2.0)

    async def close(self) -> None:
        """Disconnect all."""
        for connection in self._connections:
            await connection.stop()


@pytest_twisted.async_yield_fixture(  # type: ignore[untyped-decorator]  # it has no annotations
    params=["memory", "nats"]
)
async def post(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Post]:
    """Couriers of each kind in turn."""
    server = None if request.param == "memory" else request.getfixturevalue("nats")
    made = Post(server, unique)
    yield made
    await made.close()


class Sessions:
    """The sessions of an instance, and what they got."""

    def __init__(self, *sessions: str) -> None:
        self._sessions = sessions
        self.got: list[PrivateMessage] = []

    def receive(self, message: PrivateMessage) -> bool:
        """Take a message, if the session is here."""
        if message.session not in self._sessions:
            return False
        self.got.append(message)
        return True


def letter(session: str, text: str = "psst", away: str | None = None) -> PrivateMessage:
    """A private message to one of bob's sessions."""
    return PrivateMessage(f"id {text}", 12.5, ALICE, session, BOB, text, away)


@promise
async def test_it_is_a_courier(post: Post) -> None:
    """The domain can call everything that it needs to."""
    assert verifyObject(ICourier, await post.courier("one"))


@promise
async def test_a_message_arrives_as_it_was_sent(post: Post) -> None:
    """A private message reaches its recipient on another instance, and on the sender's own."""
    one, two = await post.courier("one"), await post.courier("two")
    here, there = Sessions("s1"), Sessions("s2")
    one.serve(here.receive)
    two.serve(there.receive)
    sent = letter("s2", "pst, wörld\n", away="back at five")
    assert await one.send("two", sent)
    assert there.got == [sent] and here.got == []
    assert there.got[0].sender.display == "Alice"
    assert await one.send("one", letter("s1"))
    assert here.got == [letter("s1")]


@promise
async def test_a_session_that_is_gone_is_told_of(post: Post) -> None:
    """The sender learns that the recipient has left, or its whole instance."""
    one, two = await post.courier("one"), await post.courier("two")
    there = Sessions("s2")
    two.serve(there.receive)
    assert not await one.send("two", letter("s9"))
    assert not await one.send("never", letter("s2"))
    assert there.got == []


@promise
async def test_messages_arrive_in_their_order(post: Post) -> None:
    """What one user tells another arrives in the order in which it was told."""
    one, two = await post.courier("one"), await post.courier("two")
    there = Sessions("s2")
    two.serve(there.receive)
    texts = [f"{number}" for number in range(30)]
    for text in texts:
        assert await one.send("two", letter("s2", text))
    assert [message.text for message in there.got] == texts


@promise
async def test_an_instance_that_does_not_answer_is_told_of() -> None:
    """In memory, too, a silent instance can be had, for the tests of the domain."""
    post = MemoryPost()
    post.silent.add("two")
    with pytest.raises(NotDelivered, match="bob"):
        await MemoryCourier(post, "one").send("two", letter("s2"))


@promise
async def test_a_new_incarnation_is_served_as_well_as_the_old(
    nats: NatsServer, unique: str
) -> None:
    """An instance that had to take another incarnation still gets what was sent to the old one."""
    post = Post(nats, unique)
    try:
        one, two = await post.courier("one"), await post.courier("two")
        assert isinstance(two, NatsCourier)
        there = Sessions("s2")
        two.serve(there.receive)
        for incarnation in ("two-b", "two-b", "two-c"):
            two.set_incarnation(incarnation)
        for incarnation, served in (("two-c", True), ("two-b", True), ("two", False)):
            assert await one.send(incarnation, letter("s2", incarnation)) == served
        two.stop()
        await post.settled()
        assert not await one.send("two-c", letter("s2"))
    finally:
        await post.close()


@promise
async def test_a_frozen_instance_is_told_of_within_two_seconds(
    nats: NatsServer, unique: str
) -> None:
    """The sender is not kept waiting, and not told that the recipient is gone."""
    post = Post(nats, unique)
    try:
        one = await post.courier("one")
        with nats.connect() as frozen:
            frozen.subscribe(f"{unique}.private.two")  # takes messages and never answers
            frozen.flush()
            began = reactor.seconds()
            with pytest.raises(NotDelivered, match="bob"):
                await one.send("two", letter("s2"))
            assert 1.5 < reactor.seconds() - began < 3
    finally:
        await post.close()


@promise
async def test_without_nats_a_message_is_not_delivered(nats: NatsServer, unique: str) -> None:
    """Who cannot reach the other instances is told so at once."""
    post = Post(nats, unique)
    one = await post.courier("one")
    await post.close()
    with pytest.raises(NotDelivered, match="bob"):
        await one.send("two", letter("s2"))
