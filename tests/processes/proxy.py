"""A TCP proxy that tests put before a broker to cut, stall, filter and watch its connections."""

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self

from tests.processes.dial import dial
from tests.processes.ports import ReservedPort
from tests.processes.proxied import (
    DIRECTIONS,
    RESET,
    Direction,
    F,
    Frame,
    ProxiedConnection,
    Splitter,
)
from tests.processes.selector_thread import SelectorThread

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Seen(Generic[F]):
    """A frame that came through, when (`time.monotonic`), and whether it was dropped."""

    direction: Direction
    frame: F
    at: float
    dropped: bool


class CuttingProxy(Generic[F]):
    """Listens on a port of 127.0.0.1 and forwards each connection to a target.

    It runs in a thread of its own, so it works beside a test that blocks as well as beside the
    reactor. A method returns when what it asks for has been done: after `stall`, nothing more is
    forwarded. It is a context manager and runs from its construction.

    Args:
        target: Host and port, or the path of a unix socket.
        splitter: Makes what cuts one direction of a connection into frames.
    """

    def __init__(self, target: tuple[str, int] | Path, splitter: Callable[[], Splitter[F]]) -> None:
        self._target = target
        self._splitter = splitter
        self._thread = SelectorThread()
        self._reserved = ReservedPort()
        self._listener: socket.socket | None = None
        self._connections: set[ProxiedConnection[F]] = set()
        self._stalled: set[Direction] = set()
        self._drop: Callable[[Direction, F], bool] = _nothing
        self._seen: list[Seen[F]] = []
        self._accepted = 0
        self.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._reserved.number

    @property
    def seen(self) -> list[Seen[F]]:
        """All complete frames so far, in the order in which they came."""
        return self._thread.ask(self._seen.copy)

    @property
    def accepted(self) -> int:
        """How many connections have been made so far."""
        return self._thread.ask(lambda: self._accepted)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._thread.ask(lambda: len(self._connections))

    def forget(self) -> None:
        """Empty `seen`."""
        self._thread.ask(self._seen.clear)

    def cut(self) -> None:
        """Reset (RST) every connection, on both sides; new ones are welcome."""

        def cut() -> None:
            for connection in list(self._connections):
                connection.reset()

        self._thread.ask(cut)

    def refuse(self) -> None:
        """Refuse new connections; those that are open go on."""

        def refuse() -> None:
            if self._listener is not None:
                self._thread.watch(self._listener, 0, self._accept)
                self._listener.close()
                self._listener = None

        self._thread.ask(refuse)

    def accept(self) -> None:
        """Accept connections: at first, and again after `refuse`."""

        def accept() -> None:
            if self._listener is None:
                self._listener = self._reserved.listen()
                self._thread.watch(self._listener, selectors.EVENT_READ, self._accept)

        self._thread.ask(accept)

    def stall(self, *directions: Direction) -> None:
        """Forward nothing in these directions (none named: both), and keep the connections.

        New connections are accepted, and stalled as well.
        """
        self._thread.ask(lambda: self._set_stalled(self._stalled | set(directions or DIRECTIONS)))

    def flow(self) -> None:
        """Undo `stall`: what was held back is forwarded."""
        self._thread.ask(lambda: self._set_stalled(set()))

    def drop_if(self, predicate: Callable[[Direction, F], bool]) -> None:
        """Drop, from now on, the frames for which this holds; it runs in the proxy's thread."""

        def drop() -> None:
            self._drop = predicate

        self._thread.ask(drop)

    def drop_nothing(self) -> None:
        """Undo `drop_if`."""
        self.drop_if(_nothing)

    def close(self) -> None:
        """Reset all connections and end; harmless when done twice.

        Raises:
            RuntimeError: The thread had ended with an error, as that of a splitter.
        """
        try:
            self.refuse()
            self.cut()
        finally:
            self._thread.end()
            self._reserved.release()

    # What follows runs in the proxy's thread.

    def _accept(self, events: int) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        try:
            server = dial(self._target, CONNECT_SECONDS)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        self._accepted += 1
        self._connections.add(
            ProxiedConnection(
                thread=self._thread,
                client=client,
                server=server,
                splitter=self._splitter,
                passes=self._passes,
                stalled=self._stalled,
                closed=self._connections.discard,
            )
        )

    def _set_stalled(self, directions: set[Direction]) -> None:
        self._stalled.clear()
        self._stalled.update(directions)
        for connection in list(self._connections):
            connection.watch()

    def _passes(self, direction: Direction, frame: F) -> bool:
        dropped = self._drop(direction, frame)
        self._seen.append(Seen(direction, frame, time.monotonic(), dropped))
        return not dropped


def _nothing(direction: Direction, frame: Frame) -> bool:
    return False
