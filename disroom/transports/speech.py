"""How a client is spoken to: what each of the protocols that it may speak provides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from disroom.chat.errors import ChatError
from disroom.chat.events import Event


class ISpeech(Protocol):
    """How one client is spoken to, and what it asks."""

    @property
    def event(self) -> Callable[[Event], bytes]:
        """Writes an event; nothing where the client is not told."""

    def error(self, error: ChatError) -> bytes:
        """Write why the connection is closed at once."""

    def farewell(self, error: ChatError | None) -> bytes:
        """Write the last that is sent, with the reason if there is one."""

    async def obey(self, item: Any) -> None:
        """Carry out one thing that the client asked; what it did wrong is answered here."""
