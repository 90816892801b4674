"""Instances on a real JetStream, what they follow, and streams filled quickly."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from disroom.adapters.boottime import boot_time
from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.jetstream.stream import StreamSettings
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.settings import NatsSettings
from disroom.chat.errors import NotStored
from disroom.chat.events import Draft, Gap, Message
from disroom.chat.interfaces import IRoomFollower
from disroom.chat.names import Nick, RoomName
from disroom.chat.stored import Held
from disroom.wire.envelope import Envelope
from tests.eventually import eventually
from tests.processes.nats import NatsServer
from tests.processes.rawnats import RawNats

ALICE = Nick.parse("alice")
TEA, RUM = RoomName.parse("tea"), RoomName.parse("rum")

PORTION = 1000


def draft(
    text: str = "hello", *, id_: str = "", kind: Literal["said", "did", "topic"] = "said"
) -> Draft:
    """Something that alice says, with an id of its own."""
    return Draft(id_ or secrets.token_urlsafe(16), kind, ALICE, "session", text)


@implementer(IRoomFollower)
class Follower:
    """Records what it is told.

    Attributes:
        events: Messages and gaps, in the order in which they came.
        removals: What it was told of messages that are gone.
    """

    def __init__(self) -> None:
        self.events: list[Message | Gap] = []
        self.removals: list[int | None] = []

    def received(self, event: Message | Gap) -> None:
        """Record an event."""
        self.events.append(event)

    def held(self) -> Held | None:
        """All messages that it was told."""
        return Held(self.seqs[0], len(self.seqs)) if self.seqs else None

    def removed(self, first: int | None) -> None:
        """Record what is gone."""
        self.removals.append(first)

    @property
    def texts(self) -> list[str]:
        """What was said; a gap is ``gap 3..7``."""
        return [
            f"gap {event.first}..{event.last}" if isinstance(event, Gap) else event.text
            for event in self.events
        ]

    @property
    def seqs(self) -> list[int]:
        """The seqs of the messages."""
        return [event.seq for event in self.events if isinstance(event, Message)]

    async def hears(self, *texts: str, seconds: float = 10.0) -> None:
        """Wait until it has been told exactly this."""
        await eventually(
            lambda: self.texts == list(texts), seconds, lambda: f"heard {self.texts[-20:]}"
        )


async def following(log: JetStreamRoomLog, recent: int = 0) -> Follower:
    """A follower of the tea room."""
    follower = Follower()
    await log.follow(TEA, follower, recent)
    return follower


class Sleeper:
    """The clock of a machine that can sleep: boot time, and what a test adds.

    Attributes:
        slept: For how many seconds it has.
    """

    def __init__(self) -> None:
        self.slept = 0.0

    def __call__(self) -> float:
        """The time."""
        return boot_time() + self.slept


class MistakenConnection(NatsConnection):
    """A connection with a mistake in it.

    Attributes:
        mistakes: Instead of sending a message that contains the first of these something is
            raised, and so on with the next one.
    """

    def __init__(
        self, settings: Callable[[], NatsSettings], *, clock: IReactorTime, instance_name: str
    ) -> None:
        super().__init__(settings, clock=clock, instance_name=instance_name)
        self.mistakes: list[bytes] = []

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish, or fail."""
        self._fail(payload)
        await super().publish(subject, payload, reply=reply, headers=headers)

    def send(self, subject: str, payload: bytes, *, reply: str, head: bytes) -> None:
        """Publish, or fail."""
        self._fail(payload)
        super().send(subject, payload, reply=reply, head=head)

    def _fail(self, payload: bytes) -> None:
        if self.mistakes and self.mistakes[0] in payload:
            del self.mistakes[0]
            raise RuntimeError("a mistake")


