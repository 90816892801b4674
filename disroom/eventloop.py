"""Twisted's reactor, and the event loop under it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVarTuple

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python.log import callWithLogger

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

Ts = TypeVarTuple("Ts")

_log = Logger()


class EventLoop(asyncio.SelectorEventLoop):
    """Asyncio's own, in which Twisted's reactor reads without making a log context each time.

    That names the connection in what is written by `twisted.python.log`, to which nothing here
    writes, and is a twentieth of what a stored message costs.
    """

    def add_reader(
        self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts
    ) -> None:
        """Call back whenever there is something to read, as asyncio does."""
        call: Any = _without_context if callback is callWithLogger else callback
        super().add_reader(fd, call, *args)


def _without_context(reader: object, call: Callable[..., object], *args: object) -> None:
    """Do what `callWithLogger` does, but for the context."""
    try:
        call(*args)
    except Exception:
        _log.failure("{reader} could not be read", reader=reader)


class Reactor(AsyncioSelectorReactor):
    """Twisted's own, whose timers heed no setting of the machine's clock.

    It would count by that clock. Put back by a minute, it would let nothing happen for a minute,
    not even renew a lease; put ahead, it would find that nobody had answered for so long.
    """

    seconds = staticmethod(time.monotonic)


def install_reactor() -> None:
    """Install the reactor on such a loop; to be called before anything imports it."""
    loop = EventLoop()
    asyncio.set_event_loop(loop)
    installReactor(Reactor(loop))
