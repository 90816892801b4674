"""Reading a room's past out of a stream of many rooms."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from disroom.adapters.jetstream.api import NO_LEADER_NOW, Batch, JetStream, Refused, Stored
from disroom.adapters.jetstream.history import (
    LAG_PAUSES,
    LATE_GUESSES,
    Bracket,
    RoomReader,
    enough,
)
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens
from disroom.chat.names import RoomName
from disroom.chat.stored import Page
from tests.adapters.jetstream.nats_log import (
    RUM,
    TEA,
    NatsLogs,
    draft,
    store_quickly,
)
from tests.contract.witness import promise
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy

T = TypeVar("T")


def texts(page: Page) -> list[str]:
    """What was said on a page."""
    return [message.text for message in page.messages]


def numbered(tokens: Sequence[str], room: RoomName = TEA) -> list[str]:
    """The texts of a room that `store_quickly` stores."""
    return [f"#{number}" for number, token in enumerate(tokens, 1) if token == room.token]


def requests(proxy: NatsProxy) -> int:
    """How many requests to JetStream came through the proxy, since it was last told to forget."""
    return sum(
        seen.direction == "to_server" and seen.frame.subject.startswith("$JS.API.")
        for seen in proxy.seen
    )


@given(
    st.lists(st.integers(1, 10**12), unique=True, min_size=201, max_size=400).map(sorted),
    st.integers(1, 100),
)
def test_any_spread_of_messages_is_searched(seqs: list[int], wanted: int) -> None:
    """However a room's messages are spread over the stream, its last ones are found, and soon."""
    bracket = Bracket(seqs[0], len(seqs), seqs[-1] + 1, wanted)
    for number in range(120):  # a third of them halve what is left
        guess = bracket.guess()
        assert bracket.low < guess < bracket.high
        place = bisect.bisect_left(seqs, guess)
        found = seqs[place] if place < len(seqs) else 0
        start = bracket.told(guess, found, len(seqs) - place)
        if start is not None:
            surplus = (enough(wanted) - wanted) * (1 if number < LATE_GUESSES else 2)
            assert wanted <= len(seqs) - seqs.index(start) <= wanted + surplus
            return
    raise AssertionError("not found")


@promise
async def test_a_page_is_found_among_many_rooms_in_few_trips(
    logs: NatsLogs, nats: NatsServer, proxy: NatsProxy
) -> None:
    """Paging is quick, and exact, where a room's messages are few among very many."""
    log = await logs.log(proxy.url)
    # At first every 100th, then a burst, then every 1,000th: no even spread.
    tokens = ["tea" if n % 100 == 0 else f"r{n % 50}" for n in range(60_000)]
    tokens += ["tea"] * 200
    tokens += ["tea" if n % 1000 == 0 else f"r{n % 50}" for n in range(140_000)]
    expected = numbered(tokens)
    assert len(expected) == 940
    store_quickly(nats, logs.settings, tokens)
    for count, newer in ((100, 0), (100, 100), (300, 200), (10, 500), (1000, 0), (1000, 7)):
        before = int(expected[-newer][1:]) if newer else None
        proxy.forget()
        page = await log.history(TEA, count, before)
        assert texts(page) == expected[: -newer or None][-count:]
        assert page.older == (count < 1000)
        assert requests(proxy) <= 10
    with nats.connect() as raw:
        assert raw.consumer_count(logs.settings.name) == 0


