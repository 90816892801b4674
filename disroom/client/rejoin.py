"""Coming back without the session: the rooms are joined again and read back to the last message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from disroom.client.calls import ChatFailed, Outcome
from disroom.client.rooms import Room, RoomEvent
from disroom.wire import messages

MOST_READ_BACK = 1000
"""Messages of a room that are read back; before those there is a gap."""

MOST_HELD = 10_000
"""Events of one room that wait meanwhile; the oldest are dropped above it, and are a gap."""

Send = Callable[[str, Mapping[str, Any], type[messages.Ok], Callable[[Outcome], None]], None]


class Rejoin:
    """One such return, on one connection.

    Args:
        rooms: Where the user was, or is to be from the beginning.
        send: Sends a request.
        take: Takes the next event of a room, if it is new.
        done: Called when it is done with all rooms, with those that could not be joined.

    Attributes:
        found: The seqs of the messages that were read, by their ids.
    """

    def __init__(
        self,
        rooms: Iterable[Room],
        *,
        send: Send,
        take: Callable[[RoomEvent], None],
        done: Callable[[Mapping[str, ChatFailed]], None],
    ) -> None:
        self.found: dict[str, int] = {}
        self._send = send
        self._take = take
        self._done = done
        self._held: dict[str, deque[RoomEvent]] = {room.name: deque() for room in rooms}
        self._failed: dict[str, ChatFailed] = {}
        self._rooms = tuple(rooms)

    def begin(self) -> None:
        """Send the first requests."""
        for room in self._rooms:
            self._join(room)
        if not self._rooms:
            self._done({})

    def hold(self, event: RoomEvent) -> bool:
        """Take an event of a room that is not read back yet; False where it is."""
        held = self._held.get(event.room)
        if held is None:
            return False
        held.append(event)
        if len(held) > MOST_HELD:
            oldest = held.popleft()
            if isinstance(oldest, messages.StoredMessage):
                first = held[0]
                if isinstance(first, messages.Gap):
                    held.popleft()
                held.appendleft(messages.Gap(event.room, oldest.seq, oldest.seq))
        return True

    def _join(self, room: Room) -> None:
        def joined(outcome: Outcome) -> None:
            if isinstance(outcome, messages.Entered):
                self._joined(room, outcome)
            elif isinstance(outcome, ChatFailed) and outcome.code != "disconnected":
                self._failed[room.name] = outcome
                self._finish(room.name)

        self._send("join", {"room": room.name}, messages.Entered, joined)

    def _joined(self, room: Room, told: messages.Entered) -> None:
        self._held[told.room] = self._held.pop(room.name)
        first_time = not room.entered_once
        room.entered(told)
        backlog = told.messages or ()
        if first_time:
            room.seq = max([told.seq, *(message.seq for message in backlog)])
            self._finish(room.name)
            return
        if not (told.older and backlog and backlog[0].seq > room.seq + 1):
            self._read(room, backlog, lost=False)
            return

        def read_back(outcome: Outcome) -> None:
            if isinstance(outcome, messages.History):
                first = outcome.messages[0].seq if outcome.messages else 0
                self._read(room, outcome.messages, lost=outcome.older and first > room.seq + 1)
            elif isinstance(outcome, ChatFailed) and outcome.code != "disconnected":
                self._read(room, backlog, lost=True)

        asked = {"room": room.name, "count": MOST_READ_BACK}
        self._send("history", asked, messages.History, read_back)

    def _read(self, room: Room, read: tuple[messages.StoredMessage, ...], *, lost: bool) -> None:
        if lost and read:
            self._take(messages.Gap(room.name, room.seq + 1, read[0].seq - 1))
        for message in read:
            self.found[message.id] = message.seq
            self._take(message)
        self._finish(room.name)

    def _finish(self, name: str) -> None:
        for event in self._held.pop(name):
            if isinstance(event, messages.StoredMessage):
                self.found[event.id] = event.seq
            self._take(event)
        if not self._held:
            self._done(self._failed)
