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
        again: Called where a store behind the server is away: on another connection, it is hoped.
    """

    def __init__(
        self,
        rooms: Iterable[Room],
        *,
        send: Send,
        take: Callable[[RoomEvent], None],
        done: Callable[[Mapping[str, ChatFailed]], None],
        again: Callable[[ChatFailed], None],
    ) -> None:
        self._rooms = tuple(rooms)
        self._send = send
        self._take = take
        self._done = done
        self._again = again
        self._held: dict[str, deque[RoomEvent]] = {room.name: deque() for room in self._rooms}
        self._failed: dict[str, ChatFailed] = {}

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
            self._drop(held)
        return True

    def _drop(self, held: deque[RoomEvent]) -> None:
        """Drop the oldest; of messages there remains the gap, which is the first that is held."""
        first = held.popleft()
        if isinstance(first, messages.Gap):
            dropped = held.popleft()
            last = dropped.seq if isinstance(dropped, messages.StoredMessage) else first.last
            held.appendleft(messages.Gap(first.room, first.first, last))
        elif isinstance(first, messages.StoredMessage):
            held.appendleft(messages.Gap(first.room, first.seq, first.seq))

    # One room.

    def _join(self, room: Room) -> None:
        def joined(outcome: Outcome) -> None:
            if isinstance(outcome, messages.Entered):
                self._joined(room, outcome)
            elif failure := self._final(outcome):
                self._failed[room.name] = failure
                self._finish(room)

        self._send("join", {"room": room.name}, messages.Entered, joined)

    def _final(self, outcome: Outcome) -> ChatFailed | None:
        """A failure that is to be lived with, if it is one."""
        if not isinstance(outcome, ChatFailed) or outcome.code == "disconnected":
            return None
        if outcome.for_a_moment:
            self._again(outcome)
            return None
        return outcome

    def _joined(self, room: Room, told: messages.Entered) -> None:
        self._held[told.room] = self._held.pop(room.name)
        first_time = not room.entered_once
        room.entered(told)
        backlog = told.messages or ()
        if first_time:
            room.begins_after(backlog, told.seq)
            self._finish(room)
        elif told.messages is not None and (not told.older or _reaches_back(backlog, room)):
            self._read(room, backlog, position=told.seq)
        else:
            self._read_history(room, backlog, told.seq)

    def _read_history(
        self, room: Room, backlog: tuple[messages.StoredMessage, ...], position: int
    ) -> None:
        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, messages.History):
                read = outcome.messages
                if outcome.older and read and not _reaches_back(read, room):
                    self._ask_before(room, read)
                else:
                    self._read(room, read, position=position)
            elif self._final(outcome):
                self._read(room, backlog, lost=True)

        asked = {"room": room.name, "count": MOST_READ_BACK}
        self._send("history", asked, messages.History, answered)

    def _ask_before(self, room: Room, read: tuple[messages.StoredMessage, ...]) -> None:
        """See whether the message before those that were read is one that was missed."""

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, messages.History):
                self._read(room, read, lost=not _reaches_back(outcome.messages, room))
            elif self._final(outcome):
                self._read(room, read, lost=True)

        asked = {"room": room.name, "count": 1, "before": read[0].seq}
        self._send("history", asked, messages.History, answered)

    def _read(
        self,
        room: Room,
        read: tuple[messages.StoredMessage, ...],
        *,
        lost: bool | None = None,
        position: int = 0,
    ) -> None:
        """Take what was read.

        Retention takes the oldest first: while the last message that the user was given is still
        there, none after it is lost; once it is gone, nobody knows.
        """
        if lost is None:
            lost = room.had_message and not _reaches_back(read, room)
        last = read[0].seq - 1 if read else position
        if lost and last > room.seq:
            self._take(messages.Gap(room.name, room.seq + 1, last))
        for message in read:
            self._take(message)
        self._finish(room)

    def _finish(self, room: Room) -> None:
        for event in self._held.pop(room.name):
            self._take(event)
        if not self._held:
            self._done(self._failed)


def _reaches_back(read: tuple[messages.StoredMessage, ...], room: Room) -> bool:
    """Whether a message is among those that were read which the user has already."""
    return bool(read) and read[0].seq <= room.seq
