"""The open connections of an instance, whatever they speak and wherever they came in."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from twisted.internet.defer import Deferred

from disroom.chat.interfaces import IMember
from disroom.wire.errors import GoingDown, ServerFull, TooManyConnections


class Connections:
    """Counts connections in and out, and says goodbye to them all.

    Args:
        most: How many there may be at once.
        most_per_address: How many from one IP address, 0 for no limit. Loopback has none: it is
            whoever runs the instance, or a load balancer that does not say for whom it connects.
    """

    def __init__(self, most: int, most_per_address: int = 0) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._hosts: dict[IMember, str] = {}
        self._per_host: Counter[str] = Counter()
        self._open: set[IMember] = set()
        self._all_gone: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, member: IMember) -> None:
        """Count a connection in.

        Raises:
            ServerFull: There are too many.
        """
        if len(self._open) >= self._most:
            raise ServerFull
        self._open.add(member)

    def locate(self, member: IMember, host: str | None) -> None:
        """Count an admitted connection for its address, once that is known; None has no address.

        Raises:
            TooManyConnections: There are too many from there.
        """
        if not self._most_per_address or host is None or not has_limit(host):
            return
        if self._per_host[host] >= self._most_per_address:
            raise TooManyConnections(self._most_per_address)
        self._hosts[member] = host
        self._per_host[host] += 1

    def forget(self, member: IMember) -> None:
        """Count a connection out; idempotent, and nothing for one that was not admitted."""
        self._open.discard(member)
        host = self._hosts.pop(member, None)
        if host is not None:
            self._per_host[host] -= 1
            if not self._per_host[host]:
                del self._per_host[host]
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


def has_limit(host: str) -> bool:
    """Whether connections from an IP address are counted; those from loopback are not.

    Of what is no address, as a proxy may have it, they are: by what it says.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return True
    # IPv4 has a form in IPv6, where a listener serves both.
    return not (getattr(address, "ipv4_mapped", None) or address).is_loopback
