"""What every implementation of IRoomLog promises: in memory and on JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList
from zope.interface.verify import verifyObject

from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.memory.log import MemoryRoomLog, MemoryStream
from disroom.chat.errors import ChatError, TextTooLong
from disroom.chat.events import Message
from disroom.chat.interfaces import IRoomLog
from disroom.chat.names import Nick, RoomName
from disroom.chat.stored import Page, Replay
from tests.adapters.jetstream.nats_log import (
    ALICE,
    RUM,
    TEA,
    Follower,
    NatsLogs,
    delete_stream,
    draft,
    settings_for,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats import NatsServer

RoomLog = MemoryRoomLog | JetStreamRoomLog


class Store:
    """Makes instances that share one stream."""

    def __init__(self, server: NatsServer | None, unique: str) -> None:
        self._server = server
        self._memory = MemoryStream()
        self._logs = NatsLogs(settings_for(unique))

    async def log(self) -> RoomLog:
        """Start an instance."""
        if self._server is None:
            return MemoryRoomLog(self._memory)
        return await self._logs.log(self._server.url)

    async def close(self) -> None:
        """Stop every instance and remove what is stored."""
        await self._logs.close()
        if self._server is not None:
            delete_stream(self._server, self._logs.settings)


@pytest_twisted.async_yield_fixture(  # type: ignore[untyped-decorator]  # it has no annotations
    params=["memory", "jetstream"]
)
async def store(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Store]:
    """A stream on each implementation in turn."""
    server = None if request.param == "memory" else request.getfixturevalue("nats")
    made = Store(server, unique)
    yield made
    await made.close()


async def say(log: RoomLog, *texts: str, room: RoomName = TEA) -> list[int]:
    """Say something, each after the other is stored."""
    return [await log.append(room, draft(text)) for text in texts]


async def following(log: RoomLog, room: RoomName = TEA, recent: int = 0) -> Follower:
    """A follower of a room."""
    follower = Follower()
    await log.follow(room, follower, recent)
    return follower


def texts(page: Page | Replay) -> list[str]:
    """What was said on a page."""
    return [message.text for message in page.messages]


@promise
async def test_it_is_a_room_log(store: Store) -> None:
    """The domain can call everything that it needs to."""
    assert verifyObject(IRoomLog, await store.log())


@promise
async def test_it_tells_the_time_of_its_messages(store: Store) -> None:
    """How old a message is can be told to within a second or so, and it is never too old."""
    log = await store.log()
    follower = await following(log)
    before = log.now()
    await say(log, "a")
    await follower.hears("a")
    (message,) = follower.events
    assert isinstance(message, Message)
    assert -0.1 < message.at - before < 5.0
    assert message.at - 2.0 < log.now() < message.at + 5.0


@promise
async def test_a_message_reaches_all_instances_as_it_was_sent(store: Store) -> None:
    """Everybody in a room sees what was said in it, its sender on the same instance too."""
    here, there = await store.log(), await store.log()
    followers = [await following(here), await following(there)]
    sent = draft("hello, wörld", kind="did")
    seq = await here.append(TEA, sent)
    for follower in followers:
        await follower.hears("hello, wörld")
        (message,) = follower.events
        assert isinstance(message, Message)
        assert message == Message(
            TEA, seq, message.at, sent.id, "did", ALICE, sent.session, sent.text
        )
        assert message.nick.display == ALICE.display
    assert (await there.history(TEA, 1, None)).messages == (message,)


@pytest.mark.parametrize("followed", [True, False])
@promise
async def test_several_at_once_are_stored_in_their_order(store: Store, followed: bool) -> None:
    """What one user sends together is stored together, and each message has its receipt."""
    here, there = await store.log(), await store.log()
    witness = await following(there)
    if followed:
        await following(here)
    receipts: list[int | ChatError] = []
    twice = draft("2")
    here.store(TEA, [draft("1"), twice, draft("3"), twice], receipts.append)
    await eventually(lambda: len(receipts) == 4)
    assert receipts == [1, 2, 3, 2]
    await witness.hears("1", "2", "3")


@promise
async def test_one_order_for_everyone(store: Store) -> None:
    """However many speak at once, all members see the same sequence, without doubles."""
    here, there = await store.log(), await store.log()
    followers = [await following(here), await following(there)]
    appends = [
        Deferred.fromCoroutine(log.append(TEA, draft(f"{number}")))
        for number in range(100)
        for log in (here, there)
    ]
    seqs = [await append for append in appends]
    assert len(set(seqs)) == 200
    await eventually(lambda: all(len(follower.events) >= 200 for follower in followers))
    for follower in followers:
        assert follower.seqs == sorted(seqs)
    assert followers[0].events == followers[1].events


@promise
async def test_an_id_is_stored_once(store: Store) -> None:
    """A message that is sent again, because its receipt was lost, is not said twice."""
    here, there = await store.log(), await store.log()
    follower = await following(here)
    sent = draft("once")
    seqs = {await log.append(TEA, sent) for log in (here, there, here)}
    await say(there, "then")
    await follower.hears("once", "then")
    assert len(seqs) == 1
    assert texts(await there.history(TEA, 10, None)) == ["once", "then"]


@pytest.mark.parametrize(("recent", "shown"), [(0, []), (2, ["c", "d"]), (9, ["a", "b", "c", "d"])])
@promise
async def test_a_follower_begins_with_the_last_messages(
    store: Store, recent: int, shown: list[str]
) -> None:
    """Who joins sees as many of the last lines as configured, and then what comes."""
    log = await store.log()
    await say(log, "a", "b")
    await say(log, "x", room=RUM)
    await say(log, "c", "d")
    follower = await following(log, recent=recent)
    assert follower.texts == shown  # already now
    await say(log, "e")
    await follower.hears(*shown, "e")


@promise
async def test_there_is_no_seam_after_the_last_messages(store: Store) -> None:
    """Who joins amid a lively talk misses nothing between the last lines and what follows."""
    here, there = await store.log(), await store.log()
    talk = [Deferred.fromCoroutine(here.append(TEA, draft(f"{n}"))) for n in range(300)]
    followers = []
    for _ in range(5):
        followers.append(await following(there, recent=5))
        there.unfollow(TEA)
    last = await following(there, recent=5)
    await DeferredList(talk)
    page = (await there.history(TEA, 300, None)).messages
    await eventually(lambda: last.events and last.events[-1] == page[-1])
    for follower in [*followers, last]:
        seqs = [message.seq for message in page]
        start = seqs.index(follower.seqs[0]) if follower.seqs else 0
        assert follower.seqs == seqs[start : start + len(follower.seqs)]
    assert last.seqs == [message.seq for message in page][-len(last.seqs) :]


@promise
async def test_who_stops_following_hears_nothing_more(store: Store) -> None:
    """A room that everybody here has left is silent, and can be followed again."""
    log = await store.log()
    first = await following(log)
    await say(log, "a")
    await first.hears("a")
    log.unfollow(TEA)
    log.unfollow(TEA)
    log.unfollow(RUM)
    await say(log, "b")
    second = await following(log, recent=1)
    await say(log, "c")
    await second.hears("b", "c")
    assert first.texts == ["a"]


@promise
async def test_a_room_has_one_follower(store: Store) -> None:
    """A second follower is a mistake of the program, which shows at once."""
    log = await store.log()
    await following(log)
    with pytest.raises(ValueError, match="followed already"):
        await log.follow(TEA, Follower(), 0)


@promise
async def test_rooms_are_apart_whatever_they_are_called(store: Store) -> None:
    """What is said in a room is seen in that room alone, in any script."""
    log = await store.log()
    names = ["tea", "tea.room", "teE", "té", "茶", "t-e_a"]
    rooms = [RoomName.parse(name) for name in names]
    followers = [await following(log, room) for room in rooms]
    for room in rooms:
        await say(log, room.display, room=room)
    for room, follower in zip(rooms, followers, strict=True):
        await follower.hears(room.display)
        assert texts(await log.history(room, 10, None)) == [room.display]
        (message,) = follower.events
        assert message.room.display == room.display
    assert set(await log.stored_rooms()) == set(rooms)


@promise
async def test_history_is_read_page_by_page(store: Store) -> None:
    """Who pages back sees everything once, and is told whether there is more."""
    log = await store.log()
    seqs = []
    for number in range(7):
        seqs += await say(log, f"{number}")
        await say(log, "other", "other", room=RUM)
    page = await log.history(TEA, 3, None)
    assert (texts(page), page.older) == (["4", "5", "6"], True)
    page = await log.history(TEA, 3, page.messages[0].seq)
    assert (texts(page), page.older) == (["1", "2", "3"], True)
    page = await log.history(TEA, 3, page.messages[0].seq)
    assert (texts(page), page.older) == (["0"], False)
    assert await log.history(TEA, 3, seqs[0]) == Page((), False)
    page = await log.history(TEA, 7, None)
    assert (len(page.messages), page.older) == (7, False)
    assert texts(await log.history(TEA, 2, seqs[-1] + 1)) == ["5", "6"]
    assert texts(await log.history(TEA, 2, seqs[-1] + 1000)) == ["5", "6"]
    assert texts(await log.history(TEA, 2, seqs[3] - 1)) == ["1", "2"]
    assert await log.history(RoomName.parse("empty"), 5, None) == Page((), False)


@promise
async def test_what_was_acknowledged_is_in_the_history(store: Store) -> None:
    """Who has seen the receipt of a message finds it when reading back, at once."""
    here, there = await store.log(), await store.log()
    for number in range(50):
        await say(here, f"{number}")
        assert texts(await here.history(TEA, 1, None)) == [f"{number}"]
        assert texts(await there.history(TEA, 1, None)) == [f"{number}"]


@promise
async def test_topics_last(store: Store) -> None:
    """A topic is told to the room and kept until it is changed or taken away."""
    here, there = await store.log(), await store.log()
    follower = await following(there)
    assert await here.topics([TEA, RUM]) == {}
    await here.append(TEA, draft("first", kind="topic"))
    await there.append(RUM, draft("spirits", kind="topic"))
    await there.append(TEA, draft("second", kind="topic"))
    await follower.hears("first", "second")
    message = follower.events[-1]
    assert isinstance(message, Message) and message.kind == "topic"
    for log in (here, there):
        await tells(log, {TEA: "second", RUM: "spirits"})
        topics = await log.topics([TEA, RUM, RoomName.parse("gin")])
        assert (topics[TEA].nick, topics[TEA].at) == (ALICE, message.at)
    await here.append(TEA, draft("", kind="topic"))
    await tells(there, {RUM: "spirits"})
    assert await there.topics([]) == {}


async def tells(log: RoomLog, topics: dict[RoomName, str]) -> None:
    """Wait until a log tells these topics of three rooms."""

    async def told() -> bool:
        found = await log.topics([TEA, RUM, RoomName.parse("gin")])
        return {room: topic.text for room, topic in found.items()} == topics

    await eventually(told, message=f"not told: {topics}")


@promise
async def test_a_topic_is_stored_in_its_place_among_messages(store: Store) -> None:
    """It is a message, has its receipt as they do, and the last of several is the topic."""
    here, there = await store.log(), await store.log()
    follower = await following(there)
    first, last = (draft(text, kind="topic") for text in ("first", "last"))
    receipts: list[int | ChatError] = []
    here.store(TEA, [draft("a"), first, draft("b"), last, draft("c"), first], receipts.append)
    await eventually(lambda: len(receipts) == 6)
    assert receipts == [1, 2, 3, 4, 5, 2]
    await follower.hears("a", "first", "b", "last", "c")
    await tells(there, {TEA: "last"})


@promise
async def test_the_later_of_two_topics_stays(store: Store) -> None:
    """When people set topics at the same time, the one that the room saw last is the topic."""
    here, there = await store.log(), await store.log()
    follower = await following(here)
    changes = [
        Deferred.fromCoroutine(log.append(TEA, draft(f"{number}", kind="topic")))
        for number in range(5)
        for log in (here, there)
    ]
    for change in changes:
        await change
    await eventually(lambda: len(follower.events) == 10)
    await tells(there, {TEA: follower.texts[-1]})


@promise
async def test_a_room_can_be_emptied(store: Store) -> None:
    """What is purged is gone from one room, up to a message, and nothing else is."""
    log = await store.log()
    assert await log.last_seq(TEA) == 0
    seqs = await say(log, "a", "b", "c")
    await say(log, "x", room=RUM)
    assert await log.last_seq(TEA) == seqs[2]
    follower = await following(log)
    for _ in range(2):
        await log.purge(TEA, seqs[1])
        assert texts(await log.history(TEA, 9, None)) == ["c"]
    assert set(await log.stored_rooms()) == {TEA, RUM}
    await log.purge(TEA, seqs[2])
    assert await log.history(TEA, 9, None) == Page((), False)
    assert await log.stored_rooms() == (RUM,)
    assert await log.last_seq(TEA) == 0
    await say(log, "d")
    await follower.hears("d")
    page = await log.history(TEA, 9, None)
    assert (texts(page), page.older) == (["d"], False)


@promise
async def test_a_text_of_any_size_is_stored_or_refused(store: Store) -> None:
    """A text that is too long is refused with the limit, and the next one is stored."""
    log = await store.log()
    with pytest.raises(TextTooLong, match=r"at most \d{6,} bytes"):
        await say(log, "x" * (2 << 20))
    await say(log, "y" * 100_000)
    assert [len(text) for text in texts(await log.history(TEA, 9, None))] == [100_000]


@promise
async def test_names_are_shown_as_they_were_written(store: Store) -> None:
    """A message keeps the sender's own spelling of the name, also in the history."""
    log = await store.log()
    sent = draft("hello")
    bob = Nick.parse("BoB")
    await log.append(TEA, type(sent)(sent.id, "said", bob, sent.session, sent.text))
    (message,) = (await log.history(TEA, 1, None)).messages
    assert (message.nick.display, message.nick.key) == ("BoB", "bob")


