"""The room log on JetStream when something is lost, late, removed or away."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from disroom.adapters.jetstream.feed import PATIENCE_SECONDS
from disroom.adapters.jetstream.history import DIRECT_SECONDS, LEADER_SECONDS
from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.chat.errors import NotStored, StoreUnavailable
from disroom.chat.events import Gap
from disroom.chat.names import RoomName
from tests.adapters.jetstream.nats_log import (
    RUM,
    TEA,
    Follower,
    NatsLogs,
    Talk,
    delete_stream,
    draft,
    following,
    settings_for,
    store_quickly,
    stored_texts,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy

NewNats = Callable[..., NatsServer]


async def say(log: JetStreamRoomLog, *texts: str) -> list[int]:
    """Say something in the tea room, each after the other is stored."""
    return [await log.append(TEA, draft(text)) for text in texts]


async def texts(log: JetStreamRoomLog, count: int = 100) -> list[str]:
    """What the history of the tea room shows."""
    return [message.text for message in (await log.history(TEA, count, None)).messages]


# Lost on the way.


@promise
async def test_a_lost_copy_is_read_before_what_follows_it(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A message lost between NATS and an instance is shown in its place all the same."""
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    for lost, after, heard in (("bc", "d", "abcd"), ("ef", "g", "abcdefg")):
        known = len(proxy.dropped())
        proxy.drop_subjects("to_client", logs.settings.live_subject(""))
        await say(there, *lost)
        await eventually(partial(_has_dropped, proxy, known + 2))
        proxy.drop_nothing()
        await say(there, after)
        await follower.hears(*heard, seconds=0.7)


