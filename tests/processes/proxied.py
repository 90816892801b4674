"""One connection through a proxy: two pipes, each of which forwards or drops whole frames."""

import functools
import selectors
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from tests.processes.selector_thread import SelectorThread

Direction = Literal["to_server", "to_client"]
DIRECTIONS: tuple[Direction, Direction] = ("to_server", "to_client")

READ_SIZE = 65536
MAX_HELD = 1 << 20  # bytes held for a peer that does not read, before its partner is not read
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST


class Frame(Protocol):
    """A piece of a connection that is forwarded or dropped as a whole."""

    @property
    def raw(self) -> bytes:
        """Its bytes."""


F = TypeVar("F", bound=Frame)
F_co = TypeVar("F_co", bound=Frame, covariant=True)


class Splitter(Protocol[F_co]):
    """Cuts one direction of one connection into frames."""

    def feed(self, data: bytes) -> Sequence[F_co]:
        """Return the frames that these bytes complete."""


@dataclass(eq=False, slots=True)
class _Pipe(Generic[F]):
    """One direction of a connection: what was read and not yet written."""

    source: socket.socket
    sink: socket.socket
    splitter: Splitter[F]
    held: bytes = b""
    ended: bool = False  # the source has no more
    finished: bool = False  # and the sink was told


class ProxiedConnection(Generic[F]):
    """A client's connection and its partner to the server; lives in the proxy's thread.

    Args:
        thread: The proxy's.
        client: The connection that was accepted.
        server: Its partner.
        splitter: Makes what cuts one direction into frames.
        passes: Told of each frame; whether to forward it.
        stalled: The proxy's own set; call `watch` after a change of it.
        closed: Told when both sides are closed.
    """

    def __init__(
        self,
        *,
        thread: SelectorThread,
        client: socket.socket,
        server: socket.socket,
        splitter: Callable[[], Splitter[F]],
        passes: Callable[[Direction, F], bool],
        stalled: set[Direction],
        closed: Callable[["ProxiedConnection[F]"], None],
    ) -> None:
        self._thread = thread
        self._passes = passes
        self._stalled = stalled
        self._closed = closed
        self._sockets = (client, server)
        self._pipes: dict[Direction, _Pipe[F]] = {
            "to_server": _Pipe(client, server, splitter()),
            "to_client": _Pipe(server, client, splitter()),
        }
        for end in self._sockets:
            end.setblocking(False)
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watch()

    def watch(self) -> None:
        """Watch for what the pipes can do next."""
        events = dict.fromkeys(self._sockets, 0)
        for direction, pipe in self._pipes.items():
            if direction in self._stalled:
                continue
            if not pipe.ended and len(pipe.held) < MAX_HELD:
                events[pipe.source] |= selectors.EVENT_READ
            if pipe.held or (pipe.ended and not pipe.finished):
                events[pipe.sink] |= selectors.EVENT_WRITE
        for end, wanted in events.items():
            self._thread.watch(end, wanted, functools.partial(self._move, end))

    def reset(self) -> None:
        """Send RST both ways."""
        for end in self._sockets:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close()

    def _close(self) -> None:
        for end in self._sockets:
            self._thread.watch(end, 0, lambda ready: None)
            end.close()
        self._closed(self)

    def _move(self, end: socket.socket, ready: int) -> None:
        try:
            for direction, pipe in self._pipes.items():
                if end is pipe.source and ready & selectors.EVENT_READ:
                    self._read(direction, pipe)
                if end is pipe.sink and ready & selectors.EVENT_WRITE:
                    self._write(pipe)
        except BlockingIOError:
            pass
        except OSError:
            self.reset()
            return
        if all(pipe.finished for pipe in self._pipes.values()):
            self._close()
        else:
            self.watch()

    def _read(self, direction: Direction, pipe: _Pipe[F]) -> None:
        data = pipe.source.recv(READ_SIZE)
        pipe.ended = not data
        frames = pipe.splitter.feed(data)
        pipe.held += b"".join(f.raw for f in frames if self._passes(direction, f))

    def _write(self, pipe: _Pipe[F]) -> None:
        if pipe.held:
            pipe.held = pipe.held[pipe.sink.send(pipe.held) :]
        if pipe.ended and not pipe.held:
            pipe.finished = True
            pipe.sink.shutdown(socket.SHUT_WR)
