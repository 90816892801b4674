"""One user's verbs.

A session is apart from its connection: the client is an `IMember` that it speaks to, and everything
that makes the user (its nick, its rooms, what it has yet to send) is here.

What the user sends waits in `Outgoing`. ``nick``, ``leave`` and a quiet end of the session wait for
it to empty; nothing else does.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from disroom.chat.errors import (
    TEXT_OR_ROOM,
    ChatError,
    NoNick,
    NoRoom,
    NotInRoom,
    PresenceUnavailable,
    ResumedElsewhere,
    TooManyRooms,
)
from disroom.chat.events import (
    Draft,
    Event,
    Joined,
    Left,
    Member,
    Message,
    PrivateReceived,
    PrivateSent,
    RoomEvent,
    StoredAfterAll,
)
from disroom.chat.ignoring import Ignored
from disroom.chat.interfaces import IMember, Receipt
from disroom.chat.names import Nick, RoomName
from disroom.chat.outgoing import Outgoing
from disroom.chat.presence import Resumed
from disroom.chat.replies import (
    AwaySet,
    Departed,
    Entered,
    History,
    IgnoreSet,
    Named,
    Restored,
    Resumable,
    RoomList,
    TopicIs,
    UserList,
    Whois,
)
from disroom.chat.resumption import Absent, Resumption
from disroom.chat.room import Room
from disroom.chat.text import sendable
from disroom.chat.tokens import Seen, Token

if TYPE_CHECKING:
    from disroom.chat.hub import Hub


class Session:
    """What one user can do and is.

    The verbs must be called one after the other, each awaited; `close` and `evict` at any time.

    Attributes:
        id: Opaque, unguessable, never used twice.
        nick: None until the user has one.
        current: The room in which the user talks.
        member: The client, or what stands in for it while there is none.
        occupied: The rooms that the user is in, in the order of joining.
    """

    __slots__ = (
        "_away",
        "_closed",
        "_hub",
        "_ignored",
        "_outgoing",
        "_resumption",
        "current",
        "id",
        "member",
        "nick",
        "occupied",
    )

    def __init__(self, hub: Hub, member: IMember, id_: str = "", nick: Nick | None = None) -> None:
        self.id = id_ or hub.runtime.fresh_id()
        self.nick = nick
        self.current: Room | None = None
        self._hub = hub
        self.member = member
        self.occupied: dict[RoomName, Room] = {}
        self._ignored: Ignored | None = None  # most users ignore nobody
        self._outgoing = Outgoing(
            gathering=hub.gathering,
            log=hub.log,
            runtime=hub.runtime,
            tell=self._tell,
            most=hub.limits.unsent,
            give_up=hub.limits.give_up,
        )
        self._away = False
        self._closed = False
        self._resumption: Resumption | None = None

    @property
    def rooms(self) -> tuple[RoomName, ...]:
        """The rooms that the user is in, in the order of joining."""
        return tuple(room.name for room in self.occupied.values())

    # Verbs about names.

    async def name(self, nick: Nick) -> Named:
        """Take a nick, or exchange the present one.

        Raises:
            NickTaken: Somebody else holds it.
            PresenceUnavailable: It cannot be asked for just now.
        """
        if self.nick is None:
            key = self._resumption.key if self._resumption else ""
            await self._hub.presence.claim(self.id, nick, key)
            if self._closed:
                await self._release("connection lost")
                raise NoNick
        else:
            await self.sent()
            self._named()
            await self._hub.presence.rename(self.id, nick)
        self.nick = nick
        return Named(nick)

    async def away(self, text: str | None) -> AwaySet:
        """Leave a text for those who look for the user, or take it back."""
        self._named()
        text = sendable(text, self._hub.limits.topic_bytes) if text is not None else None
        await self._hub.presence.set_away(self.id, text)
        self._away = text is not None
        return AwaySet(text)

    def ignore(self, nick: Nick) -> IgnoreSet:
        """Hide from now on what a nick says, in rooms and in private.

        Raises:
            TooManyIgnored: As many as may be are hidden already.
        """
        self._ignored = self._ignored or Ignored(self._hub.limits.ignored)
        self._ignored.add(nick)
        return IgnoreSet(nick, ignored=True)

    def unignore(self, nick: Nick) -> IgnoreSet:
        """Show again what a nick says."""
        if self._ignored is not None:
            self._ignored.remove(nick)
        return IgnoreSet(nick, ignored=False)

    async def whois(self, nick: Nick) -> Whois:
        """Tell who is behind a nick; see `Directory.whois`."""
        return await self._hub.directory.whois(nick)

    # Verbs about rooms.

    async def join(self, name: RoomName) -> Entered:
        """Enter a room, or make one that the user is in the current one.

        Everything after the backlog in the answer reaches the member as events, without a seam.

        Raises:
            NoNick: The user has none yet.
            TooManyRooms: The user is in as many as it may.
            StoreUnavailable: The room cannot be opened just now.
            PresenceUnavailable: The room cannot be entered just now.
        """
        nick = self._named()
        if name in self.occupied:
            room = self.current = self.occupied[name]
            users = await self.users(room.name)
            position = self._hub.log.position(room.name)
            return Entered(room.name, nick, users, room.topic, None, position)
        if len(self.occupied) >= self._hub.limits.rooms:
            raise TooManyRooms(self._hub.limits.rooms)
        by = self.member
        room = self.current = await self.enter(name)
        itself = room.members[self.id]
        if self.member is not by:  # it was resumed meanwhile, and the answer goes nowhere
            self.member.deliver(Joined(room.name, self._hub.runtime.now(), (itself,)))
        return self.entered(room, itself, backlog=True)

    async def enter(self, name: RoomName) -> Room:
        """Be in a room from now on, as `join` is once it has looked that it may be done."""
        room = await self._hub.rooms.enter(name)
        try:
            self._named()
            roster = await self._hub.presence.join(self.id, name, room.version)
            room.admit(self, Member(self.id, self._named(), self._away), roster)
            self.occupied[name] = room
        finally:
            self._hub.rooms.entered(name)
        return room

    def entered(self, room: Room, itself: Member, *, backlog: bool) -> Entered:
        """Tell of a room that the session is in.

        Args:
            room: The room.
            itself: The session as the others see it.
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
        room, by = self._room(name), self.member
        await self.sent()
        await self._hub.presence.leave(self.id, room.name, "")
        itself = room.members.get(self.id, Member(self.id, self._named()))
        self._out_of(room)
        if self.member is not by:  # as in `join`
            self.member.deliver(Left(room.name, self._hub.runtime.now(), (itself,)))
        return Departed(room.name, self.current.name if self.current else None)

    def _out_of(self, room: Room) -> None:
        self.occupied.pop(room.name, None)
        if self._resumption is not None:
            self._resumption.out_of(room.name)
        room.remove(self)
        if self.current is room:
            self.current = next(reversed(self.occupied.values()), None)
        self._hub.rooms.left(room.name)

    async def users(self, name: RoomName | None) -> UserList:
        """Tell who is in a room, on all instances.

        Raises:
            NoRoom: None is named and there is no current one.
            PresenceUnavailable: The store does not answer and the room is not known here either.
        """
        if name is None:
            name = self._room(None).name
        return await self._hub.directory.users(name)

    async def list_rooms(self) -> RoomList:
        """Tell which rooms have people; see `Directory.rooms`."""
        return await self._hub.directory.rooms()

    async def topic(self, name: RoomName | None = None) -> TopicIs:
        """Tell the topic of the current room or of one that the user is in."""
        room = self._room(name)
        topics = await self._hub.directory.topics([room.name])
        return TopicIs(room.name, topics.get(room.name))

    async def history(
        self, count: int | None, before: int | None, name: RoomName | None = None
    ) -> History:
        """Read the last ``count`` messages of a room, or those before a seq.

        Args:
            count: None for as many as are usual.
            before: None for the last ones.
            name: One that the user is in; None for the current one.
        """
        room = self._room(name)
        limits = self._hub.limits
        count = min(limits.history if count is None else count, limits.history_most)
        page = await self._hub.histories.page(room, count, before)
        return History(room.name, count, page, before)

    # Verbs that send.

    def say(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> Coroutine[Any, Any, str]:
        """Say something in the current room or in one that the user is in.

        Returns as soon as the message is queued; the message itself comes back from the log, or a
        `Failed` event says that it did not get there.

        Args:
            text: What to say.
            name: Where; None for the current room.
            key: The client's own id of the message, unique in the session: what is said again
                under the same key, soon, is not stored again. Empty for none.
            receipt: Told the seq, or in place of `Failed` what went wrong.

        Returns:
            The message's id.

        Raises:
            NoNick, NoRoom, NotInRoom, EmptyText, TextTooLong: Nothing was queued.
        """
        most = self._hub.limits.text_bytes
        return self._post("said", text, most, name, key, receipt, hint=TEXT_OR_ROOM)

    def act(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> Coroutine[Any, Any, str]:
        """Describe an action; otherwise as `say`."""
        return self._post("did", text, self._hub.limits.text_bytes, name, key, receipt)

    def set_topic(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> Coroutine[Any, Any, str]:
        """Set a room's topic, or take it away by an empty text; otherwise as `say`.

        A text of which nothing is left that can be shown is refused as `say` refuses it.
        """
        most = self._hub.limits.topic_bytes
        return self._post("topic", text, most, name, key, receipt, may_be_empty=True)

    async def whisper(self, nick: Nick, text: str) -> PrivateSent:
        """Send somebody a private message.

        Raises:
            NoNick, EmptyText, TextTooLong: Nothing was sent.
            ChatError: As `PrivateMessages.send` says.
        """
        sender = self._named()
        text = sendable(text, self._hub.limits.text_bytes)
        return await self._hub.private_messages.send(sender, nick, text)

    async def _post(
        self,
        kind: Literal["said", "did", "topic"],
        text: str,
        most: int,
        name: RoomName | None,
        key: str,
        receipt: Receipt | None,
        *,
        may_be_empty: bool = False,
        hint: str = "",
    ) -> str:
        room = self._room(name, hint)
        id_ = f"{self.id}-{key}" if key else self._hub.runtime.fresh_id()
        sender = self._named()
        shown = sendable(text, most) if text or not may_be_empty else ""
        draft = Draft(id_, kind, sender, self.id, shown, bool(key))
        await self._outgoing.post(room.name, draft, receipt)
        return id_

    def send_off(self) -> None:
        """Let what has been posted go, though more of it may be at hand: something else comes."""
        self._outgoing.go_on()

    async def sent(self) -> None:
        """Return when all that the user has sent has come back or has failed."""
        await self._outgoing.emptied()

    # What comes in.

    def receive(self, event: RoomEvent, own: bool = False) -> None:
        """Take an event of one of the user's rooms; see `Occupant`."""
        if self._resumption is not None and self._resumption.hold(event):
            return
        if own:
            assert isinstance(event, Message)
            if self._outgoing.turned_up(event.id, event.seq):
                self.member.deliver(StoredAfterAll(event))
        elif self._ignored is not None and self._ignored.hides(event):
            return
        self.member.deliver(event)

    def receive_private(self, event: PrivateReceived) -> bool:
        """Take a private message; see `Recipient`."""
        if isinstance(self.member, Absent):
            return False
        if self._ignored is None or not self._ignored.hides(event):
            self.member.deliver(event)
        return True

    def _tell(self, event: Event) -> None:
        self.member.deliver(event)

    def tick(self, now: float) -> None:
        """Do what is due; ``now`` is the monotonic time."""
        self._outgoing.tick(now)
        if self._resumption is not None and self._resumption.is_over(now):
            self.close("connection lost")

    # Going on after a lost connection: see `Resumption`.

    async def arm(self) -> Resumable:
        """Have the session outlive its connection; see `Resumption.arm`.

        Raises:
            PresenceUnavailable: It cannot be noted just now.
        """
        resumption = self._resumption or Resumption(self, self._hub)
        answer = await resumption.arm()
        self._resumption = resumption
        return answer

    def disconnected(self, by: IMember, reason: str = "connection lost") -> None:
        """Take note that the client is gone; where it cannot be resumed, the session ends.

        Args:
            by: The client. Nothing happens where the session has another one by now.
            reason: As in `close`, where it ends.
        """
        if by is not self.member or self._closed:
            return
        if self._resumption is None or not self._resumption.suspend():
            self.close(reason)

    async def resume(self, member: IMember, token: Token, held: Resumed, seen: Seen) -> Restored:
        """Speak to another client from now on; `catch_up` must follow, once it has the answer.

        Args:
            member: The client.
            token: The next one.
            held: The session as the presence store has it.
            seen: What the client has already.

        Raises:
            StoreUnavailable, PresenceUnavailable: A room cannot be entered just now; the session
                is kept as after a lost connection, and can be resumed again.
            ResumedElsewhere: Somebody else with a token was later.
        """
        nick = self._named()
        self._away = held.away is not None
        self._resumption = self._resumption or Resumption(self, self._hub)
        return await self._resumption.resume(nick, member, token, held, seen)

    def not_resumed(self) -> None:
        """Take note that the presence store was asked for it and has not given it."""
        if self._resumption is not None:
            self._resumption.note_suspended()

    def catch_up(self) -> None:
        """Show what was missed, and then what has come since."""
        if self._resumption is not None:
            self._resumption.catch_up()

    def heard(self) -> None:
        """Take note that the client has asked something, so that it has its newest token."""
        if self._resumption is not None:
            self._resumption.heard()

    # The end.

    def close(self, reason: str, *, by: IMember | None = None) -> None:
        """End the session now: what is still queued is dropped, rooms and nick are given up.

        Args:
            reason: Shown to the rooms, for instance ``connection lost``; empty for a mere leaving.
            by: The client that ends it, if one does. Nothing happens where the session has another
                one by now.
        """
        if by in (None, self.member) and self._end():
            self._hub.runtime.spawn(self._release(reason), "releasing a session")

    async def exit(self, *, by: IMember) -> None:
        """End the session once everything that was sent is stored or has failed.

        When this returns the nick is free for whoever comes next, unless presence is unavailable.

        Args:
            by: As in `close`.
        """
        await self.sent()
        if by is self.member and self._end():
            await self._release("")

    async def input_ended(self, *, by: IMember) -> None:
        """Take note that the client asks nothing more, once what it sent is stored or has failed.

        Programs that are killed end their input like those that are done, so a session with a token
        can still be resumed. Without one it is the end, as in `exit`.
        """
        await self.sent()
        if self._resumption is None:
            await self.exit(by=by)
        else:
            self.disconnected(by)

    def _end(self) -> bool:
        """End it as far as this instance goes; True if there is a nick to release."""
        if self._closed:
            return False
        self._closed = True
        self._outgoing.close()
        for room in tuple(self.occupied.values()):
            self._out_of(room)
        self._hub.sessions.pop(self.id, None)
        self._hub.suspended.discard(self.id)
        return self.nick is not None

    def evict(self, error: ChatError) -> None:
        """End the session and tell the client why."""
        self.close(error.code.replace("-", " "))
        self.member.close(error)

    def part(self) -> None:
        """End what is here of a session that goes on at another instance."""
        self._end()
        self.member.close(ResumedElsewhere())

    async def _release(self, reason: str) -> None:
        if self._hub.stopping:
            return
        with suppress(PresenceUnavailable):  # release makes it good when the store is back
            await self._hub.presence.release(self.id, reason)

    # What the verbs share.

    def _named(self) -> Nick:
        if self.nick is None or self._closed:  # nobody hears of it when the session has ended
            raise NoNick
        return self.nick

    def _room(self, name: RoomName | None, hint: str = "") -> Room:
        self._named()
        if name is None:
            if self.current is None:
                raise NoRoom
            return self.current
        room = self.occupied.get(name)
        if room is None:
            raise NotInRoom(name.display, hint or f"join it first: join {name}")
        return room
