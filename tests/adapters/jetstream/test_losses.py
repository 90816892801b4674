"""What the stream has lost is told to those who hold it in memory, and memory spares the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.jetstream.lookout import COMPARE_SECONDS
from disroom.adapters.memory.courier import MemoryCourier, MemoryPost
from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.adapters.runtime import TwistedRuntime
from disroom.chat.events import Message
from disroom.chat.hub import Hub
from disroom.chat.limits import Limits
from disroom.chat.names import Nick, RoomName
from disroom.chat.session import Session
from disroom.chat.stored import Page
from tests.adapters.jetstream.nats_log import (
    RUM,
    TEA,
    Follower,
    NatsLogs,
    delete_stream,
    draft,
    settings_for,
)
from tests.chat.world import Client
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy

MOST = 8


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def logs(unique: str, nats: NatsServer) -> AsyncIterator[NatsLogs]:
    """Instances on a stream of the worker's nats-server; a room keeps eight messages."""
    made = NatsLogs(settings_for(unique, max_messages_per_room=MOST))
    yield made
    await made.close()
    delete_stream(nats, made.settings)


async def following(log: JetStreamRoomLog, room: RoomName, said: int) -> Follower:
    """A follower of a room in which so much has been said."""
    follower = Follower()
    await log.follow(room, follower, 99)
    for number in range(said):
        await log.append(room, draft(f"{number}"))
    await eventually(lambda: len(follower.seqs) == said)
    return follower


MOST_SECONDS = COMPARE_SECONDS + 0.5
"""Within it what was removed is known."""


class Seconds:
    """Lets the time of an instance go by, faster than it does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def until_told(self, follower: Follower, times: int = 1) -> float:
        """Wait until a follower was told so many times, and return how long that took."""
        return await self.until(lambda: len(follower.removals) >= times, times * MOST_SECONDS)

    async def until(self, condition: Callable[[], bool], most: float) -> float:
        """Wait until it is so, and return how long that took.

        No more than `most` seconds go by, and then what NATS has been asked may take its time.
        """
        begin = self._clock.seconds()

        async def so() -> bool:
            if self._clock.seconds() - begin < most:
                self._clock.advance(0.25)
            return condition()

        await eventually(so)
        return self._clock.seconds() - begin


def remove(nats: NatsServer, logs: NatsLogs, call: str, **query: object) -> None:
    """Remove something from the stream as an operator does."""
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.{call}.{logs.settings.name}", query)


def checks(proxy: NatsProxy, follower: Follower) -> int:
    """How often the stream was asked what it has from the oldest on that a follower holds."""
    asked = b'"seq":%d,"next_by_subj"' % follower.seqs[0]
    return sum(asked in seen.frame.body for seen in proxy.seen)


@promise
async def test_the_time_is_the_streams(logs: NatsLogs, nats: NatsServer) -> None:
    """What the clocks of an instance say of the time of day decides nothing, and errs for 10 s."""
    clock, seconds = Clock(), 12.5
    log = await logs.log(nats.url, clock=clock, now=lambda: seconds)
    follower = await following(log, TEA, 1)
    (message,) = follower.events
    assert isinstance(message, Message)
    assert abs(log.now() - message.at) < 5
    begin, seconds = log.now(), seconds + 3600
    assert log.now() == begin + 3600
    await Seconds(clock).until(lambda: abs(log.now() - message.at) < 60, MOST_SECONDS)


@pytest.mark.parametrize("how", ["one message", "a room's beginning", "a room"])
@promise
async def test_what_was_taken_out_of_a_room_is_doubted_within_ten_seconds(
    logs: NatsLogs, nats: NatsServer, how: str
) -> None:
    """What an operator, or another instance, removes is shown nowhere ten seconds later."""
    clock = Clock()
    log = await logs.log(nats.url, clock=clock)
    other = await following(log, RUM, 3)
    tea = await following(log, TEA, 5)
    more = await following(log, RoomName.parse("gin"), 2)
    if how == "one message":
        remove(nats, logs, "MSG.DELETE", seq=tea.seqs[2])
    else:
        seq = tea.seqs[2 if how == "a room's beginning" else 4] + 1
        remove(nats, logs, "PURGE", filter=logs.settings.room_subject(TEA.token), seq=seq)
    seconds = Seconds(clock)
    assert await seconds.until_told(tea) <= MOST_SECONDS
    await seconds.until_told(tea, times=2)
    assert tea.removals == [None, None]
    assert other.removals == more.removals == []


@promise
async def test_of_the_oldest_it_is_told_up_to_where_they_are_gone(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Retention by age or by size leaves the rest in memory, and asks nothing of the stream."""
    clock = Clock()
    log = await logs.log(proxy.url, clock=clock)
    tea, rum = await following(log, TEA, 5), await following(log, RUM, 3)
    remove(nats, logs, "PURGE", seq=tea.seqs[3])
    assert await Seconds(clock).until_told(tea) <= MOST_SECONDS
    assert tea.removals == [tea.seqs[3]]
    assert rum.removals == []
    assert not checks(proxy, tea) and not checks(proxy, rum)


