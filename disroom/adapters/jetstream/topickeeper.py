"""Keeping the bucket of topics up with the messages that set them.

The stored message is what sets a topic. The bucket only spares those who open a room the search for
it, so nobody waits for the bucket: it is written on the side, and not only by the instance that has
stored the message, which may die before it has.

* Who has stored a topic's message writes the topic at once.
* Who follows a room looks, every 5 s, whether the bucket has the newest topic that has come there
  since the last look or that the room began with, and writes it where it has not.
* A bucket that was deleted is made again, with the topics of all rooms that are followed.

What is written is read from the stream, and what is there is replaced by something newer only, so
that it does not matter who writes, how often, and in which order.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.adapters.aio import TimedOut
from disroom.adapters.jetstream.api import STREAM_NOT_FOUND, JetStream, Refused
from disroom.adapters.jetstream.feed import RoomFeed
from disroom.adapters.jetstream.publisher import TooBig
from disroom.adapters.jetstream.stream import StreamKeeper, StreamSettings, StreamState, moment
from disroom.adapters.jetstream.topics import Contended, TopicRecord, Topics
from disroom.adapters.nats.errors import NatsError
from disroom.rounds import Rounds
from disroom.wire.envelope import BadEnvelope, Envelope

LOOK_SECONDS = 5.0

MOST_WAITING = 10_000
"""Of how many rooms it is remembered that a topic was stored here which is not in the bucket."""


class TopicKeeper:
    """Writes topics for one instance, one after the other.

    Args:
        jetstream: The calls.
        topics: The bucket.
        keeper: Makes the bucket again if it has vanished.
        settings: The stream's.
        clock: The reactor.
        feeds: The rooms followed, by token; the caller's, and read whenever needed.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        jetstream: JetStream,
        topics: Topics,
        keeper: StreamKeeper,
        settings: StreamSettings,
        clock: IReactorTime,
        feeds: Mapping[str, RoomFeed],
    ) -> None:
        self._jetstream = jetstream
        self._topics = topics
        self._keeper = keeper
        self._settings = settings
        self._feeds = feeds
        self._bucket = ""  # its identity
        self._stored: dict[str, int] = {}
        self._more = False
        self._looks = False
        self._working: Deferred[None] | None = None
        self._looking = Rounds(clock, "Looking whether topics are kept", self._look)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(LOOK_SECONDS)

    def stop(self) -> None:
        """End, also in the midst of writing; idempotent."""
        self._looking.stop()
        if self._working is not None:
            self._working.cancel()

    def stored(self, token: str, seq: int) -> None:
        """Have a topic written whose message this instance has stored."""
        self._stored[token] = max(seq, self._stored.pop(token, 0))
        if len(self._stored) > MOST_WAITING:
            del self._stored[next(iter(self._stored))]
        self._more = True
        self._go_on()

    def _look(self) -> None:
        self._more = self._looks = True
        self._go_on()

    def _go_on(self) -> None:
        if self._working is None and self._looking.running:
            self._working = Deferred.fromCoroutine(self._work())
            self._working.addBoth(self._worked)

    def _worked(self, result: Failure | None) -> None:
        self._working = None
        if isinstance(result, Failure):  # the next look tries again
            if result.check(NatsError, TimedOut):
                self._log.debug("Cannot keep topics: {why}", why=result.getErrorMessage())
            elif result.check(CancelledError) is None:
                self._log.failure("While keeping topics", result)

    async def _work(self) -> None:
        while self._more:
            looks, self._more, self._looks = self._looks, False, False
            due = dict(self._stored)
            if looks:
                await self._see_to_the_bucket()
                for token, feed in self._feeds.items():
                    if feed.topic != feed.topic_kept:
                        due[token] = max(feed.topic, due.get(token, 0))
            if due:
                await self._keep(due)

    async def _see_to_the_bucket(self) -> None:
        try:
            info = await self._jetstream.call(f"STREAM.INFO.KV_{self._settings.bucket}")
            created = StreamState.from_info(info).created
        except Refused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            name = self._settings.bucket
            self._log.warn("The bucket {name} is gone; it is made anew", name=name)
            _, bucket = await self._keeper.recreate()
            created = bucket.created
        if created != self._bucket:
            for feed in self._feeds.values():
                feed.topic_kept = 0
            self._bucket = created

    async def _keep(self, due: Mapping[str, int]) -> None:
        """Make sure that the bucket has these topics or newer ones; by token, with their seqs."""
        info = await self._jetstream.call(f"STREAM.INFO.{self._settings.name}")
        created = moment(StreamState.from_info(info).created)
        held = await self._topics.read(list(due))
        for token, seq in due.items():
            there = held.get(token)
            if there is None or there.age < (created, seq):
                try:
                    await self._write(token, seq, created)
                except (Refused, TooBig, Contended) as error:
                    if isinstance(error, Refused) and _concerns_all(error):
                        raise
                    self._log.warn("#{token}: topic not kept: {why}", token=token, why=error)
                    if isinstance(error, Contended):  # the others would say the same each time
                        continue
            if self._stored.get(token) == seq:
                del self._stored[token]
            feed = self._feeds.get(token)
            if feed is not None and feed.topic == seq:
                feed.topic_kept = seq

    async def _write(self, token: str, seq: int, created: float) -> None:
        message = await self._jetstream.from_leader(self._settings.name, {"seq": seq})
        if message is None or message.subject != self._settings.room_subject(token):
            return  # it is gone, or was of another stream
        try:
            envelope = Envelope.decode(message.data)
        except BadEnvelope:
            return
        if envelope.kind == "topic":
            record = TopicRecord(envelope.text, envelope.nick, message.at, seq, created)
            await self._topics.write(token, record, message.id)


def _concerns_all(error: Refused) -> bool:
    """Whether a refusal says nothing of the topic in question: the next would fare no better."""
    return error.status >= 500 or error.code == STREAM_NOT_FOUND
