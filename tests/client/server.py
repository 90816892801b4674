"""The other side of a client's core: what it asked, and answers as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from disroom.client.calls import Call, Outcome
from disroom.client.core import Core
from disroom.wire import frame, messages

GREETING = b"Welcome to DisRoom! Come in with: join ROOM (for the verbs: help)\r\n"

Map = dict[str, Any]


class Server:
    """Speaks with a core.

    Attributes:
        asked: The requests that were read and not answered, oldest first.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.asked: list[Map] = []
        self._decoder = frame.FrameDecoder()

    def connect(self, greeting: bytes = GREETING) -> None:
        """Let the client in."""
        self._decoder = frame.FrameDecoder()
        self.asked.clear()
        self.core.connection_made()
        self.core.received(greeting)

    def lose(self, why: str = "reset") -> None:
        """Break the connection."""
        self.core.connection_lost(why)

    def next(self) -> Map:
        """The next request."""
        bodies = self._decoder.feed(self.core.take_outgoing())
        self.asked += [msgspec.msgpack.decode(body) for body in bodies]
        return self.asked.pop(0)

    @property
    def silent(self) -> bool:
        """Whether the client asks nothing."""
        bodies = self._decoder.feed(self.core.take_outgoing())
        self.asked += [msgspec.msgpack.decode(body) for body in bodies]
        return not self.asked

    def tell(self, type_: str, **fields: Any) -> None:
        """Send something."""
        self.core.received(frame.encode(msgspec.msgpack.encode({"type": type_, **fields})))

    def ok(self, request: Mapping[str, Any], **fields: Any) -> None:
        """Answer a request."""
        self.tell("ok", id=request["id"], **fields)

    def refuse(self, request: Mapping[str, Any], code: str) -> None:
        """Answer a request with an error."""
        self.tell("error", id=request["id"], code=code, message=f"it is {code}")

    def welcome(self, request: Mapping[str, Any], *rooms: Map, **fields: Any) -> None:
        """Answer a hello."""
        given = {
            "version": 1,
            "session": "s1",
            "token": "s1.one",
            "grace": 30.0,
            "log": "L1",
            "instance": "srv-1",
            "nick": "ann",
        }
        self.ok(request, **{**given, **fields}, rooms=rooms)

    def said(self, seq: int, text: str = "hi", room: str = "tea", **fields: Any) -> None:
        """Tell of a message."""
        self.tell("said", **{**message(seq, text, room), **fields})

    def story(self) -> list[str]:
        """What the client was given since this was asked the last time, briefly."""
        return [_brief(event) for event in self.core.take_events()]


class Asking:
    """Something that the user asked.

    Attributes:
        outcomes: What became of it.
    """

    def __init__(
        self, core: Core, op: str, answer: type[messages.Ok], again: bool = True, **fields: Any
    ) -> None:
        self.outcomes: list[Outcome] = []
        core.ask(Call(op, fields, answer, again, self.outcomes.append))


def message(seq: int, text: str = "hi", room: str = "tea", id_: str = "") -> Map:
    """The fields of a message."""
    return {
        "room": room,
        "seq": seq,
        "at": 1_700_000_000_000 + seq,
        "id": id_ or f"m{seq}",
        "session": "s2",
        "nick": "bob",
        "text": text,
    }


def in_room(room: str = "tea", **fields: Any) -> Map:
    """A room in which a session is, or that was joined."""
    members = [{"session": "s2", "nick": "bob"}, {"session": "s1", "nick": "ann"}]
    return {"room": room, "members": members, "total": 2, "seq": 0, **fields}


def entered(*read: Map, room: str = "tea", older: bool = False, seq: int = 0) -> Map:
    """The answer to a join."""
    told = [{"type": "said", **each} for each in read]
    return {**in_room(room), "nick": "ann", "messages": told, "older": older, "seq": seq}


def _brief(event: Any) -> str:
    match event:
        case messages.Said() | messages.Did() | messages.TopicSet():
            return f"#{event.room} {event.seq} {event.text}"
        case messages.Gap():
            return f"#{event.room} gap {event.first}..{event.last}"
        case _:
            return type(event).__name__.lower()
