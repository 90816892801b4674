"""The rooms that this instance follows, because somebody here is in them.

No instance owns a room: each follows it in the log while it has an occupant here, and of what
presence tells of all rooms, it keeps what concerns those. What was missed is found by comparing
versions with the presence store, every COMPARE_SECONDS and whenever there is doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from disroom.chat.errors import ChatError, PresenceUnavailable, StoreUnavailable
from disroom.chat.histories import Histories
from disroom.chat.interfaces import IPresence, IRoomLog, IRuntime, ISignal
from disroom.chat.limits import Limits
from disroom.chat.names import RoomName
from disroom.chat.presence import Change
from disroom.chat.replays import Replays
from disroom.chat.room import Room

COMPARE_SECONDS = 10.0
"""How often the versions of all rooms are compared with the presence store's."""

TOPIC_SECONDS = 10.0
"""For how long a topic that was read need not be read again."""


@dataclass(slots=True)
class _Followed:
    """A room, and the joins under way to it, which keep it open.

    Attributes:
        introducing: While the first of them asks who is in the room. The others wait for it, so
            that of all who come back at once after a restart only one is told everybody.
        topic_until: Until when, in monotonic seconds, the topic that was read may be told.
    """

    room: Room
    opened: ISignal
    failure: Exception | None = None
    joining: int = 0
    introducing: ISignal | None = None
    adopting: bool = False
    topic_until: float = 0.0


class Rooms:
    """Follows each room from the first session that enters it here to the last that leaves.

    Args:
        log: Brings their messages.
        presence: Says who is in them.
        runtime: Keeps the time, and compares on the side.
        limits: How many messages are had of a room from the beginning.
        histories: Told of a room that is followed no more.
        replays: Told so as well.
        make: Makes a room that is to be followed.
    """

    def __init__(
        self,
        *,
        log: IRoomLog,
        presence: IPresence,
        runtime: IRuntime,
        limits: Limits,
        histories: Histories,
        replays: Replays,
        make: Callable[[RoomName], Room],
    ) -> None:
        self._log = log
        self._presence = presence
        self._runtime = runtime
        self._recent = limits.backlog + 1  # 1 tells of older ones
        self._histories = histories
        self._replays = replays
        self._make = make
        self._followed: dict[RoomName, _Followed] = {}
        self._compare_at = runtime.monotonic() + COMPARE_SECONDS

    def get(self, name: RoomName) -> Room | None:
        """The room, if it is followed here."""
        followed = self._followed.get(name)
        return followed.room if followed else None

    # Who comes and goes here.

    async def enter(self, name: RoomName) -> Room:
        """Open a room for a session that is about to join; `entered` must follow.

        Raises:
            StoreUnavailable: The room cannot be followed just now; nothing needs undoing.
        """
        followed = self._followed.get(name)
        if followed is None:
            followed = _Followed(self._make(name), self._runtime.signal(), joining=1)
            self._followed[name] = followed
            await self._open(name, followed)
        else:
            followed.joining += 1
            await followed.opened.wait()
        if followed.failure:
            raise StoreUnavailable from followed.failure
        try:
            await self._histories.refresh(followed.room)
            with suppress(StoreUnavailable):
                await self._read_topic(followed)
            while followed.introducing is not None:
                await followed.introducing.wait()
        except BaseException:
            followed.joining -= 1
            self.left(name)
            raise
        if not followed.room.version:
            followed.introducing = self._runtime.signal()
        return followed.room

    async def _open(self, name: RoomName, followed: _Followed) -> None:
        room = followed.room
        try:
            await self._log.follow(name, room, self._recent)
            await self._read_topic(followed)
        except Exception as error:
            followed.failure = error
            self._log.unfollow(name)
            del self._followed[name]
            if not isinstance(error, ChatError):
                raise
        finally:
            followed.opened.fire()

    async def _read_topic(self, followed: _Followed) -> None:
        """Read the topic that was set before all messages here, if it was not read just now.

        It is read again later, since what the log tells of topics may be some time behind.
        """
        room, now = followed.room, self._runtime.monotonic()
        if room.topic_at is None and now >= followed.topic_until:
            followed.topic_until = now + TOPIC_SECONDS
            topic = (await self._log.topics([room.name])).get(room.name)
            if room.topic_at is None:  # nor set meanwhile
                room.topic = topic

    def entered(self, name: RoomName) -> None:
        """End what `enter` began, once the session is in the room or has given up."""
        followed = self._followed[name]
        followed.joining -= 1
        if followed.introducing is not None:
            introducing, followed.introducing = followed.introducing, None
            introducing.fire()
        if followed.room.needs_roster:
            self._compare_at = self._runtime.monotonic()  # later: what it shows follows the answer
        self.left(name)

    def left(self, name: RoomName) -> None:
        """Stop following a room in which nobody of this instance is any more."""
        followed = self._followed.get(name)
        if followed and not followed.joining and not followed.room.occupied:
            del self._followed[name]
            self._histories.forget(followed.room)
            self._replays.forget(followed.room)
            self._log.unfollow(name)

    # Who is in them, on all instances.

    def changed(self, change: Change) -> None:
        """Pass a change on to its room, if it is followed here."""
        followed = self._followed.get(change.room)
        if followed:
            followed.room.changed(change)
            self._adopt_if_needed(followed)

    def compare(self) -> None:
        """Compare every room with the presence store, now."""
        self._compare_at = self._runtime.monotonic() + COMPARE_SECONDS
        self._runtime.spawn(self._compare(), "comparing rooms with the presence store")

    def tick(self) -> None:
        """Compare if it is time to."""
        if self._runtime.monotonic() >= self._compare_at:
            for followed in self._followed.values():
                followed.room.tick()
            self.compare()

    async def _compare(self) -> None:
        held = {name: f for name, f in self._followed.items() if f.room.version}
        try:
            versions = await self._presence.versions(list(held))
        except PresenceUnavailable:
            return
        for name, followed in held.items():
            followed.room.heard(versions.get(name, 0))
            self._adopt_if_needed(followed)

    def _adopt_if_needed(self, followed: _Followed) -> None:
        if followed.room.needs_roster and not followed.adopting:
            followed.adopting = True
            self._runtime.spawn(self._adopt(followed), "reading a room's members")

    async def _adopt(self, followed: _Followed) -> None:
        room = followed.room
        before = -1
        try:
            while room.needs_roster and room.version > before:  # else the next comparison tries
                before = room.version
                room.adopt(await self._presence.users(room.name))
        except PresenceUnavailable:
            pass
        finally:
            followed.adopting = False
