"""Topics on JetStream when the bucket is away, lost or behind, or its writer is gone."""

from __future__ import annotations

from functools import partial

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.jetstream.topickeeper import LOOK_SECONDS
from disroom.chat.errors import ChatError, StoreUnavailable
from disroom.chat.names import RoomName
from tests.adapters.jetstream.nats_log import (
    RUM,
    TEA,
    Follower,
    NatsLogs,
    draft,
    following,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy


async def set_topic(log: JetStreamRoomLog, text: str, room: RoomName = TEA) -> int:
    """Set a topic."""
    return await log.append(room, draft(text, kind="topic"))


async def told(log: JetStreamRoomLog, room: RoomName = TEA) -> str | None:
    """The topic that somebody is told who opens the room there now."""
    try:
        topic = (await log.topics([room])).get(room)
    except StoreUnavailable:
        return None
    return topic.text if topic else ""


async def tells(log: JetStreamRoomLog, text: str, *clocks: Clock, room: RoomName = TEA) -> None:
    """Wait until a topic is told; meanwhile these clocks go on, faster than time."""

    async def done() -> bool:
        for clock in clocks:
            clock.advance(0.25)
        return await told(log, room) == text

    await eventually(done, message=f"not told: {text}")


def shut_bucket(proxy: NatsProxy, logs: NatsLogs, prefix: str = "$") -> None:
    """Let nothing through to the bucket, or only what is on other subjects than these."""
    proxy.drop_if(
        lambda direction, frame: (
            direction == "to_server"
            and frame.subject.startswith(prefix)
            and logs.settings.bucket in frame.subject
        )
    )


def make_anew(nats: NatsServer, logs: NatsLogs) -> None:
    """Have the stream begin anew, as an operator would."""
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.DELETE.{logs.settings.name}")
        raw.jetstream(f"STREAM.CREATE.{logs.settings.name}", logs.settings.stream_config())


@promise
async def test_a_topic_is_acknowledged_once_its_message_is_stored(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Whatever the bucket does, and the topic follows as soon as it can be written."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    follower = await following(there)
    shut_bucket(proxy, logs)
    receipts: list[int | ChatError] = []
    drafts = [draft("a"), draft("green", kind="topic"), draft("b"), draft("black", kind="topic")]
    here.store(TEA, drafts, receipts.append)
    await follower.hears("a", "green", "b", "black")
    await eventually(lambda: receipts == [1, 2, 3, 4])
    assert await set_topic(here, "spirits", RUM) == 5
    there.unfollow(TEA)
    assert await told(there) == ""
    proxy.drop_nothing()
    await tells(there, "black", clock)
    await tells(there, "spirits", clock, room=RUM)


@promise
async def test_a_topic_is_kept_though_the_instance_that_stored_it_dies(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Another instance with somebody in the room writes it."""
    clock = Clock()
    here, there = await logs.log(proxy.url), await logs.log(nats.url, clock=clock)
    follower = await following(there)
    await set_topic(here, "old")
    await tells(there, "old")
    shut_bucket(proxy, logs)
    await set_topic(here, "new")
    await follower.hears("old", "new")
    await here.stop()
    assert await told(there) == "old"
    await tells(there, "new", clock)


@promise
async def test_a_topic_is_kept_by_whoever_opens_its_room_next(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """An instance reads the room's last messages, and a topic that was set in them is written."""
    clock = Clock()
    here, there = await logs.log(proxy.url), await logs.log(nats.url, clock=clock)
    shut_bucket(proxy, logs)
    await set_topic(here, "green")
    await here.stop()
    await following(there, recent=10)
    assert await told(there) == ""
    await tells(there, "green", clock)


@pytest.mark.parametrize("shut", ["$", "$KV."], ids=["reads and writes", "writes"])
@promise
async def test_a_late_writer_does_not_bring_an_old_topic_back(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy, shut: str
) -> None:
    """Who could not write for a while looks first whether somebody has set another one since."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    shut_bucket(proxy, logs, shut)
    await set_topic(here, "old")
    await eventually(proxy.dropped)
    await set_topic(here, "spirits", RUM)
    await set_topic(there, "new")
    await tells(there, "new")
    proxy.drop_nothing()
    await tells(there, "spirits", clock, room=RUM)  # after the other one
    assert await told(there) == "new"
    with nats.connect() as raw:
        state = raw.stream_info(f"KV_{logs.settings.bucket}")["state"]
    assert (state["messages"], state["last_seq"]) == (2, 2)


@promise
async def test_a_bucket_that_was_deleted_is_made_again(logs: NatsLogs, nats: NatsServer) -> None:
    """The topics of all rooms with people come back, also those set before anybody came."""
    clock = Clock()
    here, there = await logs.log(nats.url, clock=clock), await logs.log(nats.url)
    await set_topic(there, "green")
    await set_topic(there, "spirits", RUM)
    await tells(there, "spirits", room=RUM)
    await here.follow(TEA, Follower(), 0)
    assert await told(here) == "green"
    await here.follow(RUM, Follower(), 1)
    clock.advance(5)
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.DELETE.KV_{logs.settings.bucket}")
    assert await told(there) is None
    assert await set_topic(there, "brown", RUM) == 3
    await tells(there, "brown", clock, room=RUM)
    await tells(there, "green", clock)


@promise
async def test_a_topic_that_cannot_be_kept_keeps_no_other(logs: NatsLogs, nats: NatsServer) -> None:
    """Whatever is wrong with one room's is that room's alone, and told once."""
    clock = Clock()
    log = await logs.log(nats.url, clock=clock)
    await following(log)
    bucket = {**logs.settings.bucket_config(), "max_msg_size": 300}
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.UPDATE.KV_{logs.settings.bucket}", bucket)
    with capturedLogs() as events:
        for text in ("spirits", "brown", "white", "overproof"):
            clock.advance(LOOK_SECONDS)
            await set_topic(log, text, RUM)
            await tells(log, text, room=RUM)  # after that look
            if text == "spirits":
                await set_topic(log, "x" * 400)
    assert await told(log) == ""
    assert len([event for event in events if event.get("token") == TEA.token]) == 1


@promise
async def test_a_topic_of_another_stream_is_older_however_great_its_seq(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """Where the log was begun anew, a topic that is set then replaces the one from before."""
    clock = Clock()
    log = await logs.log(nats.url, clock=clock)
    for number in range(3):
        await set_topic(log, f"{number}")
    await tells(log, "2")
    follower = await following(log, recent=1)
    make_anew(nats, logs)
    assert await set_topic(log, "anew") == 1
    await tells(log, "anew", clock)
    await eventually(lambda: follower.texts[-1] == "anew")


@promise
async def test_what_was_lost_with_its_stream_sets_no_topic(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """What stands in its place by now may be of another room, or no topic."""
    clock = Clock()
    here, there = await logs.log(proxy.url, clock=clock), await logs.log(nats.url)
    shut_bucket(proxy, logs)
    for number in range(2):
        await set_topic(here, "lost", RoomName.parse(f"room{number}"))
    assert await set_topic(here, "lost") == 3
    make_anew(nats, logs)
    await set_topic(there, "other", RoomName.parse("other"))
    await there.append(RoomName.parse("room1"), draft("said"))
    proxy.drop_nothing()
    assert await set_topic(here, "spirits", RUM) == 3
    await tells(here, "spirits", clock, room=RUM)  # after the others
    for name in ("room0", "room1", "tea"):
        assert await told(there, RoomName.parse(name)) == ""


@promise
async def test_what_is_kept_is_neither_written_nor_looked_for_again(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """A topic costs one writing, however many instances see it, and each of them one reading."""
    clock = Clock()
    instances = [await logs.log(proxy.url, clock=clock) for _ in range(3)]
    followers = [await following(log) for log in instances]
    await set_topic(instances[0], "green")
    for follower in followers:
        await follower.hears("green")
    await tells(instances[0], "green")

    def asked(verb: str) -> int:
        subject = f"$JS.API.{verb}.KV_{logs.settings.bucket}"
        return sum(seen.frame.subject == subject for seen in proxy.seen)

    proxy.forget()
    for looks in (3, 6, 9, 12):
        clock.advance(5)
        await eventually(partial(lambda count: asked("STREAM.INFO") == count, looks))
        await eventually(lambda: asked("DIRECT.GET") == 3)
    with nats.connect() as raw:
        assert raw.stream_info(f"KV_{logs.settings.bucket}")["state"]["last_seq"] == 1