@promise
async def test_every_page_of_a_room_is_read_back_to_its_beginning(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """Who pages back reads everything once, in order, and is told where it begins."""
    log = await logs.log(nats.url)
    tokens = [("tea", "rum", "tea", "gin")[n % 4] for n in range(1001)]
    store_quickly(nats, logs.settings, tokens)
    pages: list[str] = []
    before, older = None, True
    while older:
        page = await log.history(TEA, 77, before)
        pages[:0] = texts(page)
        before, older = page.messages[0].seq, page.older
    assert pages == numbered(tokens)
    assert await log.history(TEA, 77, before) == Page((), False)


@promise
async def test_expired_rooms_and_beginnings(logs: NatsLogs, nats: NatsServer) -> None:
    """A room with nothing left, with one message, and with its beginning gone, are read right."""
    log = await logs.log(nats.url)
    assert await log.history(TEA, 10, None) == Page((), False)
    seqs = [await log.append(TEA, draft(f"{n}")) for n in range(6)]
    await log.append(RUM, draft("alone"))
    assert texts(await log.history(RUM, 10, None)) == ["alone"]
    await log.purge(TEA, seqs[2])
    page = await log.history(TEA, 10, None)
    assert (texts(page), page.older) == (["3", "4", "5"], False)
    assert await log.history(TEA, 10, seqs[3]) == Page((), False)
    await log.purge(TEA, seqs[5])
    assert await log.history(TEA, 10, None) == Page((), False)
    assert await log.history(TEA, 10, seqs[2]) == Page((), False)


class LaggingReplicas(JetStream):
    """A stream whose leader has everything, and whose replicas lag, each request by another lag.

    Args:
        seqs: The room's; the stream has others between them.
        lags: How many of the room's newest messages the replica asked next does not have.

    Attributes:
        given: How many messages each request to a replica was answered with.
    """

    def __init__(self, seqs: Sequence[int], lags: Iterator[int]) -> None:
        self.seqs = list(seqs)
        self._lags = lags
        self.given: list[int] = []
        self.first_seq = 1

    async def direct(self, stream: str, query: Mapping[str, Any], *, seconds: float = 0.0) -> Batch:
        """Answer as a replica."""
        known = self.seqs[: max(0, len(self.seqs) - next(self._lags))]
        later = [seq for seq in known if seq >= query["seq"]]
        found = [
            stored(seq, len(later) - place) for place, seq in enumerate(later[: query["batch"]], 1)
        ]
        self.given.append(len(found))
        return Batch(tuple(found))

    async def from_leader(
        self, stream: str, query: Mapping[str, Any], *, seconds: float = 0.0
    ) -> Stored | None:
        """Answer as the leader."""
        later = [seq for seq in self.seqs if seq >= query["seq"]]
        return stored(later[0]) if later else None

    async def call(
        self, verb: str, body: Mapping[str, Any] | None = None, *, seconds: float = 0.0
    ) -> dict[str, Any]:
        """Answer the leader's STREAM.INFO."""
        return {"state": {"first_seq": self.first_seq, "subjects": {"room": len(self.seqs)}}}

    def read(self, reading: Callable[[RoomReader], Coroutine[Any, Any, T]], most: int = 0) -> T:
        """Let a reader read; its pauses take no time."""
        clock = Clock()
        reader = RoomReader(self, clock, stream="S", most_per_room=most)
        result = Deferred.fromCoroutine(reading(reader))
        while not result.called:
            assert clock.getDelayedCalls(), "it waits for nothing"
            clock.advance(1)
        values: list[T] = []
        result.addCallback(values.append)
        return values[0]


def stored(seq: int, pending: int = 0) -> Stored:
    """A message of the room."""
    return Stored("room", seq, 0, float(seq), f"m{seq}", b"", pending)


rooms = st.lists(st.integers(1, 3000), unique=True, min_size=1, max_size=120).map(sorted)
lags = st.lists(st.integers(0, 130), max_size=40).map(lambda some: iter([*some, *[0] * 200]))


@given(rooms, lags, st.integers(1, 50), st.none() | st.integers(2, 3100))
def test_a_replica_that_lags_hides_nothing(
    seqs: list[int], lags: Iterator[int], count: int, before: int | None
) -> None:
    """What a member has seen is in the history, whichever replica answers each request."""
    stream = LaggingReplicas(seqs, lags)
    page, older = stream.read(lambda reader: reader.page("room", count, before, seqs[-1]))
    earlier = [seq for seq in seqs if before is None or seq < before]
    shown = [message.seq for message in page]
    assert shown == earlier[len(earlier) - len(shown) :]
    assert older == (len(earlier) > len(shown)) or not shown
    # Where the replicas count differently each time a page may be short, but says so.
    assert len(shown) == min(count, len(earlier)) or older


@pytest.mark.parametrize(("count", "before"), [(20, None), (51, None), (101, None), (101, 700_001)])
def test_little_more_is_read_than_a_page_has(count: int, before: int | None) -> None:
    """Paging is quick where each message that is read means a thousand others to pass over."""
    stream = LaggingReplicas(range(1, 1_000_000, 1000), itertools.repeat(0))
    page, _ = stream.read(lambda reader: reader.page("room", count, before, 999_001))
    assert len(page) == count
    assert len(stream.given) <= (3 if before is None else 4)
    assert sum(stream.given) <= 1.2 * count + 5


def test_a_replica_that_counts_differently_does_not_shorten_a_page() -> None:
    """A page is as long as was asked for, though one replica knew less than the others."""
    seqs = [10 * number for number in range(1, 301)]
    lags = iter([0, 300, *[0] * 100])  # the second is asked how many follow the page
    stream = LaggingReplicas(seqs, lags)
    page, older = stream.read(lambda reader: reader.page("room", 50, 1501, seqs[-1]))
    assert [message.seq for message in page] == seqs[100:150] and older


@given(rooms, lags, st.data())
def test_a_follower_gets_all_that_it_missed(
    seqs: list[int], lags: Iterator[int], data: st.DataObject
) -> None:
    """Who was cut off is brought everything, whichever replica answers."""
    last = data.draw(st.sampled_from([0, *seqs[:-1]]))
    stream = LaggingReplicas(seqs, lags)
    missed = stream.read(lambda reader: reader.missed("room", last=last, base=last, need=seqs[-1]))
    assert [message.seq for message in missed.messages] == [seq for seq in seqs if seq > last]
    assert missed.lost_before == 0


@pytest.mark.parametrize(
    ("first_seq", "most", "lost_before"),
    [
        (1, 0, 0),  # nothing has been removed
        (15, 0, 0),  # what was removed was seen to be none of the room's
        (40, 0, 50),  # by age or size
        (1, 3, 0),  # the room may have more
        (1, 2, 50),  # the room has as many as it may
    ],
)
def test_what_may_have_been_removed_is_told(first_seq: int, most: int, lost_before: int) -> None:
    """Who missed something for good is told so, and nobody else is alarmed."""
    stream = LaggingReplicas([50, 60], iter([0] * 10))
    stream.first_seq = first_seq
    missed = stream.read(lambda reader: reader.missed("room", last=10, base=20, need=60), most)
    assert [message.seq for message in missed.messages] == [50, 60]
    assert missed.lost_before == lost_before


class FalteringReplicas(LaggingReplicas):
    """Replicas of which some do not answer, and perhaps no leader.

    Args:
        seqs: The room's.
        faults: What the next requests to a replica meet.
        leaderless: What those to the leader meet, if anything.
    """

    def __init__(
        self, seqs: Sequence[int], faults: Sequence[NatsError], leaderless: NatsError | None = None
    ) -> None:
        super().__init__(seqs, itertools.repeat(0))
        self._faults = list(faults)
        self._leaderless = leaderless

    async def direct(self, stream: str, query: Mapping[str, Any], *, seconds: float = 0.0) -> Batch:
        """Answer as a replica, or do not."""
        if self._faults:
            raise self._faults.pop(0)
        if "multi_last" in query:
            return Batch((stored(self.seqs[-1]),))
        return await super().direct(stream, query, seconds=seconds)

    async def from_leader(
        self, stream: str, query: Mapping[str, Any], *, seconds: float = 0.0
    ) -> Stored | None:
        """Answer as the leader, or do not."""
        if self._leaderless is not None:
            raise self._leaderless
        return await super().from_leader(stream, query, seconds=seconds)


def test_a_replica_that_does_not_answer_is_not_the_last_word() -> None:
    """A history is read though one node has just died: another one is asked."""
    stream = FalteringReplicas([50, 60], [NoAnswer("dead")])
    page, older = stream.read(lambda reader: reader.page("room", 9, None, 60))
    assert ([message.seq for message in page], older) == ([50, 60], False)


def test_where_no_replica_listens_the_leader_is_asked() -> None:
    """What was missed is read, in the middle of an upgrade, say."""
    stream = FalteringReplicas([50, 60], [NobodyListens("none")] * (len(LAG_PAUSES) + 1))
    messages = stream.read(lambda reader: reader.forward("room", 1, 60))
    assert [message.seq for message in messages] == [50, 60]


@pytest.mark.parametrize(
    "why", [NoAnswer("dead"), NobodyListens("none"), Refused(503, NO_LEADER_NOW, "no leader")]
)
def test_without_a_leader_a_replica_tells_the_newest(why: NatsError) -> None:
    """Rooms can be entered during an election; that it may not be the newest is known."""
    stream = FalteringReplicas([50, 60], [], leaderless=why)
    newest, from_leader = stream.read(lambda reader: reader.newest("room"))
    assert newest is not None
    assert (newest.seq, from_leader) == (60, False)