@promise
async def test_while_nothing_is_lost_nothing_is_asked(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A stream that loses nothing costs no more to hold in memory; after a loss it is asked twice.

    Twice, since a replica may lag.
    """
    clock = Clock()
    log = await logs.log(proxy.url, clock=clock)
    tea, rum = await following(log, TEA, 5), await following(log, RUM, 3)
    infos = f"$JS.API.STREAM.INFO.{logs.settings.name}"

    async def comparisons(count: int) -> None:
        proxy.forget()

        async def compared() -> bool:
            clock.advance(0.25)
            return sum(seen.frame.subject == infos for seen in proxy.seen) > count

        await eventually(compared)

    await comparisons(2)
    assert checks(proxy, tea) == 0
    remove(nats, logs, "MSG.DELETE", seq=rum.seqs[1])
    await comparisons(4)
    assert checks(proxy, tea) == 2
    assert tea.removals == []


@promise
async def test_what_a_full_room_loses_says_nothing_of_the_others(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """Each message in a room at its limit takes another out; other rooms stay in memory."""
    clock = Clock()
    log = await logs.log(nats.url, clock=clock)
    tea = await following(log, TEA, 5)
    full = await following(log, RUM, MOST + 3)
    seconds = Seconds(clock)
    await seconds.until_told(full, times=2)
    assert full.removals == [None, None]  # it holds all that it ever had, as a room does not
    await log.append(TEA, draft("still here"))
    await eventually(lambda: len(tea.seqs) == 6)
    for _ in range(2):
        await log.append(RUM, draft("more"))
        await seconds.until_told(full, times=len(full.removals) + 1)
    assert tea.removals == []


# What memory spares.


class Here:
    """An instance with a JetStream log; presence is in memory."""

    def __init__(self, log: JetStreamRoomLog, clock: Clock, **limits: int) -> None:
        runtime = TwistedRuntime(clock)
        self.presence = MemoryPresence(
            MemoryPresenceStore(), instance_name="one", fresh_id=runtime.fresh_id
        )
        self.hub = Hub(
            log=log,
            presence=self.presence,
            courier=MemoryCourier(MemoryPost(), self.presence.incarnation),
            runtime=runtime,
            limits=Limits(**limits),
        )

    async def user(self, nick: str) -> Session:
        """Somebody with a name."""
        session = self.hub.connect(Client())
        await session.name(Nick.parse(nick))
        return session


def texts(page: Page) -> list[str]:
    """What was said on a page."""
    return [message.text for message in page.messages]


@promise
async def test_an_active_rooms_history_asks_nothing_of_nats(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A room that was read is read and joined at no cost, and shows no more what was deleted."""
    clock = Clock()
    log = await logs.log(proxy.url, clock=clock)
    here = Here(log, clock, backlog=2, history=5)
    await here.presence.start()
    ann = await here.user("ann")
    await ann.join(TEA)
    client = ann.member
    assert isinstance(client, Client)
    for number in range(7):
        await ann.say(f"{number}")
    await eventually(lambda: len(client.shown) == 7)
    first = await ann.history(None, None)
    await ann.say("7")
    await eventually(lambda: len(client.shown) == 8)
    proxy.forget()
    for number in range(20):
        assert texts((await ann.history(None, None)).page) == list("34567")
        page = (await ann.history(2, first.page.messages[-1].seq)).page
        assert (texts(page), page.older) == (["4", "5"], True)
        guest = await here.user(f"guest{number}")
        backlog = (await guest.join(TEA)).backlog
        assert backlog is not None
        assert texts(backlog.page) == ["6", "7"]
    assert [seen.frame.subject for seen in proxy.seen if seen.frame.verb in ("PUB", "HPUB")] == []
    remove(nats, logs, "MSG.DELETE", seq=first.page.messages[-1].seq)
    room = here.hub.room(TEA)
    assert room is not None

    await Seconds(clock).until(lambda: room.ring.doubtful, MOST_SECONDS)
    late = await here.user("late")
    backlog = (await late.join(TEA)).backlog
    assert backlog is not None
    assert texts(backlog.page) == ["5", "7"]
    assert texts((await ann.history(None, None)).page) == list("23457")
