"""How many connections there may be on all workers together, and from one address."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum

from disroom.transports.connections import has_limit


class Verdict(IntEnum):
    """What becomes of a connection; the worker that gets it says so in words."""

    WELCOME = 0
    FULL = 1
    CROWDED = 2


Key = int | tuple[str, int]


class Tally:
    """Counts connections in and out, by keys that each has for itself.

    Those that are refused are not counted: they are closed at once.

    Args:
        most: How many there may be at once, 0 for no limit but those of the workers.
        most_per_address: How many from one IP address, 0 for no limit; loopback has none.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._open: set[Key] = set()
        self._hosts: dict[Key, str] = {}
        self._per_host: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, key: Key, host: str | None) -> Verdict:
        """Count a connection in, unless there are too many; ``host`` None is not known yet."""
        if self._most and len(self._open) >= self._most:
            return Verdict.FULL
        if host is not None and not self._count(key, host):
            return Verdict.CROWDED
        self._open.add(key)
        return Verdict.WELCOME

    def locate(self, key: Key, host: str) -> bool:
        """Count an admitted connection for its address; False where there are too many from it.

        Such a one is still counted among all, until it is forgotten.
        """
        return key not in self._open or self._count(key, host)

    def forget(self, key: Key) -> None:
        """Count a connection out; nothing for one that is not counted."""
        self._open.discard(key)
        host = self._hosts.pop(key, None)
        if host is not None:
            self._per_host[host] -= 1
            if not self._per_host[host]:
                del self._per_host[host]

    def _count(self, key: Key, host: str) -> bool:
        if not self._most_per_address or not has_limit(host):
            return True
        if self._per_host[host] >= self._most_per_address:
            return False
        self._hosts[key] = host
        self._per_host[host] += 1
        return True
