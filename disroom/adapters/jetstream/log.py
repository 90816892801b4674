"""The room log on JetStream: one stream for all rooms, a subject for each, no consumers.

A room's messages reach this instance as live copies that the stream republishes (`feed`), their
order and gaps are `follower`'s, what leaves no trace is found by `lookout`, and what is older is
read by `history`. This is where they are put together and where their errors become the domain's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from disroom.adapters.aio import TimedOut
from disroom.adapters.boottime import boot_time
from disroom.adapters.jetstream.api import Acknowledged, JetStream, Outcome, Refused, Stored
from disroom.adapters.jetstream.burst import Bursts
from disroom.adapters.jetstream.echoes import Echoes
from disroom.adapters.jetstream.feed import RoomFeed
from disroom.adapters.jetstream.history import RoomReader
from disroom.adapters.jetstream.lookout import Lookout
from disroom.adapters.jetstream.publisher import Publisher, TooBig
from disroom.adapters.jetstream.stream import StreamKeeper, StreamSettings, StreamState, moment
from disroom.adapters.jetstream.topickeeper import TopicKeeper
from disroom.adapters.jetstream.topics import Topics
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, StoreStartError
from disroom.adapters.nats.inbox import Inbox
from disroom.chat.errors import ChatError, NotStored, StoreUnavailable, TextTooLong
from disroom.chat.events import Draft, Message
from disroom.chat.interfaces import IRoomFollower, IRoomLog, Receipt
from disroom.chat.names import Nick, RoomName
from disroom.chat.stored import Page, Replay, Topic
from disroom.wire.envelope import BadEnvelope, Envelope, encode

OLDEST_SERVER = (2, 12)
"""The first that counts what follows a message without the message itself."""

RECONNECT_SECONDS = 1.0
"""How long a reading waits for a connection that has just been lost."""


@implementer(IRoomLog)
class JetStreamRoomLog:
    """The rooms of one stream, as one instance sees them.

    Args:
        connection: Started and stopped with this; others may use it meanwhile.
        settings: What the configuration says about the stream.
        clock: The reactor.
        apply: Change a stream that differs from the configuration, instead of refusing it.
        now: Seconds of a clock that nobody sets, and that runs on while the machine sleeps.
    """

    def __init__(
        self,
        connection: NatsConnection,
        settings: StreamSettings,
        *,
        clock: IReactorTime,
        apply: bool = False,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._apply = apply
        self._feeds: dict[str, RoomFeed] = {}
        self._inbox = Inbox(connection, clock)
        self._jetstream = JetStream(connection, self._inbox, clock)
        self._keeper = StreamKeeper(
            self._jetstream, settings, clock, lambda: connection.server_version
        )
        self._echoes = Echoes(connection)
        self._publisher = Publisher(connection, self._inbox, self._echoes, clock, now=now)
        self._bursts = Bursts(connection, self._inbox, self._publisher, self._echoes, now)
        self._reader = RoomReader(
            self._jetstream,
            clock,
            stream=settings.name,
            most_per_room=settings.max_messages_per_room,
        )
        self._topics = Topics(self._jetstream, self._publisher, settings, clock)
        self._topic_keeper = TopicKeeper(
            jetstream=self._jetstream,
            topics=self._topics,
            keeper=self._keeper,
            settings=settings,
            clock=clock,
            feeds=self._feeds,
        )
        self._clock = clock
        self._seconds = now
        self._ahead = 0.0  # of that clock the stream's is; at first so little that nothing is old
        self._lookout = Lookout(
            connection=connection,
            jetstream=self._jetstream,
            keeper=self._keeper,
            settings=settings,
            clock=clock,
            feeds=self._feeds,
            looked=self._looked,
        )

    async def start(self) -> None:
        """Connect within 10 s, and see within 10 s that the stream is there and as configured.

        Raises:
            StreamDiffers: The stream has other settings.
            StoreStartError: NATS cannot be connected to, or the stream cannot be used; why.
        """
        await self._connection.start()
        version = self._connection.server_version
        if (0, 0) < version < OLDEST_SERVER:
            found, oldest = (".".join(map(str, numbers)) for numbers in (version, OLDEST_SERVER))
            raise StoreStartError(f"this is nats-server {found}; {oldest} or later is needed")
        state = await self._keeper.ensure(apply=self._apply)
        self._looked(state)
        self._lookout.start(state)
        self._topic_keeper.start()

    def _looked(self, state: StreamState) -> None:
        self._bursts.allowed = state.batches
        self._ahead = state.at - self._seconds()

    async def stop(self) -> None:
        """Follow nothing more and disconnect, within about a second; appends under way fail."""
        self._lookout.stop()
        self._topic_keeper.stop()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        await self._connection.stop()
        self._publisher.stop()

    # Writing.

    def store(self, room: RoomName, drafts: Sequence[Draft], receipt: Receipt) -> None:
        """Store messages; see `IRoomLog`."""
        token = room.token
        subject = self._settings.room_subject(token)
        feed = self._feeds.get(token)
        if len(drafts) == 1:
            draft = drafts[0]
            told = partial(self._tell, receipt, token, draft)
            echoed = feed is not None and feed.echoes and not draft.repeated
            self._publisher.store(subject, encode(draft), draft.id, told, echoed=echoed)
        else:
            self._bursts.store(
                subject,
                [(draft.id, encode(draft)) for draft in drafts],
                lambda place, outcome: self._tell(receipt, token, drafts[place], outcome),
                followed=feed is not None and feed.order.following,
            )

    def _tell(self, receipt: Receipt, token: str, draft: Draft, outcome: Outcome) -> None:
        if isinstance(outcome, Acknowledged):
            self._lookout.stored(token, outcome.seq)
            if draft.kind == "topic":
                self._topic_keeper.stored(token, outcome.seq)
            receipt(outcome.seq)
        else:
            receipt(_why_not(outcome, draft))

    async def append(self, room: RoomName, draft: Draft) -> int:
        """Store a message and return its seq, or raise what `store` tells."""
        result: Deferred[int | ChatError] = Deferred()
        self.store(room, (draft,), result.callback)
        stored = await result
        if isinstance(stored, ChatError):
            raise stored
        return stored

    async def purge(self, room: RoomName, upto: int) -> None:
        """Remove a room's messages up to a seq; see `IRoomLog`."""
        with _translated():
            await self._jetstream.call(
                f"STREAM.PURGE.{self._settings.name}",
                {"filter": self._settings.room_subject(room.token), "seq": upto + 1},
            )

    # Following.

    async def follow(self, room: RoomName, follower: IRoomFollower, recent: int) -> None:
        """Deliver a room's last messages and what comes; see `IRoomLog`."""
        if room.token in self._feeds:
            raise ValueError(f"#{room} is followed already")
        feed = RoomFeed(
            room,
            follower,
            connection=self._connection,
            reader=self._reader,
            settings=self._settings,
            clock=self._clock,
            suspect=self._lookout.suspect,
            seen=self._echoes.seen,
        )
        self._feeds[room.token] = feed
        try:
            with _translated():
                await self._connection.wait_connected(RECONNECT_SECONDS)
                await feed.open(recent, lambda: self._lookout.position)
        except BaseException:
            feed.close()
            if self._feeds.get(room.token) is feed:
                del self._feeds[room.token]
            raise

    def unfollow(self, room: RoomName) -> None:
        """Deliver nothing more of a room; see `IRoomLog`."""
        feed = self._feeds.pop(room.token, None)
        if feed is not None:
            feed.close()

    # Reading.

    async def history(self, room: RoomName, count: int, before: int | None) -> Page:
        """Read a page of a room's past; see `IRoomLog`."""
        if count < 1 or (before is not None and before <= 1):
            return Page((), False)
        subject = self._settings.room_subject(room.token)
        with _translated():
            await self._connection.wait_connected(RECONNECT_SECONDS)
            feed = self._feeds.get(room.token)
            need = feed.newest if feed is not None else 0
            if not need:
                need = await self._newest(subject)
            if not need:
                return Page((), False)
            stored, older = await self._reader.page(subject, count, before, need)
        return Page(tuple(_messages(room, stored)), older)

    @property
    def identity(self) -> str:
        """Which stream it is; see `IRoomLog`."""
        return self._lookout.created

    def now(self) -> float:
        """The stream's time, which is its leader's, as it was last told; see `IRoomLog`."""
        return self._ahead + self._seconds()

    def position(self, room: RoomName) -> int:
        """Up to where the follower of a room has everything; see `IRoomLog`."""
        feed = self._feeds.get(room.token)
        return feed.order.base if feed is not None else 0

    async def since(self, room: RoomName, after: int, most: int) -> Replay:
        """Read what came after a seq; see `IRoomLog`."""
        subject = self._settings.room_subject(room.token)
        with _translated():
            await self._connection.wait_connected(RECONNECT_SECONDS)
            feed = self._feeds.get(room.token)
            need = feed.newest if feed is not None else await self._newest(subject)
            missed = await self._reader.since(subject, after=after, need=need, most=most)
        lost = (after + 1, missed.lost_before - 1) if missed.lost_before > after + 1 else None
        return Replay(tuple(_messages(room, missed.messages)), lost)

    async def reached(self, seq: int) -> bool:
        """Whether the log has come as far as a seq; see `IRoomLog`."""
        if seq > self._lookout.position:
            with _translated():
                await self._connection.wait_connected(RECONNECT_SECONDS)
                await self._lookout.look()
        return seq <= self._lookout.position

    async def last_seq(self, room: RoomName) -> int:
        """A room's newest seq; see `IRoomLog`."""
        with _translated():
            return await self._newest(self._settings.room_subject(room.token))

    async def _newest(self, subject: str) -> int:
        newest, _ = await self._reader.newest(subject)
        return newest.seq if newest is not None else 0

    async def topics(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, Topic]:
        """Read topics; see `IRoomLog`."""
        by_token = {room.token: room for room in rooms}
        with _translated():
            records = await self._topics.read(list(by_token)) if by_token else {}
        created = moment(self._lookout.created)
        topics = {}
        for token, record in records.items():
            feed = self._feeds.get(token)
            if feed is not None and not feed.topic and record.created == created:
                feed.topic = feed.topic_kept = record.seq
            if record.text:
                room = by_token[token]
                topics[room] = Topic(record.text, Nick.trusted(record.nick), record.at)
        return topics

    async def stored_rooms(self) -> tuple[RoomName, ...]:
        """The rooms that have messages; see `IRoomLog`."""
        prefix = self._settings.room_subject("")
        subjects: list[str] = []
        with _translated():
            while True:
                info = await self._jetstream.call(
                    f"STREAM.INFO.{self._settings.name}",
                    {"subjects_filter": f"{prefix}>", "offset": len(subjects)},
                )
                some = info["state"].get("subjects") or {}
                subjects += some
                if not some or len(subjects) >= info.get("total", 0):
                    break
        return tuple(_rooms(subject[len(prefix) :] for subject in subjects))


def _why_not(outcome: NatsError, draft: Draft) -> ChatError:
    """Say why a message was not stored."""
    if isinstance(outcome, TooBig):
        overhead = len(encode(draft)) - len(draft.text.encode())
        return TextTooLong(max(outcome.limit - overhead, 0))
    if isinstance(outcome, Refused):
        return NotStored(f"the message log refused it: {outcome}")
    return NotStored(str(outcome))


def _messages(room: RoomName, stored: Iterable[Stored]) -> Iterator[Message]:
    """Read what is stored; what somebody else has stored is passed over."""
    for message in stored:
        try:
            envelope = Envelope.decode(message.data)
        except BadEnvelope:
            continue
        yield envelope.message(room, message.seq, message.at)


def _rooms(tokens: Iterable[str]) -> Iterator[RoomName]:
    """The rooms behind these tokens; those that somebody else has published to are no rooms."""
    for token in tokens:
        try:
            room = RoomName.from_token(token)
        except ValueError:
            continue
        if room.token == token:
            yield room


@contextmanager
def _translated() -> Iterator[None]:
    """Let what goes wrong with NATS be the domain's `StoreUnavailable`."""
    try:
        yield
    except (NatsError, TimedOut) as error:
        raise StoreUnavailable from error
