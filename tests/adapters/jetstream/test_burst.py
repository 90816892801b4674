"""Several messages at once: all of them, in their order, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from disroom.adapters.aio import soon
from disroom.adapters.jetstream.burst import MOST_AT_ONCE
from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.jetstream.publisher import MOST_IN_FLIGHT
from disroom.chat.errors import ChatError, NotStored, TextTooLong
from disroom.chat.events import Draft
from tests.adapters.jetstream.nats_log import (
    RUM,
    TEA,
    MistakenConnection,
    NatsLogs,
    Sleeper,
    draft,
    following,
    settings_for,
    stored_texts,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.nats_proxy import NatsFrame, NatsProxy

COUNT = 8
TEXTS = [f"m{number}" for number in range(1, COUNT + 1)]


class Burst:
    """Messages that were given to a log together.

    Attributes:
        told: What became of them, as far as that has been told: a seq, or why not.
    """

    def __init__(self, log: JetStreamRoomLog, drafts: Sequence[Draft]) -> None:
        self.told: list[int | ChatError] = []
        self._count = len(drafts)
        self._ended: Deferred[None] = Deferred()
        log.store(TEA, drafts, self._tell)

    def _tell(self, result: int | ChatError) -> None:
        self.told.append(result)
        if len(self.told) == self._count:
            self._ended.callback(None)

    async def end(self) -> list[int | ChatError]:
        """What became of them, once all have been told."""
        await self._ended
        return self.told


def drafts(*texts: str) -> list[Draft]:
    """What alice says, with these for ids as well."""
    return [draft(text, id_=f"id-{text}") for text in texts]


def stored(server: NatsServer, logs: NatsLogs) -> list[str]:
    """What the stream has, read by other code than the service's."""
    with server.connect() as raw:
        return stored_texts(raw, logs.settings)


def acts(proxy: NatsProxy) -> list[bytes]:
    """Which of what was published to the room belonged to a batch, and what it did to it."""
    published = [
        seen.frame.raw.split(b"\r\n", 1)[0]
        for seen in proxy.seen
        if seen.direction == "to_server" and ".room." in seen.frame.subject
    ]
    replies = [line.split(b" ")[2] for line in published]
    return [reply.split(b".")[-2] if reply.endswith(b".$FI") else b"-" for reply in replies]


