"""Which of the messages published here have come back from the stream.

The leader sends a stored message's live copy when it has stored it, on three nodes where there are
three, and in the same breath as it would acknowledge it. So whoever gets the copies of a room needs
no acknowledgements, and to be sent none is a tenth of what a message costs.
"""

from __future__ import annotations

from collections.abc import Callable

from disroom.adapters.jetstream.api import Acknowledged, Outcome
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NoAnswer, NotConnected

Echoed = Callable[[Outcome], None]
"""Takes the seq of a message that has come back, or why it will not; must not raise."""


class Echoes:
    """Who waits for which message; as many as the publisher lets be under way.

    Everybody is told at once when the connection is lost: what was under way then does not come.
    """

    def __init__(self, connection: NatsConnection) -> None:
        self._awaited: dict[str, Echoed] = {}
        connection.watch(connected=lambda: None, lost=self._lost)

    def expect(self, message_id: str, echoed: Echoed) -> None:
        """Have it told once what becomes of a message; whoever asked before is told `NoAnswer`."""
        self.give_up(message_id)
        self._awaited[message_id] = echoed

    def forget(self, message_id: str) -> None:
        """Have nobody told."""
        self._awaited.pop(message_id, None)

    def give_up(self, message_id: str) -> None:
        """Expect a message no longer: `NoAnswer`, if it has not come yet."""
        echoed = self._awaited.pop(message_id, None)
        if echoed is not None:
            echoed(NoAnswer("no live copy in time"))

    def seen(self, message_id: str, seq: int) -> None:
        """Take note of a message that was delivered from the stream, whoever published it."""
        echoed = self._awaited.pop(message_id, None)
        if echoed is not None:
            echoed(Acknowledged(seq))

    def _lost(self) -> None:
        awaited, self._awaited = self._awaited, {}
        for echoed in awaited.values():
            echoed(NotConnected("the connection to NATS was lost"))
