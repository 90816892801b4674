"""What can be asked of a server, as it is asked and as it is answered."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar, cast

from disroom.wire import messages

Answer = TypeVar("Answer", bound=messages.Ok)


class ChatFailed(Exception):
    """What was asked could not be done, or the chat has ended.

    Attributes:
        code: Stable, as docs/protocol.md lists them; docs/clients.md lists the client's own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def for_a_moment(self) -> bool:
        """Whether the same may well succeed in a moment: a store behind the server is away."""
        return self.code in ("store-unavailable", "presence-unavailable")

    def again(self) -> ChatFailed:
        """The same for somebody else, so that tracebacks do not mix."""
        copy = ChatFailed(self.code, str(self))
        copy.__cause__ = self.__cause__
        return copy


Outcome = messages.Ok | ChatFailed


def ignore(outcome: Outcome) -> None:
    """Nobody waits for this answer."""


@dataclass(slots=True)
class Call:
    """One request and what becomes of it.

    Attributes:
        op: As in docs/protocol.md.
        fields: Its other fields, without ``id``.
        answer: What an ``ok`` carries.
        again: Whether it does no harm to ask it again on another connection.
        done: Told the outcome, once; does not raise.
        message: The id that its message has, in the session in which it was asked last.
        seq: Of its message, once that was seen in the room.
    """

    op: str
    fields: Mapping[str, Any]
    answer: type[messages.Ok]
    again: bool = True
    done: Callable[[Outcome], None] = ignore
    message: str = ""
    seq: int | None = None

    @property
    def posts(self) -> bool:
        """Whether it puts a message into a room."""
        return self.answer is messages.Posted

    def body(self, id_: int) -> dict[str, Any]:
        """The request, as it is written into a frame."""
        return {"op": self.op, "id": id_, **self.fields}


class Verbs:
    """Everything that can be asked; each method returns what the client's framework awaits.

    Awaited, each gives the answer or raises `ChatFailed`. While there is no connection it waits for
    one. Messages are sent in the order of asking and each is stored once, whatever happens to the
    connection meanwhile. To stop waiting takes nothing back: what was asked is still done.
    """

    def __init__(self) -> None:
        prefix = secrets.token_urlsafe(6)
        self._keys = (f"{prefix}-{number}" for number in count(1))

    def _ask(self, call: Call) -> Awaitable[Any]:
        """Hand a request to the core, with its ``done`` set; for the shell."""
        raise NotImplementedError

    def join(self, room: str) -> Awaitable[messages.Entered]:
        """Enter a room."""
        return self._call("join", messages.Entered, room=room)

    def leave(self, room: str) -> Awaitable[messages.Departed]:
        """Leave a room, once what was sent is stored."""
        return self._call("leave", messages.Departed, room=room)

    def send(self, room: str, text: str) -> Awaitable[messages.Posted]:
        """Say something; the answer comes when it is stored."""
        return self._call("send", messages.Posted, room=room, text=text, key=next(self._keys))

    def act(self, room: str, text: str) -> Awaitable[messages.Posted]:
        """Describe an action; otherwise as `send`."""
        return self._call("me", messages.Posted, room=room, text=text, key=next(self._keys))

    def set_topic(self, room: str, text: str) -> Awaitable[messages.Posted]:
        """Set a room's topic, or take it away by an empty text; otherwise as `send`."""
        return self._call("topic", messages.Posted, room=room, text=text, key=next(self._keys))

    def topic(self, room: str) -> Awaitable[messages.TopicIs]:
        """Read a room's topic."""
        return self._call("topic", messages.TopicIs, room=room)

    def whisper(self, nick: str, text: str) -> Awaitable[messages.Whispered]:
        """Send a private message; fails with ``disconnected`` where nobody knows if it arrived."""
        return self._call("msg", messages.Whispered, again=False, nick=nick, text=text)

    def rename(self, nick: str) -> Awaitable[messages.Named]:
        """Go by another nick."""
        return self._call("nick", messages.Named, nick=nick)

    def users(self, room: str) -> Awaitable[messages.UserList]:
        """Read who is in a room."""
        return self._call("users", messages.UserList, room=room)

    def list_rooms(self) -> Awaitable[messages.RoomList]:
        """Read which rooms have people."""
        return self._call("rooms", messages.RoomList)

    def history(
        self, room: str, count: int | None = None, before: int | None = None
    ) -> Awaitable[messages.History]:
        """Read a room's last messages, or those before a seq."""
        return self._call("history", messages.History, room=room, count=count, before=before)

    def away(self, text: str | None = None) -> Awaitable[messages.AwaySet]:
        """Leave an away text, or be back."""
        return self._call("away", messages.AwaySet, text=text)

    def ignore(self, nick: str) -> Awaitable[messages.Named]:
        """Hide what somebody says from now on; `history` still has it."""
        return self._call("ignore", messages.Named, nick=nick)

    def unignore(self, nick: str) -> Awaitable[messages.Named]:
        """Show again what somebody says."""
        return self._call("unignore", messages.Named, nick=nick)

    def whois(self, nick: str) -> Awaitable[messages.Whois]:
        """Read who is behind a nick."""
        return self._call("whois", messages.Whois, nick=nick)

    def ping(self) -> Awaitable[messages.Ok]:
        """Ask for a sign of life, behind all that was asked before."""
        return self._call("ping", messages.Ok)

    def motd(self) -> Awaitable[messages.Motd]:
        """Read the message of the day."""
        return self._call("motd", messages.Motd)

    def _call(
        self, op: str, answer: type[Answer], *, again: bool = True, **fields: Any
    ) -> Awaitable[Answer]:
        given = {name: value for name, value in fields.items() if value is not None}
        return cast(Awaitable[Answer], self._ask(Call(op, given, answer, again)))
