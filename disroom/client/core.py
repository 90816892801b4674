"""A client of the binary protocol without I/O: one user across any number of connections.

A shell (asyncio, Twisted, or another) connects, hands in what it reads, writes out what there is to
write, and passes on the events. The rules that make an interruption go by unnoticed are here:

* The session is resumed with its token and the last seq of each room; the server then sends what
  was missed. A message that came before is dropped by its seq.
* What was asked and not answered is asked again, in its order; a message under the key that it had,
  so that it is stored once. Only a private message is not: nobody knows whether it arrived.
* Where the session has ended, the client takes its nick anew, joins its rooms again and reads what
  it missed from their history. Its own unanswered messages are looked for there first, since a key
  means nothing to another session.
* What can no longer be had is told as a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from disroom.chat.names import RoomName
from disroom.client.calls import Call, ChatFailed, Outcome
from disroom.client.rejoin import Rejoin
from disroom.client.rooms import Room, RoomEvent
from disroom.wire import frame, messages

PING_SECONDS = 15.0
"""Without hearing anything for so long, the server is asked for a sign of life."""

DEAD_SECONDS = 25.0
"""Without hearing anything for so long, the connection is given up."""

HELLO_SECONDS = 10.0
"""How long the server may take to answer the first request."""

NICK_ATTEMPTS = 40
"""How often the nick is asked for again while the lost session may still hold it."""

MOST_WAITING = 10_000
"""Requests without an answer; more are refused."""

MOST_FRAME = (1 << 24) - 1
"""The longest frame that begins with a zero."""

REFUSAL_BYTES = 2048
"""Of what a server says before it closes in the place of speaking frames."""


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection.

    Attributes:
        resumed: Whether the session went on; if not, it was begun, or begun anew.
    """

    nick: str
    resumed: bool
    instance: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection was lost; another is being made."""

    why: str


@dataclass(frozen=True, slots=True)
class NotRejoined:
    """A room could not be entered again after the session was lost; the user is in it no more."""

    room: str
    code: str
    message: str


Event = (
    RoomEvent
    | NotRejoined
    | messages.Private
    | messages.Delayed
    | messages.Stored
    | Connected
    | Disconnected
)


class _Phase(Enum):
    APART = "there is no connection"
    GREETING = "the first request waits for its answer"
    REJOINING = "the session was begun anew, and its rooms are being joined again"
    READY = "what is asked is sent at once"
    CLOSED = "there will be no further connection"


class _Head(msgspec.Struct, frozen=True):
    type: str
    id: Any = None  # of a request, or the text that names a message


_Told = (
    messages.StoredMessage
    | messages.Joined
    | messages.Left
    | messages.Renamed
    | messages.Away
    | messages.Gap
    | messages.Private
    | messages.Delayed
    | messages.Stored
    | messages.Reconnect
    | messages.Goodbye
    | messages.Error
)

_read_head = msgspec.msgpack.Decoder(_Head).decode
_read_told: Callable[[bytes], Any] = msgspec.msgpack.Decoder(_Told).decode
_encode = msgspec.msgpack.Encoder().encode

_FOR_A_MOMENT = frozenset({"store-unavailable", "presence-unavailable"})
"""Codes after which the first request is made again."""

_GO_ON = frozenset({"nick-lost", "idle", "unnamed", "server-full", "too-many-connections"})
"""Codes of a goodbye after which it is worth while to begin anew."""


class Core:
    """One user of a chat.

    Args:
        nick: What the user is called.
        rooms: Those that the user is in from the beginning.

    Attributes:
        nick: What the user is called at present.
        rooms: What is known of the rooms that the user is in.
        closed: Why there will be no further connection, once that is so.
        hangs_up: Whether the shell is to close the connection and make another.
        last_failure: Why the last connection ended, or could not be made.
    """

    def __init__(self, nick: str, rooms: Iterable[str] = ()) -> None:
        self.nick = nick
        self.rooms: dict[RoomName, Room] = {_key(room): Room(room) for room in rooms}
        self.closed: ChatFailed | None = None
        self._phase = _Phase.APART
        self._decoder = frame.FrameDecoder(most=MOST_FRAME)
        self._refusal: bytes | None = b""
        self._outgoing = bytearray()
        self._events: deque[Event] = deque()
        self._waiting: deque[Call] = deque()
        self._asked: dict[int, Call] = {}
        self._last_id = 0
        self._token = self._log = self._session = self._former = ""
        self._rejoin: Rejoin | None = None
        self._taken = 0
        self.hangs_up = False
        self.last_failure = ""
        self._heard_at: float | None = None
        self._pinged = False

    @property
    def connected(self) -> bool:
        """Whether what is asked is sent at once."""
        return self._phase is _Phase.READY

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting) + len(self._asked)

    # The shell's side.

    def connection_made(self) -> None:
        """Begin on a new connection."""
        self.hangs_up = False
        self._decoder = frame.FrameDecoder(most=MOST_FRAME)
        self._refusal = b""
        self._outgoing.clear()
        self._heard_at = None
        self._pinged = False
        self._greet()

    def received(self, data: bytes) -> None:
        """Take what was read."""
        self._heard_at, self._pinged = None, False
        if self._refusal is not None:
            text, zero, rest = data.partition(b"\0")
            self._refusal = (self._refusal + text)[-REFUSAL_BYTES:]
            if not zero:
                return
            self._refusal, data = None, zero + rest
        try:
            for body in self._decoder.feed(data):
                self._read(body)
        except msgspec.MsgspecError:
            self.hangs_up = True
        self.hangs_up = self.hangs_up or self._decoder.fault is not None

    def connection_lost(self, why: str) -> None:
        """Take note that the connection is gone, or could not be made."""
        if self._phase is _Phase.CLOSED:
            return
        if self._refusal:
            said = self._refusal.decode("utf-8", "replace").strip().splitlines()
            why = next((line for line in said if line.startswith("Error: ")), why)
        self.last_failure = why
        told = self._phase in (_Phase.READY, _Phase.REJOINING)
        self._phase = _Phase.APART
        unanswered = [self._asked[id_] for id_ in sorted(self._asked)]
        self._asked.clear()
        self._rejoin = None
        for call in reversed(unanswered):
            if call.again:
                self._waiting.appendleft(call)
            else:
                call.done(ChatFailed("disconnected", "the connection was lost meanwhile"))
        if told:
            self._events.append(Disconnected(why))

    def tick(self, now: float) -> bool:
        """Ask for a sign of life where it is time to; False if the connection should be given up.

        To be called about once a second while there is a connection.
        """
        if self._heard_at is None:
            self._heard_at = now
        silent = now - self._heard_at
        if self._phase is _Phase.GREETING:
            return silent < HELLO_SECONDS
        if silent >= PING_SECONDS and not self._pinged:
            self._pinged = True
            self._send("ping", {}, messages.Ok, _nothing)
        return silent < DEAD_SECONDS

    def take_outgoing(self) -> bytes:
        """What is to be written."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def take_events(self) -> list[Event]:
        """What has happened since this was asked the last time."""
        events = list(self._events)
        self._events.clear()
        return events

    # The user's side.

    def ask(self, call: Call) -> None:
        """Ask something, now or when there is a connection again."""
        if self.closed:
            call.done(self.closed)
        elif self.waiting >= MOST_WAITING:
            call.done(ChatFailed("too-much", f"{MOST_WAITING} requests wait for an answer already"))
        elif self._phase is _Phase.READY:
            self._write(call)
        else:
            self._waiting.append(call)

    def close(self, why: ChatFailed | None = None) -> None:
        """End it: whatever still waits fails."""
        if self.closed:
            return
        self.closed = why or ChatFailed("closed", "the chat was closed")
        self._phase = _Phase.CLOSED
        for call in (*self._asked.values(), *self._waiting):
            call.done(self.closed)
        self._asked.clear()
        self._waiting.clear()

    def exit(self) -> None:
        """Ask the server to end the session; the connection is closed when it has."""
        self._send("exit", {}, messages.Ok, _nothing)

    # Beginning.

    def _greet(self) -> None:
        self._phase = _Phase.GREETING
        fields: dict[str, Any] = {"nick": self.nick}
        if self._token:
            seqs = {room.name: room.seq for room in self.rooms.values()}
            fields = {"token": self._token, "log": self._log, "seqs": seqs}
        self._send("hello", fields, messages.Welcomed, self._greeted)

    def _greeted(self, outcome: Outcome) -> None:
        if isinstance(outcome, messages.Welcomed):
            self._welcomed(outcome)
        elif isinstance(outcome, ChatFailed):
            self._refused(outcome)

    def _refused(self, why: ChatFailed) -> None:
        if why.code == "no-session" and self._token:
            self._former = self._former or self._session
            self._token = ""
            self._greet()
        elif why.code == "nick-taken" and self._former and self._taken < NICK_ATTEMPTS:
            self._taken += 1
            self.hangs_up = True
        elif why.code in _FOR_A_MOMENT:
            self.hangs_up = True
        elif why.code != "disconnected":
            self.close(why)

    def _welcomed(self, told: messages.Welcomed) -> None:
        resumed, another_log = bool(self._token), self._log not in ("", told.log)
        self._token, self._log, self._session = told.token, told.log, told.session
        self._taken = 0
        self.nick = told.nick or self.nick
        self._events.append(Connected(self.nick, resumed, told.instance))
        for entered in told.rooms:
            room = self.rooms.setdefault(_key(entered.room), Room(entered.room))
            room.entered(entered)
            for message in entered.messages or ():
                self._take(message)
            room.seq = max(room.seq, entered.seq or 0)
        there = {_key(entered.room) for entered in told.rooms}
        rooms = tuple(room for key, room in self.rooms.items() if key not in there)
        if another_log:
            for room in rooms:
                self._take(messages.Gap(room.name))
        self._phase = _Phase.REJOINING
        self._rejoin = Rejoin(rooms, send=self._send, take=self._take, done=self._rejoined)
        self._rejoin.begin()

    def _rejoined(self, failed: Mapping[str, ChatFailed]) -> None:
        for name, why in failed.items():
            del self.rooms[_key(name)]
            self._events.append(NotRejoined(name, why.code, str(why)))
        self._ready()

    def _ready(self) -> None:
        """Ask what waits; what the session before this one had stored is answered."""
        self._phase = _Phase.READY
        found = self._rejoin.found if self._rejoin else {}
        self._rejoin = None
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            seq = found.get(f"{self._former}-{call.fields.get('key')}")
            if seq is not None and call.posts:
                call.done(messages.Posted(0, call.fields["room"], seq))
            else:
                self._write(call)
        self._former = ""

    # In between.

    def _send(
        self,
        op: str,
        fields: Mapping[str, Any],
        answer: type[messages.Ok],
        done: Callable[[Outcome], None],
    ) -> None:
        self._write(Call(op, fields, answer, done, again=False))

    def _write(self, call: Call) -> None:
        self._last_id += 1
        self._asked[self._last_id] = call
        self._outgoing += frame.encode(_encode(call.body(self._last_id)))

    def _read(self, body: bytes) -> None:
        head = _read_head(body)
        if head.type in ("ok", "error") and isinstance(head.id, int):
            call = self._asked.pop(head.id, None)
            if call is not None:
                self._answered(call, body)
        else:
            self._told(_read_told(body))

    def _answered(self, call: Call, body: bytes) -> None:
        answer = msgspec.msgpack.decode(body, type=call.answer | messages.Error)
        if isinstance(answer, messages.Error):
            answer = ChatFailed(answer.code, answer.message)
        elif self._phase is _Phase.READY:
            self._took_effect(call, answer)
        call.done(answer)

    def _took_effect(self, call: Call, answer: messages.Ok) -> None:
        if isinstance(answer, messages.Entered):
            room = self.rooms.setdefault(_key(answer.room), Room(answer.room))
            room.entered(answer)
            for message in answer.messages or ():
                room.take(message)
            room.seq = max(room.seq, answer.seq)
        elif isinstance(answer, messages.Departed):
            self.rooms.pop(_key(answer.room), None)
        elif isinstance(answer, messages.Named) and call.op == "nick":
            self.nick = answer.nick

    def _told(self, event: Any) -> None:
        if isinstance(event, RoomEvent):
            if self._rejoin is None or not self._rejoin.hold(event):
                self._take(event)
        elif isinstance(event, messages.Reconnect):
            self.hangs_up = True
        elif isinstance(event, messages.Goodbye):
            self._dismissed(event)
        elif isinstance(event, messages.Error):
            self.close(ChatFailed(event.code, event.message))
        else:
            self._events.append(event)

    def _take(self, event: RoomEvent) -> None:
        room = self.rooms.get(_key(event.room))
        if room is not None and room.take(event):
            self._events.append(event)

    def _dismissed(self, event: messages.Goodbye) -> None:
        if event.code in _GO_ON:
            self.hangs_up = True
        else:
            self.close(
                ChatFailed(event.code or "closed", event.message or "the server said goodbye")
            )


def _key(room: str) -> RoomName:
    """A room's name for comparing; what the server would refuse is compared as it is written."""
    return RoomName.trusted(room.removeprefix("#"))


def _nothing(outcome: Outcome) -> None:
    """Nobody waits for this answer."""
