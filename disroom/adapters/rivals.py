"""Finding out over NATS who got a nick, for an instance that Redis does not answer.

Cut off from Redis alone, an instance goes on chatting. Past its lease the others take its sessions
out, and their nicks are free for whoever comes. So it asks the others, for as long as that lasts,
who holds the nicks now, and loses the sessions whose nick went to another. Whoever can ask Redis
replies; the first reply counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError
from disroom.adapters.nats.inbox import Inbox
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.subscription import NatsSubscription
from disroom.adapters.redis.presence import RedisPresence
from disroom.chat.errors import PresenceUnavailable

MOST_NICKS = 1000
ANSWER_SECONDS = 0.4

_decode_tokens = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_holders = msgspec.json.Decoder(tuple[str | None, ...]).decode


class Rivals:
    """Asks and answers, for one instance.

    Args:
        connection: Started and stopped by its owner.
        presence: The instance's.
        clock: The reactor.
        prefix: The first token of every subject.
    """

    _log = Logger()

    def __init__(
        self,
        connection: NatsConnection,
        presence: RedisPresence,
        *,
        clock: IReactorTime,
        prefix: str = "disroom",
    ) -> None:
        self._connection = connection
        self._presence = presence
        self._subject = f"{prefix}.holders"
        self._inbox = Inbox(connection, clock)
        self._served: NatsSubscription | None = None

    def serve(self) -> None:
        """Answer those who ask from now on."""
        self._served = self._connection.subscribe(self._subject, self._asked)

    def stop(self) -> None:
        """Answer no more; idempotent."""
        if self._served is not None:
            self._served.cancel()

    async def look(self) -> None:
        """Ask, if this instance is cut off past its lease; to be called about twice a second."""
        if not self._presence.cut_off:
            return
        for nicks in _portions(self._presence.nicks()):
            with suppress(NatsError):  # nobody can be asked, or nobody knows
                asked = msgspec.json.encode(list(nicks.values()))
                answer = await self._inbox.request(self._subject, asked, seconds=ANSWER_SECONDS)
                holders = _decode_holders(answer.data)
                for session, holder in zip(nicks, holders, strict=True):
                    if holder is not None and holder != session:
                        self._presence.lose(session)

    def _asked(self, request: Incoming) -> None:
        if self._presence.connected:
            answered = Deferred.fromCoroutine(self._answer(request))
            answered.addErrback(
                lambda failure: self._log.failure("Nicks were asked for in vain", failure)
            )

    async def _answer(self, request: Incoming) -> None:
        tokens = _decode_tokens(request.data)
        with suppress(PresenceUnavailable, NatsError):
            holders = await self._presence.holders(tokens)
            await self._connection.publish(request.reply, msgspec.json.encode(holders))


def _portions(nicks: Mapping[str, str]) -> Iterator[dict[str, str]]:
    rest = iter(nicks.items())
    while portion := dict(islice(rest, MOST_NICKS)):
        yield portion
