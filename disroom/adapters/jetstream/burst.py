"""Several messages of one user, stored at once and yet in order.

To send the second before the first is acknowledged would leave their order to luck: where a leader
dies in between, the first is lost with it, is sent again, and comes after the second. JetStream's
fast-ingest batches (ADR-50, nats-server 2.14) are a fence against that. The messages of a batch are
numbered, in the reply subject, and the first number that is missing ends it: what is stored of a
batch is always its beginning, and each message is stored as it comes.

So a burst is such a batch, published in one piece. Its messages are known to be stored when their
live copies arrive, which the leader sends in the same breath as it acknowledges the last. Whatever
else happens (a gap, a leader without a trace of the batch, a lost connection, silence), those not
seen by then are published again one after the other under the same ids, each acknowledged before
the next: as both ways go in order and an id is stored once, no message gets before another.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from disroom.adapters.boottime import boot_time
from disroom.adapters.jetstream.api import Acknowledged, Outcome, Refused
from disroom.adapters.jetstream.echoes import Echoes
from disroom.adapters.jetstream.publisher import (
    AGAIN_SECONDS,
    GIVE_UP_SECONDS,
    GaveUp,
    Publisher,
    head_of,
    outcome_of,
)
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NotConnected
from disroom.adapters.nats.inbox import Inbox
from disroom.adapters.nats.message import Incoming

START, APPEND, COMMIT = range(3)
"""What a message does to its batch."""

FLOW = 65535
"""After how many messages the server acknowledges; the end is acknowledged in any case."""

NOWHERE = "_"
"""Nobody listens there: what the server has to say of any but the last is not even sent."""

MOST_AT_ONCE = 128
"""So many messages of bursts are under way at once, or one burst; the others wait for their turn.

