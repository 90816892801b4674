"""The generator's connections: many clients in one thread, with nothing but epoll in between."""

from __future__ import annotations

import errno
import itertools
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.dialects import Dialect
from benchmarks.room_stream import LooseStream, RoomStream, WrongDelivery
from benchmarks.shapes import Shape

READ_BYTES = 65536
EVENTS = 512
RAMP = 64
"""Connections being set up at the same time."""

SET_UP_SECONDS = 60.0
QUIET_SECONDS = 0.5
MANY = 50
MANY_SECONDS = 2.5
"""Where many are in a room, those who enter are told of together, two seconds later at the most."""

SOURCES = 16
"""Source addresses, 127.0.0.1 and on: the ports of one are too few for many runs."""

ABRUPTLY = struct.pack("ii", 1, 0)
"""SO_LINGER: a connection that is closed is reset."""

_runs = itertools.count(int(time.time()) % 100_000)


class Client:
    """One connection: who it is, and what it has still to send."""

    __slots__ = ("entered", "index", "nick", "room", "socket", "tail", "unsent", "waiting")

    def __init__(self, room: int, index: int, nick: str) -> None:
        self.room = room
        self.index = index
        self.nick = nick
        self.entered = False
        self.tail = b""
        self.unsent = b""
        self.waiting = False  # for the socket to take more
        self.socket = socket.socket()


