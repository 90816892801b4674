"""One followed room: its live copies, what must be read to put them in order, its follower."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.adapters.jetstream.api import Stored
from disroom.adapters.jetstream.follower import RoomOrder, Verdict
from disroom.adapters.jetstream.history import RoomReader
from disroom.adapters.jetstream.stream import StreamSettings
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NotConnected
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.subscription import NatsSubscription
from disroom.chat.events import Gap, Message
from disroom.chat.interfaces import IRoomFollower
from disroom.chat.names import RoomName
from disroom.countdown import Countdown
from disroom.wire.envelope import BadEnvelope, decode

FLUSH_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 0.25
CHECK_TRIES = 2

MOST_REPLAYED = 1000
"""Of a stream that was made anew, how many messages of a room are delivered from its beginning."""


class RoomFeed:
    """Delivers one room to its follower.

    Args:
        room: The room.
        follower: Who takes its messages.
        connection: Brings the live copies.
        reader: Reads from the stream.
        settings: The stream's.
        clock: The reactor.
        suspect: Called when the stream may be another one; must lead to `resume` or `restart`.
        seen: Told the id and the seq of each message that is delivered, after the follower.

    Attributes:
        topic: The seq of the newest message known to have set the topic; 0 for none.
        topic_kept: Of the one that the bucket of topics has, as far as is known.
    """

    _log = Logger()

    def __init__(
        self,
        room: RoomName,
        follower: IRoomFollower,
        *,
        connection: NatsConnection,
        reader: RoomReader,
        settings: StreamSettings,
        clock: IReactorTime,
        suspect: Callable[[], None],
        seen: Callable[[str, int], None],
    ) -> None:
        self.room = room
        self.subject = settings.room_subject(room.token)
        self.order = RoomOrder(self._deliver, self._lose)
        self.topic = 0
        self.topic_kept = 0
        self._follower = follower
        self._connection = connection
        self._reader = reader
        self._live_subject = settings.live_subject(room.token)
        self._clock = clock
        self._suspect = suspect
        self._seen = seen
        self._stored = 0
        self._delivered = 0
        self._closed = False
        self._opened = False
        self._stale = False
        self._heard_on = 0  # the number of a connection
        self._subscription: NatsSubscription | None = None
        self._reading: Deferred[None] | None = None
        self._patience: Countdown | None = None

    @property
    def newest(self) -> int:
        """The newest seq that the room is known to have had."""
        return max(self.order.last, self.order.target, self._stored)

    @property
    def echoes(self) -> bool:
        """Whether the live copy of a message stored now can be counted on.

        The first on a connection can be lost: where another node does not know of us yet.
        """
        return self.order.following and self._heard_on == self._connection.number

    async def open(self, recent: int, position: Callable[[], int]) -> None:
        """Deliver the room's last messages and be live.

        Args:
            recent: How many.
            position: The newest seq of the whole stream that is known to exist.

        Raises:
            NatsError: It does not work just now.
        """
        self._subscription = self._connection.subscribe(self._live_subject, self._received)
        await self._connection.flush(FLUSH_SECONDS)
        await self._begin(recent, position())
        self._opened = True
        if self._stale:
            self.restart()
        self._go_on()

    async def _begin(self, recent: int, position: int) -> None:
        newest, from_leader = await self._reader.newest(self.subject)
        messages: list[Stored] = []
        if newest and recent:
            messages, _ = await self._reader.page(self.subject, recent, None, newest.seq)
        self.order.opened(messages, newest, position if from_leader else 0)

    def close(self) -> None:
        """Deliver nothing more; idempotent."""
        self._closed = True
        if self._subscription is not None:
            self._subscription.cancel()
        self._stop()

    def stored(self, seq: int) -> None:
        """Take note of a message of the room that this instance has stored."""
        self._stored = max(self._stored, seq)

    def expect(self, seq: int) -> None:
        """Make sure that a message which the room has is delivered."""
        if self.order.expect(seq):
            self._go_on()

    def resume(self) -> None:
        """Go on, if there was a suspicion: the stream is the same."""
        self.order.resume()
        self._go_on()

    def restart(self) -> None:
        """Say that there is a gap, and deliver another stream from its beginning."""
        self._stale = not self._opened  # what is being read may be of the old one
        if self._stale:
            return
        self._stop()
        self._stored = self.topic = self.topic_kept = 0
        self.order.restart()
        self._read(self._start_over)

    def cut(self, first: int) -> None:
        """Tell the follower that the stream has nothing any more before a seq of its own."""
        held = self._follower.held()
        if held is not None and held.first < first:
            self._follower.removed(first)

    def doubt(self) -> None:
        """Tell the follower that the stream may have lost anything."""
        if self._follower.held() is not None:
            self._follower.removed(None)

    async def check(self) -> None:
        """Ask whether the stream has all that the follower holds; tell it if that is not sure.

        By how many there are from its oldest one on. What comes meanwhile blurs that: it is asked
        twice; and a loss that hides behind it shows the next time, or has passed by.

        Raises:
            NatsError: It could not be asked, and the follower was told nothing.
        """
        for _ in range(CHECK_TRIES):
            held, delivered = self._follower.held(), self._delivered
            if held is None:
                return
            found, count = await self._reader.tally(self.subject, held.first)
            most = held.count + self._delivered - delivered
            if found == held.first and held.count <= count <= most:
                return
        self.doubt()

    def _received(self, message: Incoming) -> None:
        try:
            stored = Stored.from_live(message)
        except (KeyError, ValueError):
            self._log.warn("{subject}: not from the stream", subject=self._live_subject)
            return
        self._heard_on = self._connection.number
        verdict = self.order.live(stored)
        if verdict is Verdict.BEHIND:
            self._go_on()
        elif verdict is Verdict.SUSPECT:
            self._suspect()

    def _go_on(self) -> None:
        """Have what is missing read, if anything is."""
        if self.order.holding and self._patience is None and not self._closed:
            self._patience = Countdown(PATIENCE_SECONDS, self._clock, self._lose_patience)
        if self.order.behind:
            self._read(self._fill)

    def _lose_patience(self) -> None:
        self._patience = None
        if self.order.holding and self._connection.connected:
            self.order.give_up()
        self._go_on()

    def _read(self, reading: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Read on the side, unless that is being done: each goes on until nothing is missing."""
        if self._reading is None and not self._closed:
            self._reading = Deferred.fromCoroutine(reading())
            self._reading.addBoth(self._reading_ended)

    def _reading_ended(self, result: Failure | None) -> None:
        self._reading = None
        if isinstance(result, Failure) and result.check(CancelledError) is None:
            self._log.failure("While reading what was missed", result)
        if not self.order.holding:
            self._stop_waiting()

    async def _fill(self) -> None:
        order = self.order
        while order.behind:
            need = order.target
            try:
                missed = await self._reader.missed(
                    self.subject, last=order.last, base=order.base, need=need
                )
            except NotConnected:
                return  # all rooms are compared when there is a connection again
            except NatsError as error:
                self._log.debug("#{room}: cannot be read: {error}", room=self.room, error=error)
                if not order.holding:
                    return  # they are compared every few seconds as well
                await deferLater(self._clock, RETRY_SECONDS)
            else:
                order.filled(missed.messages, need, missed.lost_before)

    async def _start_over(self) -> None:
        while not self.order.following:
            try:
                await self._begin(MOST_REPLAYED, 0)
            except NatsError as error:
                self._log.debug("#{room}: cannot be read: {error}", room=self.room, error=error)
                await deferLater(self._clock, RETRY_SECONDS)
        await self._fill()

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _deliver(self, stored: Stored) -> None:
        try:
            message = decode(stored.data, self.room, stored.seq, stored.at)
        except BadEnvelope as error:
            self._log.warn("Seq {seq}: {error}", seq=stored.seq, error=error)
            self._lose(stored.seq, stored.seq)
        else:
            self._delivered += 1
            if message.kind == "topic":
                self.topic = message.seq
            self._tell(message)
            self._seen(message.id, message.seq)

    def _lose(self, first: int | None, last: int | None) -> None:
        self._tell(Gap(self.room, first, last))

    def _tell(self, event: Message | Gap) -> None:
        if not self._closed:
            self._follower.received(event)
