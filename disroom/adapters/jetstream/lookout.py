"""Finding what was missed without a sign: the last message of a room that is quiet since.

A live copy can be lost on the way, a leader can die between storing and republishing, and the first
message after a subscription can pass by on another node. If another message follows, its
predecessor shows the loss. If none does:

* Each instance announces, within a second, the newest seq of every room that it has stored to.
* Each compares the newest seq of every room that it follows with the stream's, every 10 s and at
  once after a reconnection.
* Each expects the live copies of its own messages soon after their acknowledgements.

The same comparison looks at the stream's identity: one that was made anew counts from 1 again; and
at what the stream has lost (`losses`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.adapters.jetstream.api import MOST_SUBJECTS, STREAM_NOT_FOUND, JetStream, Refused
from disroom.adapters.jetstream.feed import RoomFeed
from disroom.adapters.jetstream.losses import Losses
from disroom.adapters.jetstream.stream import StreamKeeper, StreamSettings, StreamState
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NotConnected
from disroom.adapters.nats.message import Incoming
from disroom.rounds import Rounds

TICK_SECONDS = 0.25
LIVE_SECONDS = 0.25
"""How much later than other news of a message its live copy may come."""

ANNOUNCE_SECONDS = 0.75
COMPARE_SECONDS = 10.0
COMPARE_AGAIN_SECONDS = 1.0

MOST_SUBJECT_BYTES = 256 << 10
MOST_ANNOUNCED = 200


class Announcement(msgspec.Struct, frozen=True):
    """What an instance tells the others: the rooms' newest seqs, by token, of one stream."""

    stream: str
    rooms: dict[str, int]


_decode = msgspec.json.Decoder(Announcement).decode


