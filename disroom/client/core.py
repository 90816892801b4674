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
from enum import Enum
from typing import Any

import msgspec

from disroom.client.arrival import Arrival, Identity
from disroom.client.calls import Call, ChatFailed, Outcome, ignore
from disroom.client.events import Disconnected, Event, Head, Told, read_head, read_told
from disroom.client.pending import Pending
from disroom.client.pulse import Pulse
from disroom.client.rooms import RoomEvent, Rooms
from disroom.wire import frame, messages

MOST_FRAME = (1 << 24) - 1
"""The longest frame that begins with a zero."""

REFUSAL_BYTES = 2048
"""Of what a server says before it closes in the place of speaking frames."""

_GO_ON = frozenset({"nick-lost", "idle", "unnamed", "server-full", "too-many-connections"})
"""Codes of a goodbye after which it is worth while to begin anew."""


class _Phase(Enum):
    APART = "there is no connection"
    ARRIVING = "the session and its rooms are being taken up"
    READY = "what is asked is sent at once"
    CLOSED = "there will be no further connection"


class Core:
    """One user of a chat.

    Args:
        nick: What the user is called.
        rooms: Those that the user is in from the beginning.

    Attributes:
        rooms: What is known of the rooms that the user is in.
        closed: Why there will be no further connection, once that is so.
        hangs_up: Whether the shell is to close the connection and make another.
        last_failure: Why the last connection ended, or could not be made.
    """

    def __init__(self, nick: str, rooms: Iterable[str] = ()) -> None:
        self.rooms = Rooms(rooms)
        self.closed: ChatFailed | None = None
        self.hangs_up = False
        self.last_failure = ""
        self._who = Identity(nick)
        self._phase = _Phase.APART
        self._arrival: Arrival | None = None
        self._decoder = frame.FrameDecoder(most=MOST_FRAME)
        self._refusal: bytes | None = None
        self._outgoing = bytearray()
        self._events: deque[Event] = deque()
        self._pending = Pending()
        self._pulse = Pulse()

    @property
    def nick(self) -> str:
        """What the user is called at present."""
        return self._who.nick

    @property
    def session(self) -> str:
        """The id of the session, by which the user's own messages are known."""
        return self._who.session

    @property
    def connected(self) -> bool:
        """Whether what is asked is sent at once."""
        return self._phase is _Phase.READY

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._pending)

    @property
    def steady(self) -> bool:
        """Whether the connection has been good for a while."""
        return self.connected and self._pulse.steady

    # The shell's side.

    def connection_made(self) -> None:
        """Begin on a new connection."""
        self.hangs_up = False
        self._pulse = Pulse()
        self._decoder = frame.FrameDecoder(most=MOST_FRAME)
        self._refusal = b""
        self._outgoing.clear()
        self._phase = _Phase.ARRIVING
        self._arrival = Arrival(
            self._who,
            self.rooms,
            send=self._send,
            take=self._take,
            tell=self._events.append,
            done=self._ready,
            refused=self._refused,
        )
        self._arrival.begin()

    def received(self, data: bytes) -> None:
        """Take what was read."""
        self._pulse.heard()
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
        told = self.connected or (self._arrival is not None and self._arrival.welcomed)
        if self._arrival is not None and not self._arrival.welcomed and self._who.token:
            self._who.asked_in_vain = self._who.token
        self._refusal, self._arrival = None, None
        self.last_failure = why
        self._phase = _Phase.APART
        self._pending.lose()
        if told:
            self._events.append(Disconnected(why))

    def tick(self, now: float, *, listening: bool = True) -> bool:
        """Ask for a sign of life where it is time to; False if the connection should be given up.

        To be called about once a second while there is a connection.

        Args:
            now: Seconds, of any clock.
            listening: Whether the shell reads; while it does not, silence is its own doing.
        """
        if not listening:
            self._pulse.heard()
        if self._pulse.beat(now, welcomed=self._arrival is None or self._arrival.welcomed):
            self._send("ping", {}, messages.Ok, ignore)
        return not self._pulse.dead

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
            call.done(self.closed.again())
        elif refusal := self._pending.refusal(call):
            call.done(refusal)
        elif self._phase is _Phase.READY:
            self._write(call)
        else:
            self._pending.wait(call)

    def give_up(self, why: ChatFailed) -> None:
        """Fail all that waits; what was sent may be carried out nevertheless."""
        self._pending.fail(why)

    def close(self, why: ChatFailed | None = None) -> None:
        """End it: whatever still waits fails."""
        if self.closed:
            return
        self.closed = why or ChatFailed("closed", "the chat was closed")
        self._phase, self._arrival = _Phase.CLOSED, None
        self._pending.fail(self.closed)

    def exit(self) -> None:
        """Ask the server to end the session; the connection is closed when it has."""
        self._send("exit", {}, messages.Ok, ignore)

    # Requests and their answers.

    def _send(
        self,
        op: str,
        fields: Mapping[str, Any],
        answer: type[messages.Ok],
        done: Callable[[Outcome], None],
    ) -> None:
        self._write(Call(op, fields, answer, again=False, done=done))

    def _write(self, call: Call) -> None:
        self._outgoing += self._pending.sent(call, self._who.session)

    def _answered(self, call: Call, answer: messages.Ok | messages.Error) -> None:
        if self._arrival is None or self._arrival.welcomed:
            self._who.asked_in_vain = ""  # no token before the newest is good from now on
        if isinstance(answer, messages.Error):
            call.done(ChatFailed(answer.code, answer.message))
            return
        if self._phase is _Phase.READY:
            self._took_effect(call, answer)
        call.done(answer)

    def _took_effect(self, call: Call, answer: messages.Ok) -> None:
        if isinstance(answer, messages.Entered):
            room = self.rooms.add(answer.room)
            room.entered(answer)
            room.begins_after(answer.messages, answer.seq)
        elif isinstance(answer, messages.Departed):
            self.rooms.remove(answer.room)
        elif isinstance(answer, messages.Named) and call.op == "nick":
            self._who.nick = answer.nick

    def _ready(self) -> None:
        """Ask what waits, but for messages that were seen in their room meanwhile."""
        self._phase, self._arrival = _Phase.READY, None
        self._who.lost = False
        for call in self._pending.take_unsent():
            self._write(call)

    def _refused(self, why: ChatFailed, again: bool) -> None:
        if again:
            self.last_failure, self.hangs_up = str(why), True
        else:
            self.close(why)

    # What the server says.

    def _read(self, body: bytes) -> None:
        head = read_head(body)
        if head.type not in ("ok", "error") or not isinstance(head.id, int):
            self._told(head, body)
        elif call := self._pending.asked(head.id):
            # What cannot be read is no answer: it is asked again, elsewhere.
            answer = msgspec.msgpack.decode(body, type=call.answer | messages.Error)
            self._pending.answered(head.id)
            self._answered(call, answer)

    def _told(self, head: Head, body: bytes) -> None:
        event: Told | None = read_told(head, body)
        if event is None:
            return
        if isinstance(event, RoomEvent):
            if self._arrival:
                self._arrival.take(event)
            else:
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
        if isinstance(event, messages.StoredMessage):
            self._pending.seen(event)
        room = self.rooms.get(event.room)
        if room is not None and room.take(event):
            self._events.append(event)

    def _dismissed(self, event: messages.Goodbye) -> None:
        if event.code == "resumed-elsewhere" and self._who.asked_in_vain:
            # By the token shown then, which is good until the one that was answered is used.
            self._who.token, self._who.asked_in_vain = self._who.asked_in_vain, ""
            self.hangs_up = True
        elif event.code in _GO_ON:
            self.hangs_up = True
        else:
            self.close(
                ChatFailed(event.code or "closed", event.message or "the server said goodbye")
            )
