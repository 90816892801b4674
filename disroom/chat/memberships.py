"""The rooms that one user is in, and in which of them it talks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from disroom.chat.errors import NoRoom, NotInRoom, TooManyRooms
from disroom.chat.events import Joined, Left, Member
from disroom.chat.names import RoomName
from disroom.chat.replies import Departed, Entered, History
from disroom.chat.room import Room

if TYPE_CHECKING:
    from disroom.chat.hub import Hub
    from disroom.chat.session import Session


class Memberships:
    """Joins rooms and leaves them.

    Args:
        session: Whose they are.
        hub: Of the session.

    Attributes:
        current: The room in which the user talks.
        occupied: The rooms that the user is in, in the order of joining.
    """

    __slots__ = ("_hub", "_session", "current", "occupied")

    def __init__(self, session: Session, hub: Hub) -> None:
        self.current: Room | None = None
        self.occupied: dict[RoomName, Room] = {}
        self._session = session
        self._hub = hub

    def room(self, name: RoomName | None, hint: str = "") -> Room:
        """The room of this name, the current one if none is named.

        Args:
            name: One that the user is in.
            hint: What to do where it is not; if empty, to join.

        Raises:
            NoNick: The user has none, so it is nowhere.
            NoRoom: None is named and there is no current one.
            NotInRoom: The user is not in it.
        """
        self._session.named()
        if name is None:
            if self.current is None:
                raise NoRoom
            return self.current
        room = self.occupied.get(name)
        if room is None:
            raise NotInRoom(name.display, hint or f"join it first: join {name}")
        return room

    async def join(self, name: RoomName) -> Entered:
        """Enter a room, or make one that the user is in the current one.

        Of one that the user is in, the list is as it has been told, which what is told next fits.
        Everything after the backlog in the answer reaches the member as events, without a seam.

        Raises:
            NoNick: The user has none yet.
            TooManyRooms: The user is in as many as it may.
            StoreUnavailable: The room cannot be opened just now.
            PresenceUnavailable: The room cannot be entered just now.
        """
        session, hub = self._session, self._hub
        nick = session.named()
        if name in self.occupied:
            room = self.current = self.occupied[name]
            stale = (await hub.directory.users(room.name)).stale
            await session.shown(name)
            users = replace(
                room.listed(room.told(session.itself()), hub.limits.listed), stale=stale
            )
            return Entered(room.name, nick, users, room.topic, None, hub.log.position(room.name))
        if len(self.occupied) >= hub.limits.rooms:
            raise TooManyRooms(hub.limits.rooms)
        by = session.member
        room, at = await self.enter(name)
        self.current, itself = room, room.members[session.id]
        if session.member is not by:  # it was resumed meanwhile, and the answer goes nowhere
            session.member.deliver(Joined(room.name, at, (itself,)))
        return self.entered(room, itself, backlog=True)

    async def enter(self, name: RoomName) -> tuple[Room, float]:
        """Be in a room from now on, as `join` is once it has looked that it may be done.

        Returns:
            The room, and when that was, by the presence store's clock.
        """
        session, hub = self._session, self._hub
        room = await hub.rooms.enter(name)
        try:
            session.named()
            roster = await hub.presence.join(session.id, name, room.version)
            room.admit(session, session.itself(), roster)
            self.occupied[name] = room
        finally:
            hub.rooms.entered(name)
        return room, roster.at

    def entered(self, room: Room, itself: Member, *, backlog: bool) -> Entered:
        """Tell of a room that the user is in.

        Args:
            room: The room.
            itself: The user as the others see it.
            backlog: Whether to show the last messages.
        """
        limits = self._hub.limits
        users = room.listed(itself, limits.listed)
        shown = History(room.name, limits.backlog, room.backlog()) if backlog else None
        position = self._hub.log.position(room.name)
        return Entered(room.name, itself.nick, users, room.topic, shown, position)

    async def leave(self, name: RoomName | None) -> Departed:
        """Leave a room, the current one if none is named, once what was sent is stored.

        Raises:
            NoRoom: None is named and there is no current one.
            NotInRoom: The user is not in it.
        """
        session = self._session
        room, by = self.room(name), session.member
        await session.sent()
        at = await self._hub.presence.leave(session.id, room.name, "")
        itself = room.members.get(session.id, Member(session.id, session.named()))
        self._out_of(room)
        if session.member is not by:  # as in `join`
            session.member.deliver(Left(room.name, at, (itself,)))
        return Departed(room.name, self.current.name if self.current else None)

    def end(self) -> None:
        """Be in no room any more, as the session has ended."""
        for room in tuple(self.occupied.values()):
            self._out_of(room)

    def _out_of(self, room: Room) -> None:
        self.occupied.pop(room.name, None)
        self._session.out_of(room.name)
        room.remove(self._session)
        if self.current is room:
            self.current = next(reversed(self.occupied.values()), None)
        self._hub.rooms.left(room.name)