class Lookout:
    """Tells feeds which seqs to expect, and when the stream is another one.

    Args:
        connection: Carries the announcements.
        jetstream: The calls.
        keeper: Makes the stream again if it has vanished.
        settings: The stream's.
        clock: The reactor.
        feeds: The rooms followed, by token; the caller's, and read whenever needed.
        looked: Told how the stream is, whenever that is asked.

    Attributes:
        created: The stream's identity.
        position: The newest seq of the stream that is known to exist.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        connection: NatsConnection,
        jetstream: JetStream,
        keeper: StreamKeeper,
        settings: StreamSettings,
        clock: IReactorTime,
        feeds: Mapping[str, RoomFeed],
        looked: Callable[[StreamState], None],
    ) -> None:
        self.created = ""
        self.position = 0
        self._connection = connection
        self._jetstream = jetstream
        self._keeper = keeper
        self._settings = settings
        self._subject = f"{settings.prefix}.stored"
        self._clock = clock
        self._feeds = feeds
        self._looked = looked
        self._stored: dict[str, int] = {}
        self._announce_at = 0.0
        self._expected: deque[tuple[float, RoomFeed, int]] = deque()
        self._compare_at = 0.0
        self._at_once = False
        self._comparing: Deferred[None] | None = None
        self._losses = Losses(feeds)
        self._ticking = Rounds(clock, "Looking after what is stored", self._tick)
        connection.watch(connected=self._connected, lost=lambda: None)

    def start(self, state: StreamState) -> None:
        """Begin, with the stream as it is."""
        self._is(state)
        self._compare_at = self._clock.seconds() + COMPARE_SECONDS
        self._connection.subscribe(self._subject, self._announced)
        self._ticking.start(TICK_SECONDS)

    def _is(self, state: StreamState) -> None:
        self.created, self.position = state.created, state.last_seq
        self._losses.begin(state)

    def stop(self) -> None:
        """Announce what is left, and end; idempotent."""
        if self._ticking.running:
            self._ticking.stop()
            self._announce()
        if self._comparing is not None:
            self._comparing.cancel()

    def stored(self, token: str, seq: int) -> None:
        """Take note of a message that this instance has stored."""
        self.position = max(self.position, seq)
        self._stored[token] = max(self._stored.get(token, 0), seq)
        feed = self._feeds.get(token)
        if feed is not None:
            feed.stored(seq)
            self._expect_soon(feed, seq)

    async def look(self) -> None:
        """Ask how far the stream is, for `position`; where it is another one, compare.

        Raises:
            NatsError: It could not be asked.
        """
        info = await self._jetstream.call(f"STREAM.INFO.{self._settings.name}")
        state = StreamState.from_info(info)
        self._looked(state)
        if state.created == self.created:
            self.position = max(self.position, state.last_seq)
        else:
            self.suspect()

    def suspect(self) -> None:
        """Compare the stream's identity now."""
        self._at_once = True
        self._compare()

    def _connected(self) -> None:
        if self._ticking.running:
            self.suspect()

    def _expect_soon(self, feed: RoomFeed, seq: int) -> None:
        if seq > feed.order.last:
            self._expected.append((self._clock.seconds() + LIVE_SECONDS, feed, seq))

    def _tick(self) -> None:
        now = self._clock.seconds()
        while self._expected and self._expected[0][0] <= now:
            _, feed, seq = self._expected.popleft()
            feed.expect(seq)
        if self._stored and now >= self._announce_at and self._connection.connected:
            self._announce_at = now + ANNOUNCE_SECONDS
            self._announce()
        if now >= self._compare_at:
            self._compare()

    # Announcements.

    def _announce(self) -> None:
        stored, self._stored = self._stored, {}
        rooms = list(stored.items())
        for start in range(0, len(rooms), MOST_ANNOUNCED):
            some = Announcement(self.created, dict(rooms[start : start + MOST_ANNOUNCED]))
            sent = Deferred.fromCoroutine(
                self._connection.publish(self._subject, msgspec.json.encode(some))
            )
            # Who is cut off compares everything afterwards, and so do the others in a while.
            sent.addErrback(lambda failure: failure.trap(NotConnected) and None)

    def _announced(self, message: Incoming) -> None:
        try:
            announcement = _decode(message.data)
        except msgspec.DecodeError:
            self._log.warn("{subject}: not an announcement", subject=self._subject)
            return
        if announcement.stream != self.created:
            self.suspect()
            return
        for token, seq in announcement.rooms.items():
            feed = self._feeds.get(token)
            if feed is not None:
                self._expect_soon(feed, seq)

    # Comparison.

    def _compare(self) -> None:
        if self._comparing is None:
            self._compare_at = self._clock.seconds() + COMPARE_SECONDS
            self._comparing = Deferred.fromCoroutine(self._compare_all())
            self._comparing.addBoth(self._compared)

    def _compared(self, result: Failure | None) -> None:
        self._comparing = None
        if isinstance(result, Failure):
            if result.check(NatsError):
                self._log.debug("Cannot compare: {why}", why=result.getErrorMessage())
                self._compare_at = self._clock.seconds() + COMPARE_AGAIN_SECONDS
            elif result.check(CancelledError) is None:
                self._log.failure("While comparing rooms with the stream", result)
        elif self._at_once and self._ticking.running:
            self._compare()

    async def _compare_all(self) -> None:
        at_once, self._at_once = self._at_once, False
        feeds = list(self._feeds.values())
        for feed in feeds:
            feed.order.rotate()
        state = await self._state()
        self._looked(state)
        if state.created != self.created:
            self._log.warn("The stream {name} is another one", name=self._settings.name)
            self._is(state)
            self._stored.clear()
            self._expected.clear()
            for feed in tuple(self._feeds.values()):
                feed.restart()
            return
        self.position = max(self.position, state.last_seq)
        for feed in feeds:
            feed.order.confirmed()
            feed.resume()
        for some in _portions(feeds):
            await self._compare_some(some, at_once)
        await self._losses.look(state)

    async def _state(self) -> StreamState:
        try:
            info = await self._jetstream.call(f"STREAM.INFO.{self._settings.name}")
            return StreamState.from_info(info)
        except Refused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            self._log.warn("The stream {name} is gone; it is made anew", name=self._settings.name)
            stream, _ = await self._keeper.recreate()
            return stream

    async def _compare_some(self, feeds: Sequence[RoomFeed], at_once: bool) -> None:
        query = {
            "multi_last": [feed.subject for feed in feeds],
            # Quiet rooms, most of them, are left out of the answer.
            "seq": min(feed.order.base for feed in feeds) + 1,
        }
        batch = await self._jetstream.direct(self._settings.name, query)
        self.position = max(self.position, batch.upto)
        newest = {message.subject: message.seq for message in batch.messages}
        for feed in feeds:
            seq = newest.get(feed.subject, 0)
            if seq <= feed.order.last:
                feed.order.checked(batch.upto)
            elif at_once:
                feed.expect(seq)
            else:
                self._expect_soon(feed, seq)


def _portions(feeds: Sequence[RoomFeed]) -> Iterator[list[RoomFeed]]:
    """Split the rooms that are being followed into as many as one request may have."""
    portion: list[RoomFeed] = []
    size = 0
    for feed in feeds:
        if not feed.order.following:
            continue
        if len(portion) == MOST_SUBJECTS or size > MOST_SUBJECT_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(feed)
        size += len(feed.subject)
    if portion:
        yield portion
