"""How a connection goes from the parent to a worker: its descriptor, over a unix socket.

With each descriptor goes a record of fixed size. One is read at a time, since a descriptor that a
worker has no room for is dropped by the kernel without moving the others up.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.workers.tally import Verdict

DEALS = 4
"""The worker's file descriptor for them."""

MOST_AT_ONCE = 64
"""Accepted or taken in one turn of the reactor, so that others have theirs."""

_RECORD = struct.Struct("!BBQ")


@dataclass(frozen=True, slots=True)
class Deal:
    """What is said of a connection.

    Attributes:
        listener: Counted from 0, in the order of the configuration.
        key: Given to no other connection of this parent.
    """

    listener: int
    verdict: Verdict
    key: int


def give(channel: socket.socket, connection: socket.socket, deal: Deal) -> bool:
    """Send a copy of a connection; False where the other end is gone, or full of such."""
    record = _RECORD.pack(deal.listener, deal.verdict, deal.key)
    try:
        return socket.send_fds(channel, [record], [connection.fileno()]) == len(record)
    except OSError:
        return False


@implementer(IReadDescriptor)
class Deals:
    """The worker's end.

    Args:
        channel: Not blocking.
        taken: Called with each connection, to be closed by it; None where there was no descriptor
            left for it.
    """

    def __init__(
        self,
        reactor: Any,
        channel: socket.socket,
        taken: Callable[[socket.socket | None, Deal], None],
    ) -> None:
        self._reactor = reactor
        self._channel = channel
        self._taken = taken

    def start(self) -> None:
        """Take connections from now on."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Take no more; those under way are closed."""
        self._reactor.removeReader(self)
        self._channel.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._channel.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """For the reactor."""
        return "deals"

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Take what is there."""
        for _ in range(MOST_AT_ONCE):
            try:
                record, descriptors, _, _ = socket.recv_fds(self._channel, _RECORD.size, 1)
            except BlockingIOError:
                return
            except OSError:
                record = b""
            if len(record) < _RECORD.size:  # the parent is gone, and so are we, soon
                self._reactor.removeReader(self)
                return
            listener, verdict, key = _RECORD.unpack(record)
            deal = Deal(listener, Verdict(verdict), key)
            if not descriptors:
                self._taken(None, deal)
                continue
            os.set_inheritable(descriptors[0], False)
            self._taken(socket.socket(fileno=descriptors[0]), deal)
            if self._channel.fileno() < 0:
                return

    def connectionLost(self, reason: Failure) -> None:
        """The reactor could not read; it has given up by itself."""
