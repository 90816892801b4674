"""Answers to what this instance asks: one subscription for all of them, and a table.

nats-py has the like, but makes and waits for a task with each answer, at twice the price.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens, NotConnected
from disroom.adapters.nats.message import Incoming

REQUEST_SECONDS = 2.0

STATUS = "Status"
NO_RESPONDERS = "503"


class Inbox:
    """Where answers arrive.

    Everybody who waits is told at once when the connection is lost: an answer that was under way
    then will not come.
    """

    def __init__(self, connection: NatsConnection, clock: IReactorTime) -> None:
        self._connection = connection
        self._clock = clock
        self._prefix = f"_INBOX.{secrets.token_hex(11)}."
        self._count = 0
        self._awaited: dict[str, Callable[[Incoming | NatsError], None]] = {}
        self._streams: dict[str, Callable[[Incoming | None], None]] = {}
        connection.watch(connected=lambda: None, lost=self._lost)
        connection.subscribe(f"{self._prefix}>", self._received)

    def expect(self, receive: Callable[[Incoming | NatsError], None], tail: str = "") -> str:
        """Make a reply subject for one answer.

        Args:
            receive: Takes it, or `NotConnected` when the connection is lost, or what `give_up`
                says; must not raise.
            tail: What the subject is to end with.
        """
        self._count += 1
        reply = f"{self._prefix}{self._count}{tail}"
        self._awaited[reply] = receive
        return reply

    def forget(self, reply: str) -> None:
        """Expect nothing at a reply subject any more; nobody is told."""
        self._awaited.pop(reply, None)

    def give_up(self, reply: str) -> None:
        """Expect nothing at a reply subject any more: `NoAnswer`, if none has come yet."""
        receive = self._awaited.pop(reply, None)
        if receive is not None:
            receive(NoAnswer("no answer in time"))

    def open_stream(self, receive: Callable[[Incoming | None], None]) -> str:
        """Make a reply subject for any number of answers; None is: the connection was lost.

        To be closed by `close_stream`.
        """
        self._count += 1
        reply = f"{self._prefix}{self._count}"
        self._streams[reply] = receive
        return reply

    def close_stream(self, reply: str) -> None:
        """Receive nothing more at a reply subject."""
        self._streams.pop(reply, None)

    async def request(
        self, subject: str, payload: bytes, *, seconds: float = REQUEST_SECONDS
    ) -> Incoming:
        """Ask, and return the first answer.

        Raises:
            NotConnected: There is no connection, or it was lost meanwhile.
            NobodyListens: Nobody listens.
            NoAnswer: Nobody answered in time.
        """
        answer: Deferred[Incoming | NatsError] = Deferred(lambda cancelled: self.forget(reply))
        reply = self.expect(answer.callback)
        try:
            await self._connection.publish(subject, payload, reply=reply)
        except NotConnected:
            self.forget(reply)
            raise
        try:
            message = await within(seconds, self._clock, answer)
        except TimedOut as error:
            raise NoAnswer(f"no answer from {subject} within {seconds:g} s") from error
        if isinstance(message, NatsError):
            raise message
        if message.head and message.headers.get(STATUS) == NO_RESPONDERS:
            raise NobodyListens(f"nobody answers {subject}")
        return message

    def _received(self, message: Incoming) -> None:
        reply = message.subject
        receive = self._awaited.pop(reply, None)
        if receive is not None:
            receive(message)
        elif reply in self._streams:
            self._streams[reply](message)

    def _lost(self) -> None:
        for reply in tuple(self._awaited):
            # Whoever was told may have ended the waits of others, which are to be told no more.
            receive = self._awaited.pop(reply, None)
            if receive is not None:
                receive(NotConnected("the connection to NATS was lost"))
        for take in tuple(self._streams.values()):
            take(None)
