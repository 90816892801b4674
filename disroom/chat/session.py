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
    PresenceUnavailable,
    ResumedElsewhere,
)
from disroom.chat.events import (
    Draft,
    Event,
    Member,
    Message,
    PrivateReceived,
    PrivateSent,
    RoomEvent,
    StoredAfterAll,
)
from disroom.chat.ignoring import Ignored
from disroom.chat.interfaces import IMember, Receipt
from disroom.chat.memberships import Memberships
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
        member: The client, or what stands in for it while there is none.
        memberships: The rooms that the user is in.
    """

    __slots__ = (
        "_away",
        "_closed",
        "_hub",
        "_ignored",
        "_outgoing",
        "_resumption",
        "id",
        "member",
        "memberships",
        "nick",
    )

    def __init__(self, hub: Hub, member: IMember, id_: str = "", nick: Nick | None = None) -> None:
        self.id = id_ or hub.runtime.fresh_id()
        self.nick = nick
        self._hub = hub
        self.member = member
        self.memberships = Memberships(self, hub)
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
        return tuple(room.name for room in self.memberships.occupied.values())

    def named(self) -> Nick:
        """The user's nick; raises `NoNick` if it has none, or nobody hears of it any more."""
        if self.nick is None or self._closed:
            raise NoNick
        return self.nick

    def itself(self) -> Member:
        """The user as others see it."""
        return Member(self.id, self.named(), self._away)

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
            self.named()
            await self._hub.presence.rename(self.id, nick)
        self.nick = nick
        return Named(nick)

    async def away(self, text: str | None) -> AwaySet:
        """Leave a text for those who look for the user, or take it back."""
        self.named()
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

    def join(self, name: RoomName) -> Coroutine[Any, Any, Entered]:
        """Enter a room, or make one that the user is in the current one; see `Memberships.join`."""
        return self.memberships.join(name)

    def leave(self, name: RoomName | None) -> Coroutine[Any, Any, Departed]:
        """Leave a room, the current one if none is named; see `Memberships.leave`."""
        return self.memberships.leave(name)

    async def users(self, name: RoomName | None) -> UserList:
        """Tell who is in a room, on all instances.

        Raises:
            NoRoom: None is named and there is no current one.
            PresenceUnavailable: The store does not answer and the room is not known here either.
        """
        if name is None:
            name = self.memberships.room(None).name
        return await self._hub.directory.users(name)

    async def list_rooms(self) -> RoomList:
        """Tell which rooms have people; see `Directory.rooms`."""
        return await self._hub.directory.rooms()

    async def topic(self, name: RoomName | None = None) -> TopicIs:
        """Tell the topic of the current room or of one that the user is in."""
        room = self.memberships.room(name)
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
        room = self.memberships.room(name)
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
        sender = self.named()
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
        room = self.memberships.room(name, hint)
        id_ = f"{self.id}-{key}" if key else self._hub.runtime.fresh_id()
        sender = self.named()
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

    async def shown(self, room: RoomName) -> None:
        """Return when the user has been shown what it missed of a room."""
        if self._resumption is not None:
            await self._resumption.shown(room)

    def out_of(self, room: RoomName) -> None:
        """Take note that the user is in a room no more."""
        if self._resumption is not None:
            self._resumption.out_of(room)

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
        nick = self.named()
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
        self.memberships.end()
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
