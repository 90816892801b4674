"""The open connections of an instance, whatever they speak and wherever they came in."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from disroom.chat.interfaces import IMember
from disroom.wire.errors import GoingDown


class Connections:
    """Counts connections in and out, and says goodbye to them all.

    Args:
        most: How many there may be at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[IMember] = set()
        self._all_gone: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, member: IMember) -> bool:
        """Count a connection in; False where there are too many."""
        if len(self._open) >= self._most:
            return False
        self._open.add(member)
        return True

    def forget(self, member: IMember) -> None:
        """Count a connection out; idempotent, and nothing for one that was not admitted."""
        self._open.discard(member)
        if not self._open:
            waiting, self._all_gone = self._all_gone, []
            for deferred in waiting:
                deferred.callback(None)

    def close_all(self) -> None:
        """Tell everybody that the instance goes down, and close."""
        for member in tuple(self._open):
            member.close(GoingDown())

    def all_gone(self) -> Deferred[None]:
        """Return when no connection is open."""
        deferred: Deferred[None] = Deferred()
        if self._open:
            self._all_gone.append(deferred)
        else:
            deferred.callback(None)
        return deferred