@promise
async def test_they_are_stored_together_and_in_order(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Each is told its own seq, and none is published a second time."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    assert await Burst(log, drafts(*TEXTS)).end() == [*range(1, COUNT + 1)]
    await follower.hears(*TEXTS)
    assert acts(proxy) == [b"0", *[b"1"] * (COUNT - 2), b"2"]
    assert stored(nats, logs) == TEXTS


@pytest.mark.parametrize("lost", range(1, COUNT + 1))
@promise
async def test_one_that_is_lost_is_overtaken_by_none(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy, lost: int
) -> None:
    """The batch ends where one is missing; it and what follows are stored after all, in order."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    fence = f".{lost}.".encode()

    def is_lost(direction: str, frame: NatsFrame) -> bool:
        head = frame.raw.split(b"\r\n", 1)[0]
        return direction == "to_server" and b".$FI" in head and b".fail" + fence in head

    proxy.drop_if(is_lost)
    assert await Burst(log, drafts(*TEXTS)).end() == [*range(1, COUNT + 1)]
    assert len(proxy.dropped()) == 1
    await follower.hears(*TEXTS)
    assert stored(nats, logs) == TEXTS


@promise
async def test_live_copies_that_are_lost_leave_no_message_without_an_answer(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """What is stored and does not come back is asked for by its id, and told its first seq."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    proxy.drop_subjects("to_client", f"{logs.settings.prefix}.live.")
    assert await Burst(log, drafts(*TEXTS)).end() == [*range(1, COUNT + 1)]
    assert stored(nats, logs) == TEXTS
    proxy.forget()
    await follower.hears(*TEXTS)


@promise
async def test_a_connection_that_is_lost_in_the_middle_loses_and_doubles_none(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """However far the burst came, it is all there once there is a connection again."""
    log = await logs.log(proxy.url)
    follower = await following(log)
    for round_ in range(5):
        texts = [f"{round_}-{text}" for text in TEXTS]
        burst = Burst(log, drafts(*texts))
        proxy.cut()
        assert len(set(await burst.end())) == COUNT
    said = [f"{round_}-{text}" for round_ in range(5) for text in TEXTS]
    assert stored(nats, logs) == said
    await follower.hears(*said)


@promise
async def test_what_is_stored_already_is_told_its_first_seq(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """A client that sends again what it does not know to be stored gets the receipts it missed."""
    log = await logs.log(nats.url)
    follower = await following(log)
    await Burst(log, drafts("m1", "m2")).end()
    assert await Burst(log, drafts("m1", "m2", "m3", "m2", "m4", "m1")).end() == [1, 2, 3, 2, 4, 1]
    assert stored(nats, logs) == ["m1", "m2", "m3", "m4"]
    await follower.hears("m1", "m2", "m3", "m4")


@promise
async def test_one_that_is_too_big_does_not_take_the_others_with_it(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """The others are stored; who wrote it is told how much there may be."""
    log = await logs.log(nats.url)
    follower = await following(log)
    big = draft("x" * (2 << 20))
    first, second, third = await Burst(log, [*drafts("m1"), big, *drafts("m2")]).end()
    assert (first, third) == (1, 2) and isinstance(second, TextTooLong)
    await follower.hears("m1", "m2")


@promise
async def test_where_nobody_follows_they_are_stored_one_by_one(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Without live copies nothing would tell that they are stored."""
    log = await logs.log(proxy.url)
    assert await Burst(log, drafts(*TEXTS)).end() == [*range(1, COUNT + 1)]
    assert acts(proxy) == [b"-"] * COUNT
    assert stored(nats, logs) == TEXTS


@promise
async def test_a_stream_that_takes_no_batches_is_noticed(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Where an operator takes the setting back, only the first burst waits for its answer."""
    log = await logs.log(proxy.url)
    await following(log)
    with nats.connect() as raw:
        config = raw.stream_info(logs.settings.name)["config"]
        raw.jetstream(f"STREAM.UPDATE.{logs.settings.name}", {**config, "allow_batched": False})
    for round_ in range(3):
        burst = Burst(log, drafts(*[f"{round_}-{text}" for text in TEXTS]))
        assert all(isinstance(result, int) for result in await burst.end())
    assert acts(proxy).count(b"2") == 1
    assert stored(nats, logs) == [f"{round_}-{text}" for round_ in range(3) for text in TEXTS]


@promise
async def test_a_log_that_is_away_costs_a_burst_no_more_than_one_message(
    logs: NatsLogs, proxy: NatsProxy
) -> None:
    """All are reported in their order about 15 s later, not each after 15 s of its own."""
    log = await logs.log(proxy.url)
    await following(log)
    proxy.refuse()
    proxy.cut()
    burst = Burst(log, drafts(*TEXTS))
    await eventually(lambda: len(burst.told) == COUNT, 25.0)
    assert all(isinstance(result, NotStored) for result in burst.told)


@promise
async def test_nothing_is_published_again_after_the_machine_has_slept(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """The stream may have forgotten the ids by then; what was not seen is said not to be stored."""
    sleeper = Sleeper()
    log = await logs.log(proxy.url, now=sleeper)
    await following(log)
    proxy.stall("to_client")
    burst = Burst(log, drafts(*TEXTS))
    await eventually(lambda: acts(proxy)[-1:] == [b"2"])
    sleeper.slept = 3600.0
    await eventually(lambda: len(burst.told) == COUNT)
    proxy.flow()
    assert all(isinstance(result, NotStored) for result in burst.told)
    assert acts(proxy) == [b"0", *[b"1"] * (COUNT - 2), b"2"]
    await eventually(lambda: stored(nats, logs) == TEXTS)


@promise
async def test_a_leader_that_dies_in_the_middle_loses_doubles_and_reorders_none(
    replicated: NatsLogs, nats_cluster: NatsCluster
) -> None:
    """People who send in bursts while the stream's leader is killed are heard in order, once."""
    members = [await replicated.log(*nats_cluster.urls) for _ in range(3)]
    followers = [await following(log) for log in members]
    said: dict[str, list[str]] = {name: [] for name in ("ann", "bob", "cat")}
    on = True

    async def talk(log: JetStreamRoomLog, name: str) -> None:
        while on:
            start = len(said[name])
            texts = [f"{name} {number}" for number in range(start, start + COUNT)]
            results = await Burst(log, [draft(text) for text in texts]).end()
            assert [r for r in results if not isinstance(r, int)] == []
            said[name] += texts

    talks = [
        Deferred.fromCoroutine(talk(log, name)) for log, name in zip(members, said, strict=True)
    ]

    async def more() -> None:
        enough = {name: len(texts) + 20 * COUNT for name, texts in said.items()}
        await eventually(lambda: all(len(said[name]) >= enough[name] for name in said), 30.0)

    for _ in range(2):
        await more()
        leader = nats_cluster.stream_leader(replicated.settings.name)
        leader.kill()
        await more()
        leader.start()
        nats_cluster.wait_in_sync(replicated.settings.name)
    on = False
    for talking in talks:
        await talking
    with nats_cluster.connect() as raw:
        texts = stored_texts(raw, replicated.settings)
    for name in said:
        assert [text for text in texts if text.startswith(name)] == said[name]
    for follower in followers:
        await follower.hears(*texts)


@promise
async def test_bursts_take_turns_so_that_a_single_line_finds_few_before_it(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Whoever says one line does not wait for all that everybody else has sent in bursts."""
    log = await logs.log(proxy.url)
    await following(log)
    names = [f"u{number}" for number in range(MOST_AT_ONCE // COUNT + 5)]
    proxy.stall("to_client")
    bursts = [Burst(log, drafts(*[f"{name}-{text}" for text in TEXTS])) for name in names]
    single = Burst(log, drafts("single"))
    await eventually(lambda: b"-" in acts(proxy))
    assert acts(proxy) == [b"0", *[b"1"] * (COUNT - 2), b"2"] * (MOST_AT_ONCE // COUNT) + [b"-"]
    await eventually(lambda: acts(proxy).count(b"-") > len(bursts))
    assert acts(proxy).count(b"0") == MOST_AT_ONCE // COUNT  # none waited for others to be given up
    proxy.flow()
    for burst in (*bursts, single):
        assert all(isinstance(result, int) for result in await burst.end())
    said = stored(nats, logs)
    assert len(said) == len(names) * COUNT + 1
    for name in names:
        told = [text for text in said if text.startswith(f"{name}-")]
        assert told == [f"{name}-{text}" for text in TEXTS]


@promise
async def test_bursts_that_wait_for_their_turn_are_stored_together_when_it_comes(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Many at once are a matter of time, and of nothing else."""
    log = await logs.log(proxy.url)
    await following(log)
    count = 3 * MOST_AT_ONCE // COUNT
    bursts = [
        Burst(log, drafts(*[f"{number}-{text}" for text in TEXTS])) for number in range(count)
    ]
    for burst in bursts:
        assert all(isinstance(result, int) for result in await burst.end())
    assert acts(proxy) == [b"0", *[b"1"] * (COUNT - 2), b"2"] * count


@promise
async def test_a_stream_that_has_more_than_it_can_take_in_is_tried_again(
    new_nats: Callable[..., NatsServer], unique: str
) -> None:
    """The server drops what is too much for it, from the middle of bursts; nobody loses a word."""
    server = new_nats(jetstream_config="max_buffered_msgs: 20")
    logs = NatsLogs(settings_for(unique))
    log = await logs.log(server.url)
    await following(log)
    names = [f"u{number}" for number in range(100)]
    bursts = [Burst(log, drafts(*[f"{name}-{text}" for text in TEXTS])) for name in names]
    singles = [Burst(log, drafts(name)) for name in names]
    for burst in bursts + singles:
        assert all(isinstance(result, int) for result in await burst.end())
    said = stored(server, logs)
    assert len(said) == len(names) * (COUNT + 1)
    for name in names:
        told = [text for text in said if text.startswith(f"{name}-")]
        assert told == [f"{name}-{text}" for text in TEXTS]
    await logs.close()


@promise
async def test_the_first_of_a_room_are_no_gap_for_who_comes_back_before_they_arrive(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Who is cut off in the middle of a burst gets all of it, though it has just been stored."""
    log = await logs.log(nats.url)
    other = await logs.log(proxy.url)
    after = await log.append(RUM, draft("before"))
    await following(log)
    await following(other)
    proxy.drop_subjects("to_client", f"{logs.settings.prefix}.live.")
    await Burst(log, drafts(*TEXTS)).end()
    replay = await other.since(TEA, after, 100)
    assert [message.text for message in replay.messages] == TEXTS
    assert replay.lost is None


@promise
async def test_one_that_meets_a_connection_that_is_just_going_is_stored_by_the_next(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """However late it is noticed that there is no connection, somebody takes care of each burst."""
    log = await logs.log(proxy.url)
    await following(log)
    bursts: list[Burst] = []
    proxy.cut()
    while logs.connections[0].connected:
        texts = [f"{len(bursts)}-{text}" for text in TEXTS]
        bursts.append(Burst(log, drafts(*texts)))
        turned: Deferred[None] = Deferred()
        soon(partial(turned.callback, None))
        await turned
    for burst in bursts:
        assert all(isinstance(result, int) for result in await burst.end())
    said = stored(nats, logs)
    for number in range(len(bursts)):
        assert [text for text in said if text.startswith(f"{number}-")] == [
            f"{number}-{text}" for text in TEXTS
        ]


@pytest.mark.parametrize("place", range(COUNT))
@promise
async def test_a_mistake_of_ours_in_the_middle_is_that_message_s_alone(
    logs: NatsLogs, nats: NatsServer, place: int
) -> None:
    """Whatever is raised, and logged, each is told of once, in order; what can be stored is."""
    log = await logs.log(nats.url, connecting=MistakenConnection)
    connection = logs.connections[0]
    assert isinstance(connection, MistakenConnection)
    await following(log)
    connection.mistakes = [TEXTS[place].encode()] * 2  # in the burst, and by itself
    with capturedLogs() as logged:
        results = await Burst(log, drafts(*TEXTS)).end()
    assert isinstance(results.pop(place), NotStored)
    assert results == [*range(1, COUNT)]
    assert stored(nats, logs) == [text for text in TEXTS if text != TEXTS[place]]
    failures = [event["log_failure"].type for event in logged if "log_failure" in event]
    assert failures == [RuntimeError] * 2
    assert await Burst(log, drafts("m9", "m10")).end() == [COUNT, COUNT + 1]
    await eventually(lambda: log._publisher._free == MOST_IN_FLIGHT)


@promise
async def test_a_mistake_of_who_is_told_does_not_keep_the_rest_from_being_told(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """One receipt that fails is logged, and costs nobody anything."""
    log = await logs.log(nats.url)
    told: list[int | ChatError] = []

    def tell(result: int | ChatError) -> None:
        told.append(result)
        if len(told) == 1:
            raise RuntimeError("a mistake")

    with capturedLogs() as logged:
        log.store(TEA, drafts(*TEXTS), tell)
        await eventually(lambda: len(told) == COUNT)
    assert told == [*range(1, COUNT + 1)]
    assert any("log_failure" in event for event in logged)