# What was missed.


@promise
async def test_what_was_missed_is_read_from_where_it_began(store: Store) -> None:
    """Who comes back gets what came after the last message that it has, and nothing else."""
    here, there = await store.log(), await store.log()
    seqs = await say(here, "0", "1")
    await say(here, "elsewhere", room=RUM)
    seqs += await say(here, "2", "3")
    for log in (here, there):
        assert texts(await log.since(TEA, 0, 10)) == ["0", "1", "2", "3"]
        missed = await log.since(TEA, seqs[1], 10)
        assert (texts(missed), missed.lost) == (["2", "3"], None)
        missed = await log.since(TEA, seqs[3], 10)
        assert (texts(missed), missed.lost) == ([], None)


@promise
async def test_what_is_too_much_to_be_made_up_for_is_named(store: Store) -> None:
    """Of too many messages the last come, and it is told which did not."""
    log = await store.log()
    seqs = await say(log, *"0123456")
    missed = await log.since(TEA, seqs[0], 3)
    assert texts(missed) == ["4", "5", "6"]
    assert missed.lost == (seqs[1], seqs[3])


@promise
async def test_what_was_removed_meanwhile_is_named(store: Store) -> None:
    """Nobody takes what retention removed for something that was never said."""
    log = await store.log()
    seqs = await say(log, *"01234")
    await log.purge(TEA, seqs[2])
    missed = await log.since(TEA, seqs[0], 10)
    assert texts(missed) == ["3", "4"]
    assert missed.lost == (seqs[1], seqs[2])
    await log.purge(TEA, seqs[4])
    missed = await log.since(TEA, seqs[0], 10)
    assert (texts(missed), missed.lost) == ([], (seqs[1], seqs[4]))


@promise
async def test_a_follower_has_everything_up_to_the_position(store: Store) -> None:
    """What is newer than the position is still to come, and what is not has come."""
    log = await store.log()
    await say(log, "before")
    assert log.position(TEA) == 0
    follower = await following(log)
    before = log.position(TEA)
    (seq,) = await say(log, "hello")
    await follower.hears("hello")
    assert before < seq <= log.position(TEA)


@promise
async def test_how_far_the_log_is_is_told_whoever_has_stored(store: Store) -> None:
    """A seq that was shown anywhere has been reached; one that is to come has not."""
    here, there = await store.log(), await store.log()
    (seq,) = await say(there, "hello")
    for log in (here, there, here):
        assert await log.reached(0)
        assert await log.reached(seq)
        assert not await log.reached(seq + 1)
    (after,) = await say(there, "again")
    assert await here.reached(after)


@promise
async def test_the_log_has_an_identity(store: Store) -> None:
    """All instances agree which log their seqs are of."""
    here, there = await store.log(), await store.log()
    assert here.identity == there.identity != ""