class Load:
    """The clients of one shape, from their connecting to their end; a context manager.

    Args:
        dialect: What they speak.
        addresses: Where they connect to: each room's members in turn to each of these.
        shape: How many there are.
        ramp: How many connect at the same time.
    """

    def __init__(
        self,
        dialect: Dialect,
        addresses: Sequence[tuple[str, int]],
        shape: Shape,
        *,
        ramp: int = RAMP,
    ) -> None:
        self.dialect = dialect
        self.shape = shape
        run = f"{next(_runs):x}"
        self.rooms = [f"b{run}x{number}" for number in range(shape.rooms)]
        self.streams: list[RoomStream] = []
        self.received: list[tuple[float, RoomStream, int, int]] | None = None
        """With a list here, `pump` notes when, who received, and from which position on."""
        self._addresses = addresses
        self._ramp = ramp
        self._epoll = select.epoll()
        self.clients = [
            Client(room, index, f"u{run}x{room}x{index}")
            for room in range(shape.rooms)
            for index in range(shape.members)
        ]
        self._by_fd: dict[int, Client] = {}
        self._coming: Iterator[Client] = iter(())
        self._under_way = self._entered = 0
        self._begin()

    def _begin(self) -> None:
        self._by_fd = {client.socket.fileno(): client for client in self.clients}
        self._coming = iter(self.clients)
        self._under_way = self._entered = 0

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self.clients:
            client.socket.close()
        self._epoll.close()

    def sender(self, room: int, slot: int) -> Client:
        """The client that is a room's sender of that number."""
        return self.clients[room * self.shape.members + slot]

    # Setting up.

    def set_up(self) -> float:
        """Connect all and have them enter their rooms; returns the seconds that it took.

        Raises:
            TimeoutError: Not all were in within a minute.
        """
        begin = time.perf_counter()
        deadline = begin + SET_UP_SECONDS
        while not self.all_in:
            self.bring_in(0.05)
            if time.perf_counter() > deadline:
                raise TimeoutError(
                    f"{self._entered} of {len(self.clients)} clients are in their rooms"
                )
        return time.perf_counter() - begin

    @property
    def all_in(self) -> bool:
        """Whether all are in their rooms."""
        return self._entered == len(self.clients)

    def bring_in(self, wait: float, most: int = EVENTS) -> None:
        """Have some more connect and enter; what those in their rooms receive is dropped.

        Args:
            wait: For so many seconds at the most.
            most: How many are attended to.
        """
        for client in itertools.islice(self._coming, min(self._ramp - self._under_way, most)):
            self._connect(client)
            self._under_way += 1
        done = sum(1 for client in self._discard(wait, most) if self._has_entered(client))
        self._entered += done
        self._under_way -= done

    def cut_off(self) -> None:
        """End all connections at once and without a word; `bring_in` has the same users return."""
        for client in self.clients:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
            client.socket.close()
        self.clients = [Client(gone.room, gone.index, gone.nick) for gone in self.clients]
        self._begin()

    def fileno(self) -> int:
        """Readable for `select` and its like when a client can be attended to."""
        return self._epoll.fileno()

    def _connect(self, client: Client) -> None:
        connection = client.socket
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = client.room + client.index
        connection.bind((f"127.0.0.{1 + number % SOURCES}", 0))
        code = connection.connect_ex(self._addresses[number % len(self._addresses)])
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, f"{client.nick} cannot connect")
        client.unsent = self.dialect.enter(client.nick, self.rooms[client.room])
        client.waiting = True
        self._epoll.register(connection, select.EPOLLIN | select.EPOLLOUT)

    def _has_entered(self, client: Client) -> bool:
        if client.entered or self.dialect.entered not in client.tail:
            return False
        client.entered = True
        return True

    def _discard(self, wait: float, most: int = EVENTS) -> Iterator[Client]:
        """Read what is there and drop it; yields who received."""
        for fd, events in self._epoll.poll(wait, most):
            client = self._by_fd[fd]
            if events & select.EPOLLOUT:
                self._send_rest(client)
            if events & ~select.EPOLLOUT:
                data = self._receive(client)
                if not client.entered:
                    client.tail += data
                yield client

    def settle(self) -> None:
        """Read until nothing comes any more: all that was said of the entering is dropped."""
        wanted = MANY_SECONDS if self.shape.members >= MANY else QUIET_SECONDS
        quiet = time.perf_counter()
        deadline = quiet + SET_UP_SECONDS
        while (now := time.perf_counter()) - quiet < wanted:
            if list(self._discard(0.02)):
                quiet = now
            if now > deadline:
                raise TimeoutError("clients receive without an end though nobody sends")

    def wait(self, seconds: float) -> None:
        """Stay connected for a while; what comes meanwhile is dropped."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            for _ in self._discard(left):
                pass

    # Sending and receiving.

    def begin(self) -> None:
        """Take everything from now on for messages."""
        shape = self.shape
        stream = RoomStream if self.dialect.one_order else LooseStream
        self.streams = [
            stream(room, shape.members, shape.senders, self.dialect.message(room))
            for room in self.rooms
        ]

    def send(self, client: Client, data: bytes) -> None:
        """Send it, or what the socket does not take later on, in order."""
        if client.unsent:
            client.unsent += data
            return
        try:
            sent = client.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            client.unsent = data[sent:]
            self._watch(client, waiting=True)

    def pump(self, wait: float) -> set[int]:
        """Receive what is there, checking it; waits `wait` seconds at most.

        Returns:
            The rooms in which somebody received something.

        Raises:
            WrongDelivery: It is not what it should be, or a connection ended.
        """
        touched = set()
        by_fd, streams, received = self._by_fd, self.streams, self.received
        for fd, events in self._epoll.poll(wait, EVENTS):
            client = by_fd[fd]
            if events & select.EPOLLOUT:
                self._send_rest(client)
                if events == select.EPOLLOUT:
                    continue
            data = self._receive(client)
            if self.dialect.ping and self.dialect.ping in data:
                self.send(client, self.dialect.pong)
                data = data.replace(self.dialect.ping, b"")
            stream = streams[client.room]
            if received is not None:
                at = stream.positions[client.index]
                received.append((time.perf_counter(), stream, client.index, at))
            stream.take(client.index, data)
            touched.add(client.room)
        return touched

    def _receive(self, client: Client) -> bytes:
        try:
            data = client.socket.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise WrongDelivery(f"the server closed {client.nick}'s connection")
        return data

    def _send_rest(self, client: Client) -> None:
        if client.unsent:
            try:
                client.unsent = client.unsent[client.socket.send(client.unsent) :]
            except BlockingIOError:
                return
        if not client.unsent:
            self._watch(client, waiting=False)

    def _watch(self, client: Client, *, waiting: bool) -> None:
        if client.waiting != waiting:
            client.waiting = waiting
            events = select.EPOLLIN | (select.EPOLLOUT if waiting else 0)
            self._epoll.modify(client.socket, events)


@contextmanager
def entered(dialect: Dialect, addresses: Sequence[tuple[str, int]], shape: Shape) -> Iterator[Load]:
    """The clients of a shape in their rooms, with all that this caused behind them."""
    with Load(dialect, addresses, shape) as load:
        load.set_up()
        load.settle()
        load.begin()
        yield load