The stream takes what comes in the order of its coming, so whoever says a single line waits for all
that is before it. More at once saves nothing any more: beside 20 who send 64 without end a line
took 4 ms with this bound and 22 ms without, for the same CPU a message.
"""

Published = tuple[str, bytes]
"""An id and a payload."""

Told = Callable[[int, Outcome], None]
"""Takes what became of a message, by its place in the burst; must not raise."""


class _Burst:
    """Messages of which it is told, in their order, what became of them.

    Attributes:
        subject: Where they are published.
        messages: They.
        too_late: When they may be published under these ids no more.
    """

    __slots__ = ("_next", "_outcomes", "_told", "messages", "subject", "too_late")

    _log = Logger()

    def __init__(self, subject: str, messages: Sequence[Published], told: Told) -> None:
        self.subject = subject
        self.messages = messages
        self.too_late = math.inf
        self._told = told
        self._outcomes: list[Outcome | None] = [None] * len(messages)
        self._next = 0

    def echoed(self, place: int, outcome: Outcome) -> None:
        """Take note that a message is in the stream; what failed is told by the end."""
        if isinstance(outcome, Acknowledged):
            self.settle(place, outcome)

    def settle(self, place: int, outcome: Outcome) -> None:
        """Take note of what became of a message, unless that is known, and tell what can be."""
        outcomes = self._outcomes
        outcomes[place] = outcomes[place] or outcome
        while self._next < len(outcomes) and (known := outcomes[self._next]) is not None:
            self._next += 1
            try:
                self._told(self._next - 1, known)
            except Exception:  # of whoever asked; what follows is to be told all the same
                self._log.failure("While telling what became of a message")

    def open(self, place: int) -> bool:
        """Whether nothing is known of a message."""
        return self._outcomes[place] is None

    @property
    def ended(self) -> bool:
        """Whether all has been told."""
        return self._next == len(self._outcomes)


class Bursts:
    """Stores several messages at a time, of all users `MOST_AT_ONCE` or one burst.

    A burst that has to wait for its turn is published one by one as soon as one before it goes
    wrong, so that it waits no longer than a try takes.

    Args:
        connection: To NATS.
        inbox: Where the end of a burst is acknowledged.
        publisher: Publishes one by one, and keeps count of what is under way.
        echoes: Tells which messages have come back.
        now: As the publisher has it.

    Attributes:
        allowed: Whether the stream takes batches.
    """

    _log = Logger()

    def __init__(
        self,
        connection: NatsConnection,
        inbox: Inbox,
        publisher: Publisher,
        echoes: Echoes,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self.allowed = False
        self._connection = connection
        self._inbox = inbox
        self._publisher = publisher
        self._echoes = echoes
        self._now = now
        self._name = secrets.token_hex(11)
        self._count = 0
        self._under_way = 0
        self._waiting: deque[_Burst] = deque()

    def store(
        self, subject: str, messages: Sequence[Published], told: Told, *, followed: bool
    ) -> None:
        """Store messages in their order.

        Args:
            subject: One of the stream's.
            messages: Their ids and payloads.
            told: Called once for each, in their order.
            followed: Their live copies are subscribed to.
        """
        burst = _Burst(subject, messages, told)
        if not (self.allowed and followed):
            self._one_by_one(burst)
        elif self._waiting or not self._has_room(burst):
            self._waiting.append(burst)
        else:
            self._start(burst)

    def _has_room(self, burst: _Burst) -> bool:
        return not self._under_way or self._under_way + len(burst.messages) <= MOST_AT_ONCE

    def _start(self, burst: _Burst) -> None:
        """Publish a burst in one piece, if that is possible just now."""
        if (
            self.allowed
            and all(self._publisher.fits(*message) for message in burst.messages)
            and self._publisher.enter(len(burst.messages))
        ):
            self._publish(burst)
        else:
            self._one_by_one(burst)

    def _go_on(self, well: bool) -> None:
        """Start those that wait, as far as there is room; all of them where one went wrong."""
        while self._waiting and (not well or self._has_room(self._waiting[0])):
            burst = self._waiting.popleft()
            if well:
                self._start(burst)
            else:
                self._one_by_one(burst)

    def _publish(self, burst: _Burst) -> None:
        def answered(answer: Incoming | NatsError) -> None:
            self._publisher.leave(count)
            self._under_way -= count
            outcome = outcome_of(answer)
            if isinstance(outcome, Refused):
                self.allowed = False  # until the stream has been looked at again
            if not burst.ended:
                self._one_by_one(burst)
            self._go_on(isinstance(outcome, Acknowledged))

        count = len(burst.messages)
        self._under_way += count
        self._count += 1
        burst.too_late = self._publisher.entered_at + AGAIN_SECONDS
        batch = f".{self._name}{self._count}.{FLOW}.fail."
        end = self._inbox.expect(answered, f"{batch}{count}.{COMMIT}.$FI")
        try:
            for number, (message_id, payload) in enumerate(burst.messages, 1):
                self._echoes.expect(message_id, partial(burst.echoed, number - 1))
                act = START if number == 1 else APPEND
                reply = end if number == count else f"{NOWHERE}{batch}{number}.{act}.$FI"
                head = head_of(message_id)
                self._connection.send(burst.subject, payload, reply=reply, head=head)
        except NotConnected:
            self._inbox.give_up(end)
        except Exception:
            self._log.failure("While publishing")
            self._inbox.give_up(end)
        else:
            self._publisher.watch(end)

    def _one_by_one(self, burst: _Burst) -> None:
        """Publish those of which nothing is known, each when the one before it is settled."""
        ended = Deferred.fromCoroutine(self._publish_each(burst))
        ended.addErrback(lambda failure: self._log.failure("While publishing", failure))

    async def _publish_each(self, burst: _Burst) -> None:
        deadline = self._now() + GIVE_UP_SECONDS
        for place, (message_id, payload) in enumerate(burst.messages):
            if burst.open(place):
                until = min(deadline, burst.too_late)
                outcome = await self._publish_one(burst.subject, payload, message_id, until)
                if isinstance(outcome, Acknowledged):  # a stream that is slow is not away
                    deadline = self._now() + GIVE_UP_SECONDS
                burst.settle(place, outcome)
            self._echoes.forget(message_id)

    async def _publish_one(
        self, subject: str, payload: bytes, message_id: str, deadline: float
    ) -> Outcome:
        if self._now() > deadline:
            return GaveUp("the message log did not answer")
        publishing = self._publisher.publish(subject, payload, message_id, deadline=deadline)
        return await self._publisher.in_the_end(publishing)
