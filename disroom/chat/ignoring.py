"""Whom one user does not want to hear."""

from __future__ import annotations

from disroom.chat.errors import TooManyIgnored
from disroom.chat.events import Message, PrivateReceived, RoomEvent
from disroom.chat.names import Nick


class Ignored:
    """The nicks whose messages are hidden from one user, in rooms and in private.

    That somebody comes, goes or is renamed is shown all the same, and so is a topic: they are the
    room's. History is what it was.

    Args:
        most: How many there may be.
    """

    __slots__ = ("_most", "_nicks")

    def __init__(self, most: int) -> None:
        self._most = most
        self._nicks: set[Nick] = set()

    def add(self, nick: Nick) -> None:
        """Hide what a nick says. Idempotent.

        Raises:
            TooManyIgnored: As many as may be are hidden already.
        """
        if nick not in self._nicks and len(self._nicks) >= self._most:
            raise TooManyIgnored(self._most)
        self._nicks.add(nick)

    def remove(self, nick: Nick) -> None:
        """Show again what a nick says. Idempotent."""
        self._nicks.discard(nick)

    def hides(self, event: RoomEvent | PrivateReceived) -> bool:
        """Whether an event is not to be shown."""
        if isinstance(event, PrivateReceived):
            return event.message.sender in self._nicks
        return isinstance(event, Message) and event.kind != "topic" and event.nick in self._nicks