@dataclass(slots=True)
class NatsLogs:
    """Makes instances on one stream, and stops them at its end.

    Attributes:
        settings: The stream's, as each instance is configured unless told otherwise.
    """

    settings: StreamSettings
    connections: list[NatsConnection] = field(default_factory=list)
    _logs: list[JetStreamRoomLog] = field(default_factory=list)

    async def log(
        self,
        *urls: str,
        settings: StreamSettings | None = None,
        apply: bool = False,
        clock: IReactorTime = reactor,
        connecting: type[NatsConnection] = NatsConnection,
        now: Callable[[], float] = boot_time,
    ) -> JetStreamRoomLog:
        """Start an instance.

        Args:
            urls: Where NATS is.
            settings: Instead of the attribute.
            apply: Change the stream.
            clock: By which the log waits; its connection goes by the reactor.
            connecting: The kind of its connection.
            now: By which it is too late to publish a message again, and the stream's time goes on.
        """
        connection = connecting(
            lambda: NatsSettings(urls),
            clock=reactor,
            instance_name=f"instance {len(self._logs) + 1}",
        )
        log = JetStreamRoomLog(
            connection, settings or self.settings, clock=clock, apply=apply, now=now
        )
        self.connections.append(connection)
        self._logs.append(log)
        await log.start()
        return log

    async def close(self) -> None:
        """Stop every instance."""
        for log in self._logs:
            await log.stop()


class Talk:
    """Somebody who goes on talking in the tea room, one message after the other.

    Attributes:
        acknowledged: What is stored, as far as the speaker knows.
        failed: What the speaker was told is not.
    """

    def __init__(self, log: JetStreamRoomLog, name: str) -> None:
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self._log = log
        self._name = name
        self._on = True
        self._talking = Deferred.fromCoroutine(self._talk())

    async def _talk(self) -> None:
        number = 0
        while self._on:
            number += 1
            text = f"{self._name} {number}"
            try:
                await self._log.append(TEA, draft(text))
            except NotStored:
                self.failed.append(text)
            else:
                self.acknowledged.append(text)

    async def more(self, count: int = 20, seconds: float = 20.0) -> None:
        """Wait until so many more are stored."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough, seconds)

    async def end(self) -> None:
        """Stop talking."""
        self._on = False
        await self._talking


def settings_for(unique: str, **changed: Any) -> StreamSettings:
    """A stream of the test's own, small enough for any disk."""
    return StreamSettings(
        **{"name": unique.upper(), "prefix": unique, "max_bytes": 256 << 20, **changed}
    )


def delete_stream(server: NatsServer, settings: StreamSettings) -> None:
    """Free what a test has stored on a shared server."""
    with server.connect() as raw:
        raw.jetstream(f"STREAM.DELETE.{settings.name}")
        raw.jetstream(f"STREAM.DELETE.KV_{settings.bucket}")


def stored_texts(raw: RawNats, settings: StreamSettings, room: RoomName = TEA) -> list[str]:
    """What the stream holds of a room, read by other code than the service's."""
    messages = raw.stream_messages(settings.name, settings.room_subject(room.token))
    return [Envelope.decode(message.payload).text for message in messages]


def store_quickly(server: NatsServer, settings: StreamSettings, tokens: Sequence[str]) -> None:
    """Store a message in each of these rooms, in order; the text is ``#`` and its number, from 1.

    A thousand at a time, of which the last is acknowledged; the server would drop what it cannot
    take in. The stream must be empty: the count shows that all are in.
    """
    acknowledged = f"{settings.prefix}.acknowledged"
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        hello = f'CONNECT {{"verbose": false}}\r\nSUB {acknowledged} 1\r\n'
        connection.sendall(hello.encode())
        answers = connection.makefile("rb")
        for start in range(0, len(tokens), PORTION):
            portion = tokens[start : start + PORTION]
            published = []
            for number, token in enumerate(portion, start + 1):
                data = Envelope(f"q{number}", "said", "bob", "s", f"#{number}").encode()
                reply = acknowledged if number == start + len(portion) else ""
                subject = settings.room_subject(token)
                published.append(f"PUB {subject} {reply} {len(data)}\r\n".encode() + data)
            connection.sendall(b"\r\n".join([*published, b""]))
            while b'"seq"' not in answers.readline():
                pass
    with server.connect() as raw:
        assert raw.stream_info(settings.name)["state"]["last_seq"] == len(tokens)
