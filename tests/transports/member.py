"""A client of which only its being here counts."""

from __future__ import annotations

from zope.interface import implementer

from disroom.chat.errors import ChatError
from disroom.chat.events import Event
from disroom.chat.interfaces import IMember


@implementer(IMember)
class Client:
    """A connection that remembers why it was closed."""

    def __init__(self) -> None:
        self.closed: ChatError | None = None

    def deliver(self, event: Event) -> None:
        """Nothing is delivered here."""

    def close(self, error: ChatError | None) -> None:
        """Remember why."""
        self.closed = error