@promise
async def test_the_last_message_before_a_silence_comes_by_announcement(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A lost message that nothing follows is shown within two seconds."""
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    proxy.drop_subjects("to_client", logs.settings.live_subject(""))
    await say(there, "b")
    await follower.hears("a", "b", seconds=2.5)
    assert any(seen.frame.subject.endswith(".stored") for seen in proxy.seen)


@promise
async def test_an_acknowledgement_is_asked_for_only_where_no_live_copy_can_be_counted_on(
    logs: NatsLogs, proxy: NatsProxy
) -> None:
    """For the first message on a connection, one that may be stored already, one unfollowed."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    subject = logs.settings.room_subject("")

    def asked() -> list[bool]:
        """Of each message that was published, whether it has a reply subject."""
        frames = [seen.frame for seen in proxy.seen if seen.direction == "to_server"]
        heads = [frame.raw.split(b"\r\n", 1)[0] for frame in frames]
        return [len(head.split()) == 5 for head in heads if b" " + subject.encode() in head]

    seqs = await say(log, "a", "b", "c")
    assert asked() == [True, False, False]
    again = draft("d", id_="key")._replace(repeated=True)
    seqs += [await log.append(TEA, again), await log.append(TEA, again)]
    assert asked()[3:] == [True, True]
    proxy.cut()
    await eventually(lambda: not logs.connections[0].connected)
    await eventually(lambda: logs.connections[0].connected)
    seqs += await say(log, "e", "f")
    assert asked()[5:] == [True, False]
    assert seqs == [1, 2, 3, 4, 4, 5, 6]
    await follower.hears(*"abcdef")
    log.unfollow(TEA)
    assert await say(log, "g") == [7]
    assert asked()[7:] == [True]


@promise
async def test_an_instances_own_message_is_shown_to_its_members(
    logs: NatsLogs, proxy: NatsProxy
) -> None:
    """A sender whose message is stored sees its own line, whatever happens to the live copy."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    proxy.drop_if(lambda direction, frame: ".live." in frame.subject or ".stored" in frame.subject)
    await say(log, "a")
    await follower.hears("a", seconds=2.0)


@promise
async def test_a_room_that_nobody_follows_any_more_is_not_heard_of(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """However many rooms people of an instance were in, it pays for those that they are in."""
    log = await logs.log(nats.url)
    before = len(logs.connections[0]._subscriptions)
    await following(log)
    assert len(logs.connections[0]._subscriptions) > before
    log.unfollow(TEA)
    assert len(logs.connections[0]._subscriptions) == before


@promise
async def test_what_nobody_announces_is_found_by_comparing(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A lost message whose storing instance died at once is shown within eleven seconds."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    proxy.drop_if(lambda direction, frame: ".live." in frame.subject or ".stored" in frame.subject)
    await say(there, "a")

    async def shown() -> bool:
        clock.advance(0.25)
        return follower.texts == ["a"]

    await eventually(shown)
    assert 9 < clock.seconds() < 11.5


@promise
async def test_however_many_rooms_are_followed_each_is_compared(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """In more requests than one, where there is more than JetStream answers at once."""
    clock = Clock()
    log = await logs.log(proxy.url, clock=clock)
    followers = {RoomName.parse(f"room{number}"): Follower() for number in range(1100)}
    opening = [
        Deferred.fromCoroutine(log.follow(room, follower, 0))
        for room, follower in followers.items()
    ]
    for opened in opening:
        await opened
    proxy.drop_if(lambda direction, frame: ".live." in frame.subject or ".stored" in frame.subject)
    store_quickly(nats, logs.settings, [room.token for room in followers])

    def shown() -> bool:
        clock.advance(0.25)
        return all(follower.texts for follower in followers.values())

    await eventually(shown, 20.0)
    assert 9 < clock.seconds() < 15


@promise
async def test_what_was_missed_while_cut_off_is_brought_at_once(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """After a broken connection a member sees what it missed, without waiting for more."""
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    proxy.refuse()
    proxy.cut()
    await say(there, "b", "c")
    proxy.accept()
    await follower.hears("a", "b", "c", seconds=3.0)


@promise
async def test_lost_acknowledgements_store_nothing_twice(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A message whose receipt is lost is said once."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    proxy.drop_subjects("to_client", "_INBOX")
    sending = Deferred.fromCoroutine(say(log, "a"))
    await follower.hears("a")
    await eventually(lambda: len(proxy.dropped()) == 2)  # it was tried twice
    proxy.drop_nothing()
    await sending
    await say(log, "b")
    await follower.hears("a", "b")
    with nats.connect() as raw:
        assert stored_texts(raw, logs.settings) == ["a", "b"]


@promise
async def test_a_room_that_cannot_be_read_goes_on_and_says_so(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Where what is missing does not come for five seconds, a member is told of the gap."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    (seq,) = await say(there, "a")
    await follower.hears("a")
    await _is_missed(proxy, logs, there, "lost", "b", "c")
    assert follower.texts == ["a"]
    began = clock.seconds()
    await eventually(lambda: _is_longer(follower, clock))
    assert 4 < clock.seconds() - began < 6
    assert follower.texts == ["a", f"gap {seq + 1}..{seq + 1}", "b", "c"]


@promise
async def test_nothing_is_given_up_because_the_instance_stood_still(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A frozen process tells nobody of a gap: what was missing is read when it moves again."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    await _is_missed(proxy, logs, there, "b", "c")
    proxy.drop_nothing()
    clock.advance(30.0)
    await eventually(lambda: _is_longer(follower, clock))
    assert follower.texts == ["a", "b", "c"]


@promise
async def test_what_could_not_be_read_is_asked_for_again(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Answers that are lost make no gap, though nobody tells a second time what is missing."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    lost = [".live."]
    proxy.drop_if(lambda _, frame: any(part in frame.subject for part in lost))
    await say(there, "b")
    await eventually(lambda: proxy.dropped())
    lost[:] = [".stored", "_INBOX"]
    await say(there, "c")
    await eventually(lambda: proxy.dropped()[-1].subject.startswith("_INBOX"))
    await eventually(lambda: _is_later(clock, LEADER_SECONDS + sum(DIRECT_SECONDS) - 0.15))
    lost[:] = [".stored"]
    await eventually(lambda: _is_longer(follower, clock))
    assert follower.texts == ["a", "b", "c"]
    assert clock.seconds() < PATIENCE_SECONDS


@promise
async def test_what_is_missing_next_has_a_time_of_its_own(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Nothing is given up the sooner because something else was missing a while ago."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    proxy.drop_subjects("to_client", logs.settings.live_subject(""))
    await say(there, "b")
    await eventually(lambda: proxy.dropped())
    proxy.drop_nothing()
    await say(there, "c")
    await follower.hears("a", "b", "c")
    clock.pump([0.1] * 45)
    await _is_missed(proxy, logs, there, "d", "e")
    clock.pump([0.1] * 10)
    assert follower.texts == ["a", "b", "c"]
    proxy.drop_nothing()
    await eventually(lambda: _is_longer(follower, clock, 3))
    assert follower.texts == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("readable", [True, False])
@promise
async def test_nothing_is_given_up_before_there_is_a_connection_again(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy, readable: bool
) -> None:
    """What was missing when the connection was lost has its time to be read after it."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    await _is_missed(proxy, logs, there, "b", "c")
    proxy.refuse()
    proxy.cut()
    await eventually(lambda: not logs.connections[0].connected)
    clock.pump([0.1] * 100)
    assert follower.texts == ["a"]
    if readable:
        proxy.drop_nothing()
    proxy.accept()
    await eventually(lambda: logs.connections[0].connected)
    await eventually(lambda: _is_longer(follower, clock))
    assert follower.texts == ["a", "b" if readable else "gap 2..2", "c"]


def _is_later(clock: Clock, seconds: float) -> bool:
    clock.advance(0.1)
    return clock.seconds() >= seconds


def _has_dropped(proxy: NatsProxy, count: int) -> bool:
    return len(proxy.dropped()) == count


async def _is_missed(
    proxy: NatsProxy, logs: NatsLogs, there: JetStreamRoomLog, lost: str, *after: str
) -> None:
    """Have a message be lost, the next show that, and nothing that is read in its place come."""
    known = len(proxy.dropped())
    proxy.drop_subjects("to_client", logs.settings.live_subject(""))
    await say(there, lost)
    await eventually(lambda: len(proxy.dropped()) == known + 1)
    proxy.drop_subjects("to_client", "_INBOX")
    await say(there, *after)
    await eventually(lambda: proxy.dropped()[-1].subject.startswith("_INBOX"))


def _is_longer(follower: Follower, clock: Clock, than: int = 1) -> bool:
    clock.advance(0.1)
    return len(follower.events) > than


# Removed.


@promise
async def test_what_expired_while_cut_off_is_a_gap(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy, unique: str
) -> None:
    """A member is told which messages it missed for good."""
    logs.settings = settings_for(unique, max_messages_per_room=3)
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    (seq,) = await say(there, "a")
    await follower.hears("a")
    proxy.refuse()
    proxy.cut()
    await say(there, *(f"{number}" for number in range(7)))
    proxy.accept()
    await follower.hears("a", f"gap {seq + 1}..{seq + 4}", "4", "5", "6")


@promise
async def test_what_has_been_read_may_expire(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy, unique: str
) -> None:
    """Nobody is alarmed by the removal of what was seen, cut off or not."""
    logs.settings = settings_for(unique, max_age=1.0)
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a", "b")
    await follower.hears("a", "b")
    assert await texts(here) == ["a", "b"]
    assert await eventually(lambda: _is_empty(here))
    await say(there, "c")
    await follower.hears("a", "b", "c")
    proxy.refuse()
    proxy.cut()
    await say(there, "d")
    proxy.accept()
    await follower.hears("a", "b", "c", "d")


async def _is_empty(log: JetStreamRoomLog) -> bool:
    return await texts(log) == []


@promise
async def test_the_stream_keeps_its_size(logs: NatsLogs, nats: NatsServer, unique: str) -> None:
    """Beyond the configured size the oldest messages of all rooms go, and the history shows it."""
    logs.settings = settings_for(unique, max_bytes=20_000)
    log = await logs.log(nats.url)
    await log.append(RUM, draft("first of all"))
    await say(log, *(f"{number:1000}" for number in range(8)))
    assert len(await texts(log)) == 8
    assert len((await log.history(RUM, 9, None)).messages) == 1
    await say(log, *(f"{number:1000}" for number in range(8, 30)))
    kept = await texts(log)
    assert kept == [f"{number:1000}" for number in range(30 - len(kept), 30)]
    assert 8 < len(kept) < 20
    assert (await log.history(RUM, 9, None)).messages == ()


@promise
async def test_what_is_no_message_is_passed_over(logs: NatsLogs, nats: NatsServer) -> None:
    """Whatever somebody stores in a room's subject, the room goes on, and says that it skipped."""
    log = await logs.log(nats.url)
    follower = await following(log)
    with nats.connect() as raw:
        ack = raw.publish_acked(logs.settings.room_subject("tea"), b"not a message")
        raw.publish(logs.settings.live_subject("tea"), b"not even from the stream")
        for token in ("no=room", "no.room", "No-Room"):
            raw.publish_acked(logs.settings.room_subject(token), b"not in a room")
    await say(log, "a")
    await follower.hears(f"gap {ack['seq']}..{ack['seq']}", "a")
    assert await texts(log) == ["a"]
    assert await log.stored_rooms() == (TEA,)


# Made anew.


def make_anew(nats: NatsServer, logs: NatsLogs) -> None:
    """Delete the stream, with all messages, and make it again as an operator would."""
    name = logs.settings.name
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.DELETE.{name}")
        raw.jetstream(f"STREAM.CREATE.{name}", logs.settings.stream_config())


@promise
async def test_a_stream_made_anew_is_noticed_by_its_first_message(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """Members are told that all was lost, and see everything that is said from then on."""
    here, there = await logs.log(nats.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a", "b", "c")
    await follower.hears("a", "b", "c")
    make_anew(nats, logs)
    await say(there, "d", "e", "f", "g", "h")
    await follower.hears("a", "b", "c", "gap None..None", "d", "e", "f", "g", "h", seconds=3.0)
    assert follower.seqs == [1, 2, 3, 1, 2, 3, 4, 5]
    assert await texts(here) == ["d", "e", "f", "g", "h"]
    assert isinstance(follower.events[3], Gap)


@promise
async def test_a_copy_that_looks_like_another_stream_s_holds_nothing_up(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """A clock that went back costs a question; who says what follows is heard at once."""
    log = await logs.log(nats.url)
    follower = await following(log)
    await say(log, "a", "b")
    await follower.hears("a", "b")
    looking_new = {
        "Nats-Msg-Id": "another",
        "Nats-Stream": logs.settings.name,
        "Nats-Subject": logs.settings.room_subject("tea"),
        "Nats-Sequence": "1",
        "Nats-Time-Stamp": "2999-01-01T00:00:00.000000Z",
        "Nats-Last-Sequence": "0",
    }
    with nats.connect() as raw:
        raw.publish(logs.settings.live_subject("tea"), b"{}", looking_new)
        raw.flush()
    await say(log, "c")
    await follower.hears("a", "b", "c", seconds=2.0)


@promise
async def test_a_stream_made_anew_is_noticed_after_a_reconnection(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A broker that comes back empty is noticed though nothing is said."""
    here, there = await logs.log(proxy.url), await logs.log(nats.url)
    follower = await following(here)
    await say(there, "a")
    await follower.hears("a")
    proxy.refuse()
    proxy.cut()
    make_anew(nats, logs)
    await say(there, "b", "c", "d")
    proxy.accept()
    await follower.hears("a", "gap None..None", "b", "c", "d", seconds=3.0)


@promise
async def test_a_stream_made_anew_is_noticed_by_who_asks_how_far_it_is(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """What it has says nothing of the one before."""
    log = await logs.log(nats.url)
    follower = await following(log)
    await say(log, "a")
    await follower.hears("a")
    make_anew(nats, logs)
    with nats.connect() as raw:
        for _ in range(3):
            raw.publish_acked(logs.settings.room_subject("rum"), b"")
    assert not await log.reached(2)
    await follower.hears("a", "gap None..None", seconds=3.0)
    assert await log.reached(2)


@promise
async def test_a_stream_that_vanished_is_made_again(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A broker that lost its data serves the chat again without a restart of the instances."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    await say(log, "a")
    delete_stream(nats, logs.settings)
    proxy.cut()
    await follower.hears("a", "gap None..None", seconds=5.0)
    await say(log, "b")
    await log.append(TEA, draft("anew", kind="topic"))
    await follower.hears("a", "gap None..None", "b", "anew")


# Away.


@promise
async def test_a_killed_server_loses_nothing_that_was_acknowledged(
    new_nats: NewNats, unique: str
) -> None:
    """Through a crash of NATS everybody sees the same, in the same order, and nothing twice."""
    server = new_nats()
    logs = NatsLogs(settings_for(unique, max_messages_per_room=0))
    here, there = await logs.log(server.url), await logs.log(server.url)
    followers = [await following(here), await following(there)]
    talks = [Talk(here, "ann"), Talk(there, "bob"), Talk(there, "cat")]
    for _ in range(2):
        for talk in talks:
            await talk.more()
        server.kill()
        server.start()
    for talk in talks:
        await talk.more()
        await talk.end()
        assert talk.failed == []
    with server.connect() as raw:
        stored = stored_texts(raw, logs.settings)
    assert sorted(stored) == sorted(text for talk in talks for text in talk.acknowledged)
    for talk, name in zip(talks, ("ann", "bob", "cat"), strict=True):
        assert [text for text in stored if text.startswith(name)] == talk.acknowledged
    for follower in followers:
        await follower.hears(*stored)
    await logs.close()


@promise
async def test_a_store_that_is_away_is_said_to_be_away(new_nats: NewNats, unique: str) -> None:
    """Who opens a room meanwhile is told so in two seconds; who speaks, in about fifteen."""
    server = new_nats()
    logs = NatsLogs(settings_for(unique))
    log = await logs.log(server.url)
    await say(log, "a")

    async def refused(work: Callable[[], Any]) -> None:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await work()
        assert time.monotonic() - began < 3.0

    server.pause()
    await refused(lambda: log.follow(TEA, Follower(), 10))
    await refused(lambda: log.history(TEA, 10, None))
    server.kill()
    began = time.monotonic()
    lost = Deferred.fromCoroutine(say(log, "lost"))
    for work in (
        lambda: log.follow(TEA, Follower(), 10),
        lambda: log.history(TEA, 10, None),
        lambda: log.last_seq(TEA),
        lambda: log.reached(2),
        lambda: log.topics([TEA]),
        log.stored_rooms,
        lambda: log.purge(TEA, 1),
    ):
        await refused(work)
    assert await log.reached(1)  # as it has stored that itself
    with pytest.raises(NotStored, match="cannot be reached"):
        await lost
    assert 14 < time.monotonic() - began < 17
    server.start()
    await say(log, "b")
    follower = await following(log, recent=2)
    assert follower.texts == await texts(log) == ["a", "b"]
    await logs.close()


@promise
async def test_a_full_store_is_said_to_be_full(logs: NatsLogs, nats: NatsServer) -> None:
    """The sender is told at once, and why."""
    log = await logs.log(nats.url)
    await say(log, "a")
    full = {**logs.settings.stream_config(), "discard": "new", "max_msgs": 1}
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.UPDATE.{logs.settings.name}", full)
    began = time.monotonic()
    with pytest.raises(NotStored, match="maximum messages exceeded"):
        await say(log, "b")
    assert time.monotonic() - began < 1


@promise
async def test_no_consumer_is_left_behind(logs: NatsLogs, nats: NatsServer) -> None:
    """However many rooms are followed and read, the stream carries no consumer for them."""
    log = await logs.log(nats.url)
    await following(log)
    await say(log, "a")
    await texts(log)
    await log.topics([TEA])
    with nats.connect() as raw:
        assert raw.consumer_count(logs.settings.name) == 0
        assert raw.consumer_count(f"KV_{logs.settings.bucket}") == 0
