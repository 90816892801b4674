"""An instance with everything real but its sockets: what a message costs without the system's part.

In place of the connection to NATS is a stream of one subject a room that acknowledges whatever is
published and republishes it, as fast as bytes can be put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from benchmarks.micro.sinks import Sink
from disroom.adapters.jetstream.feed import RoomFeed
from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.jetstream.stream import StreamSettings
from disroom.adapters.memory.courier import MemoryCourier, MemoryPost
from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.credentials import Credentials
from disroom.adapters.nats.link import NatsLink
from disroom.adapters.nats.settings import NatsSettings
from disroom.adapters.runtime import TwistedRuntime
from disroom.chat.hub import Hub
from disroom.chat.interfaces import IRoomFollower
from disroom.chat.limits import Limits
from disroom.chat.names import RoomName
from disroom.chat.stored import Topic
from disroom.transports.connections import Connections
from disroom.transports.line import LineFactory, LineProtocol, LineSettings
from disroom.transports.outbox import Flusher
from disroom.transports.reception import Reception
from disroom.wire.line import LineFormat


class Stream(TcpTransport):
    """The connection to NATS and what is behind it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nats-py is untyped here
        self._sids: dict[bytes, bytes] = {}
        self._seq = 0
        self._last: dict[bytes, int] = {}
        self._answers: list[bytes] = []

    def __bool__(self) -> bool:
        return True

    async def drain(self) -> None:
        """Everything is taken at once."""

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Take subscriptions and publishes."""
        for frame in lines:
            line, _, rest = frame.partition(b"\r\n")
            match line.split(b" "):
                case [b"SUB", subject, _, sid]:
                    self._sids[subject] = sid
                case [b"HPUB", subject, *reply, head, size]:
                    self._store(subject, rest[: int(head)], rest[int(head) : int(size)], *reply)

    def _store(self, subject: bytes, head: bytes, data: bytes, reply: bytes = b"") -> None:
        self._seq += 1
        previous, self._last[subject] = self._last.get(subject, 0), self._seq
        live = subject.replace(b".room.", b".live.")
        head = head[:-2] + (
            b"Nats-Stream: DISROOM\r\nNats-Subject: %b\r\nNats-Sequence: %d\r\n"
            b"Nats-Time-Stamp: 2026-11-25T23:52:33.844617583Z\r\nNats-Last-Sequence: %d\r\n\r\n"
        ) % (subject, self._seq, previous)
        size = len(head) + len(data)
        self._answers.append(
            b"HMSG %b %b %d %d\r\n%b%b\r\n" % (live, self._sids[live], len(head), size, head, data)
        )
        if reply:
            ack = b'{"stream":"DISROOM", "seq":%d}' % self._seq
            inbox = self._sids[reply.rpartition(b".")[0] + b".>"]
            self._answers.append(b"MSG %b %b %d\r\n%b\r\n" % (reply, inbox, len(ack), ack))

    def take_answers(self) -> bytes:
        """What NATS sends: to each publish its live copy, and what acknowledges it."""
        answers, self._answers = self._answers, []
        return b"".join(answers)


class Log(JetStreamRoomLog):
    """A log that begins to follow without asking what was there before."""

    async def follow(self, room: RoomName, follower: IRoomFollower, recent: int) -> None:
        """Follow."""
        feed = RoomFeed(
            room,
            follower,
            connection=self._connection,
            reader=self._reader,
            settings=self._settings,
            clock=self._clock,
            suspect=lambda: None,
            seen=self._echoes.seen,
        )
        feed._subscription = self._connection.subscribe(feed._live_subject, feed._received)
        feed.order.opened((), None, 0)
        self._feeds[room.token] = feed

    async def topics(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, Topic]:
        """There are none."""
        return {}


class Instance:
    """Users in a room each, on one instance.

    Args:
        users: How many.
    """

    def __init__(self, users: int) -> None:
        self._clock = Clock()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._stream = Stream()
        self._users: list[tuple[LineProtocol, Sink]] = []
        self._loop.run_until_complete(self._set_up(users))

    async def _set_up(self, users: int) -> None:
        nats = self._connected()
        runtime = TwistedRuntime(self._clock)
        presence = MemoryPresence(
            MemoryPresenceStore(), instance_name="one", fresh_id=runtime.fresh_id
        )
        hub = Hub(
            log=Log(nats, StreamSettings(), clock=self._clock),
            presence=presence,
            courier=MemoryCourier(MemoryPost(), presence.incarnation),
            runtime=runtime,
            limits=Limits(),
        )
        Deferred.fromCoroutine(presence.start())
        reception = Reception(self._clock, hub, Connections(users), Flusher(self._clock), "one")
        settings = LineSettings(flood=None)
        factory = LineFactory(reception, format=LineFormat(), settings=settings)
        for number in range(users):
            protocol, sink = factory.buildProtocol(None), Sink()
            self._users.append((protocol, sink))
            protocol.makeConnection(sink)  # type: ignore[no-untyped-call]  # Twisted's is untyped
            protocol.dataReceived(f"nick u{number}\njoin r{number}\n".encode())
            self._clock.advance(0)

    def _connected(self) -> NatsConnection:
        settings = NatsSettings(("nats://127.0.0.1:4222",))
        nats = NatsConnection(lambda: settings, clock=self._clock, instance_name="one")
        link = NatsLink(
            settings,
            None,  # type: ignore[arg-type]  # it connects to nothing
            Credentials(),
            name="one",
            clock=self._clock,
            ended=lambda link: None,
        )
        self._client = link._client
        self._client._status, self._client._transport = Client.CONNECTED, self._stream
        self._client._flush_queue = asyncio.Queue()
        nats._link, nats.connected, nats.max_payload = link, True, 1 << 20
        return nats

    def say(self, line: bytes) -> int:
        """Have everybody say a line and receive it; returns how many writes that were."""
        before = sum(sink.written for _, sink in self._users)
        for protocol, _ in self._users:
            protocol.dataReceived(line)
        self._client.write_now()
        reading = self._client._ps.parse(self._stream.take_answers())
        with suppress(StopIteration):
            reading.send(None)
        self._clock.advance(0)
        return sum(sink.written for _, sink in self._users) - before

    def close(self) -> None:
        """End it."""
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        asyncio.set_event_loop(None)
