"""Private messages between instances, by NATS request and reply: nothing is stored.

Each incarnation listens to a subject of its own. Nobody listening means that the incarnation is
gone, or that it is just changing its connection: it is asked again for a moment before it counts as
gone. A request is repeated only then, so a message arrives at most once.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NobodyListens
from disroom.adapters.nats.inbox import Inbox
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.subscription import NatsSubscription
from disroom.chat.errors import NotDelivered
from disroom.chat.events import PrivateMessage
from disroom.chat.interfaces import ICourier
from disroom.chat.names import Nick

SEND_SECONDS = 2.0
AGAIN_SECONDS = (0.1, 0.3)

TAKEN = b"+"
GONE = b"-"


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A private message on its way; fields of a later version are ignored."""

    id: str
    at: float
    sender: str
    session: str
    recipient: str
    text: str
    away: str | None = None

    @classmethod
    def of(cls, message: PrivateMessage) -> Letter:
        """The letter for a message."""
        return cls(
            message.id,
            message.at,
            message.sender.display,
            message.session,
            message.recipient.display,
            message.text,
            message.away,
        )

    def message(self) -> PrivateMessage:
        """The message."""
        return PrivateMessage(
            self.id,
            self.at,
            Nick.trusted(self.sender),
            self.session,
            Nick.trusted(self.recipient),
            self.text,
            self.away,
        )


_decode = msgspec.json.Decoder(Letter).decode


@implementer(ICourier)
class NatsCourier:
    """Carries private messages to and from one instance.

    Args:
        connection: Started and stopped by its owner.
        clock: The reactor.
        prefix: The first token of every subject.
    """

    _log = Logger()

    def __init__(
        self, connection: NatsConnection, *, clock: IReactorTime, prefix: str = "disroom"
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._prefix = f"{prefix}.private"
        self._inbox = Inbox(connection, clock)
        self._receive: Callable[[PrivateMessage], bool] = lambda message: False
        self._served: list[NatsSubscription] = []

    def set_incarnation(self, incarnation: str) -> None:
        """Be known by a name, or another one; messages to the previous one are still taken.

        Args:
            incarnation: As others give it to `send`: one token of a NATS subject.
        """
        subject = f"{self._prefix}.{incarnation}"
        if any(served.subject == subject for served in self._served):
            return
        self._served.append(self._connection.subscribe(subject, self._received))
        for old in self._served[:-2]:
            old.cancel()
        del self._served[:-2]

    def stop(self) -> None:
        """Take nothing more; idempotent."""
        for served in self._served:
            served.cancel()
        self._served.clear()

    def serve(self, receive: Callable[[PrivateMessage], bool]) -> None:
        """Say who takes messages; see `ICourier`."""
        self._receive = receive

    async def send(self, instance: str, message: PrivateMessage) -> bool:
        """Hand a message to the instance that holds the recipient; see `ICourier`."""
        payload = msgspec.json.encode(Letter.of(message))
        sending = Deferred.fromCoroutine(self._send(f"{self._prefix}.{instance}", payload))
        try:
            return await within(SEND_SECONDS, self._clock, sending)
        except (TimedOut, NatsError) as error:
            raise NotDelivered(message.recipient.display) from error

    async def _send(self, subject: str, payload: bytes) -> bool:
        for pause in (*AGAIN_SECONDS, None):
            try:
                answer = await self._inbox.request(subject, payload, seconds=SEND_SECONDS)
                return answer.data == TAKEN
            except NobodyListens:
                if pause is not None:
                    await deferLater(self._clock, pause)
        return False

    def _received(self, request: Incoming) -> None:
        try:
            taken = self._receive(_decode(request.data).message())
        except msgspec.DecodeError:
            self._log.warn("{subject}: not a private message", subject=request.subject)
            return
        answered = Deferred.fromCoroutine(
            self._connection.publish(request.reply, TAKEN if taken else GONE)
        )
        answered.addErrback(
            lambda failure: self._log.debug(
                "A private message is not acknowledged: {why}", why=failure.getErrorMessage()
            )
        )
