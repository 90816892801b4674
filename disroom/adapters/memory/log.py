"""The room log in memory. Several `MemoryRoomLog` on one `MemoryStream` are as many instances."""

from __future__ import annotations

import bisect
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from disroom.chat.errors import ChatError, NotStored, StoreUnavailable, TextTooLong
from disroom.chat.events import Draft, Gap, Message
from disroom.chat.interfaces import IRoomFollower, IRoomLog, Receipt
from disroom.chat.names import RoomName
from disroom.chat.stored import Page, Replay, Topic


class MemoryStream:
    """What the instances share.

    Args:
        now: The stream's clock, Unix seconds.
        most_per_room: How many messages of a room are kept, 0 for all.
        most_bytes: Of a text.

    Attributes:
        now: The stream's clock.
        available: Set to False, the stream cannot be reached: appending fails with `NotStored`, and
            everything else with `StoreUnavailable`.
        identity: Changes when it is made anew.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        *,
        most_per_room: int = 0,
        most_bytes: int = 1 << 20,
    ) -> None:
        self.available = True
        self.identity = "1"
        self.now = now
        self._most_per_room = most_per_room
        self._most_bytes = most_bytes
        self._seq = 0
        self._rooms: dict[RoomName, list[Message]] = defaultdict(list)
        self._removed: dict[RoomName, int] = {}
        self._seqs: dict[str, int] = {}
        self._topics: dict[RoomName, Topic] = {}
        self._followers: dict[RoomName, list[IRoomFollower]] = defaultdict(list)
        self._held: list[Deferred[None]] | None = None

    def hold(self) -> None:
        """Have appends wait until `release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Let those through that wait, in their order, and all others from now on."""
        held, self._held = self._held or [], None
        for append in held:
            append.callback(None)

    def restart(self) -> None:
        """Lose everything, as a stream that is made anew has."""
        self.identity = f"{int(self.identity) + 1}"
        self._seq = 0
        self._rooms.clear()
        self._removed.clear()
        self._seqs.clear()
        for room, followers in tuple(self._followers.items()):
            for follower in tuple(followers):
                follower.received(Gap(room, None, None))

    async def append(self, room: RoomName, draft: Draft) -> int:
        """Store a message and deliver it to all followers."""
        if self._held is not None:
            append: Deferred[None] = Deferred()
            self._held.append(append)
            await append
        if not self.available:
            raise NotStored
        if len(draft.text.encode()) > self._most_bytes:
            raise TextTooLong(self._most_bytes)
        if draft.id in self._seqs:
            return self._seqs[draft.id]
        self._seq += 1
        message = Message(
            room,
            self._seq,
            self.now(),
            draft.id,
            draft.kind,
            draft.nick,
            draft.session,
            draft.text,
        )
        self._seqs[draft.id] = self._seq
        if draft.kind == "topic":
            self._topics[room] = Topic(draft.text, draft.nick, message.at)
        messages = self._rooms[room]
        messages.append(message)
        if self._most_per_room:
            self._remove(room, len(messages) - self._most_per_room)
        for follower in tuple(self._followers[room]):
            follower.received(message)
            if self._most_per_room:
                follower.removed(messages[0].seq)
        return message.seq

    @property
    def last_seq(self) -> int:
        """The newest seq of all."""
        return self._seq

    def messages(self, room: RoomName) -> list[Message]:
        """The room's messages, oldest first."""
        self.reach()
        return self._rooms.get(room, [])

    def purge(self, room: RoomName, upto: int) -> None:
        """Remove a room's messages up to a seq."""
        messages = self.messages(room)
        self._remove(room, bisect.bisect_right(messages, upto, key=_seq))
        if not messages:
            self._rooms.pop(room, None)
        for follower in tuple(self._followers[room]):
            follower.removed(upto + 1)

    def delete(self, room: RoomName, seq: int) -> None:
        """Remove one message, as an operator does."""
        messages = self.messages(room)
        messages[:] = [message for message in messages if message.seq != seq]
        for follower in tuple(self._followers[room]):
            follower.removed(None)

    def _remove(self, room: RoomName, count: int) -> None:
        """Remove the room's oldest messages."""
        messages = self._rooms[room]
        if count > 0:
            self._removed[room] = messages[count - 1].seq
            del messages[:count]

    def removed(self, room: RoomName) -> int:
        """The seq of the room's newest message that was removed, 0 if none was."""
        return self._removed.get(room, 0)

    def rooms(self) -> tuple[RoomName, ...]:
        """The rooms that have messages."""
        self.reach()
        return tuple(room for room, messages in self._rooms.items() if messages)

    def topic(self, room: RoomName) -> Topic | None:
        """A room's topic."""
        self.reach()
        topic = self._topics.get(room)
        return topic if topic is not None and topic.text else None

    def follow(self, room: RoomName, follower: IRoomFollower) -> None:
        """Deliver a room's messages from now on."""
        self._followers[room].append(follower)

    def unfollow(self, room: RoomName, follower: IRoomFollower) -> None:
        """Deliver no more."""
        self._followers[room].remove(follower)

    def reach(self) -> None:
        """Raise `StoreUnavailable` unless the stream is available."""
        if not self.available:
            raise StoreUnavailable


@implementer(IRoomLog)
class MemoryRoomLog:
    """The rooms of a stream in memory, as one instance sees them."""

    _log = Logger()

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self._following: dict[RoomName, IRoomFollower] = {}

    def store(self, room: RoomName, drafts: Sequence[Draft], receipt: Receipt) -> None:
        """Store messages; see `IRoomLog`."""

        async def stored() -> None:
            for draft in drafts:
                try:
                    result: int | ChatError = await self.append(room, draft)
                except ChatError as error:
                    result = error
                receipt(result)

        ended = Deferred.fromCoroutine(stored())
        ended.addErrback(lambda failure: self._log.failure("While storing a message", failure))

    async def append(self, room: RoomName, draft: Draft) -> int:
        """Store a message and return its seq, or raise what `store` tells."""
        return await self._stream.append(room, draft)

    async def follow(self, room: RoomName, follower: IRoomFollower, recent: int) -> None:
        """Deliver a room's last messages and what comes; see `IRoomLog`."""
        if room in self._following:
            raise ValueError(f"#{room} is followed already")
        messages = self._stream.messages(room)
        for message in messages[max(0, len(messages) - recent) :]:
            follower.received(message)
        self._following[room] = follower
        self._stream.follow(room, follower)

    def unfollow(self, room: RoomName) -> None:
        """Deliver nothing more of a room; see `IRoomLog`."""
        follower = self._following.pop(room, None)
        if follower is not None:
            self._stream.unfollow(room, follower)

    @property
    def identity(self) -> str:
        """Which stream it is; see `IRoomLog`."""
        return self._stream.identity

    def now(self) -> float:
        """The stream's time; see `IRoomLog`."""
        return self._stream.now()

    def position(self, room: RoomName) -> int:
        """Up to where the follower of a room has everything; see `IRoomLog`."""
        return self._stream.last_seq if room in self._following else 0

    async def since(self, room: RoomName, after: int, most: int) -> Replay:
        """Read what came after a seq; see `IRoomLog`."""
        messages = self._stream.messages(room)
        removed = self._stream.removed(room)
        found = messages[bisect.bisect_right(messages, after, key=_seq) :]
        if len(found) > most:
            removed = found[-most - 1].seq
            found = found[-most:]
        return Replay(tuple(found), (after + 1, removed) if removed > after else None)

    async def reached(self, seq: int) -> bool:
        """Whether the log has come as far as a seq; see `IRoomLog`."""
        self._stream.reach()
        return seq <= self._stream.last_seq

    async def history(self, room: RoomName, count: int, before: int | None) -> Page:
        """Read a page of a room's past; see `IRoomLog`."""
        messages = self._stream.messages(room)
        end = len(messages) if before is None else bisect.bisect_left(messages, before, key=_seq)
        start = max(0, end - count)
        return Page(tuple(messages[start:end]), 0 < start < end)

    async def last_seq(self, room: RoomName) -> int:
        """A room's newest seq; see `IRoomLog`."""
        messages = self._stream.messages(room)
        return messages[-1].seq if messages else 0

    async def topics(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, Topic]:
        """Read topics; see `IRoomLog`."""
        topics = {room: self._stream.topic(room) for room in rooms}
        return {room: topic for room, topic in topics.items() if topic is not None}

    async def stored_rooms(self) -> tuple[RoomName, ...]:
        """The rooms that have messages; see `IRoomLog`."""
        return self._stream.rooms()

    async def purge(self, room: RoomName, upto: int) -> None:
        """Remove a room's messages up to a seq; see `IRoomLog`."""
        self._stream.purge(room, upto)


def _seq(message: Message) -> int:
    return message.seq
