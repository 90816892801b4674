"""Publishing into a stream until it is acknowledged, or there is no more hope.

A message has an id, which every try repeats: within the stream's duplicate window an id is stored
once, and a later try is acknowledged with the seq of the first. An acknowledgement that is lost, a
leader that dies, a reconnection are thus all the same: try again.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.inbox import NO_RESPONDERS, STATUS, Inbox, NoAnswer, NobodyListens
from disroom.adapters.jsapi import MESSAGE_ID, Refused
from disroom.adapters.nats import NatsConnection, NatsError, NotConnected
from disroom.adapters.nats_message import Incoming

TRY_SECONDS = 1.0
GIVE_UP_SECONDS = 15.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
SWEEP_SECONDS = 0.1

MOST_IN_FLIGHT = 4096
"""More at once would only wait in the server, and every try would time out."""

HEADER_BYTES = len(b"NATS/1.0\r\n\r\n")

UNDECIDED = 10158
"""The same id is being stored: not refused, and not stored either."""

MESSAGE_TOO_BIG = frozenset({10054, 10097})

NO_ROOM = frozenset({10023, 10028, 10047, 10077})
"""Storage or limits are exhausted (10077 has the reason in words); these are 5xx yet will last."""


class TooBig(NatsError):
    """The server or the stream takes no message of this size; ``limit`` bytes at most."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a message has at most {limit} bytes")
        self.limit = limit


class GaveUp(NatsError):
    """Nobody acknowledged the message in time; it may be stored all the same."""


class Acknowledged(msgspec.Struct, frozen=True):
    """The stream's answer to a publish: the seq, or an error."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(Acknowledged).decode


class Publisher:
    """Publishes for one instance; at most 4,096 messages are unacknowledged, others wait."""

    def __init__(
        self,
        connection: NatsConnection,
        inbox: Inbox,
        clock: IReactorTime,
        most_in_flight: int = MOST_IN_FLIGHT,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._clock = clock
        self._free = most_in_flight
        self._turns: deque[Deferred[None]] = deque()
        # One timer for all: a timer each would cost more than the publish.
        self._tries: deque[tuple[float, str]] = deque()
        self._sweep = LoopingCall(self._give_up_tries)
        self._sweep.clock = clock

    def stop(self) -> None:
        """Let the timer go; what is unacknowledged is given up by its callers."""
        if self._sweep.running:
            self._sweep.stop()

    async def publish(
        self, subject: str, payload: bytes, message_id: str, headers: dict[str, str] | None = None
    ) -> Acknowledged:
        """Publish a message and return its acknowledgement.

        Args:
            subject: One of the stream's.
            payload: The message.
            message_id: Kept across tries, and by the caller across calls.
            headers: Besides the id.

        Raises:
            TooBig: It will never be taken.
            Refused: The stream does not take it, and says why.
            GaveUp: 15 s have passed.
        """
        all_headers = {MESSAGE_ID: message_id, **(headers or {})}
        deadline = self._clock.seconds() + GIVE_UP_SECONDS
        if self._free > 0:
            self._free -= 1
        else:
            await self._turn()
        try:
            return await self._until_acknowledged(subject, payload, all_headers, deadline)
        finally:
            self._free += 1
            if self._turns:
                self._free -= 1
                self._turns.popleft().callback(None)

    async def _turn(self) -> None:
        turn: Deferred[None] = Deferred(self._turns.remove)
        self._turns.append(turn)
        try:
            await within(GIVE_UP_SECONDS, self._clock, turn)
        except TimedOut:
            raise GaveUp("too many messages wait for the message log") from None

    async def _until_acknowledged(
        self, subject: str, payload: bytes, headers: dict[str, str], deadline: float
    ) -> Acknowledged:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._try(subject, payload, headers)
            except Refused as error:
                if error.code in MESSAGE_TOO_BIG:
                    raise TooBig(len(payload) - 1) from error
                if error.code in NO_ROOM or (error.status < 500 and error.code != UNDECIDED):
                    raise
                failure: NatsError = error
            except (NotConnected, NobodyListens, NoAnswer) as error:
                failure = error
            if self._clock.seconds() + pause > deadline:
                raise GaveUp("the message log did not answer") from failure
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if not self._connection.connected:
                await self._reconnected(deadline)

    async def _reconnected(self, deadline: float) -> None:
        try:
            await self._connection.wait_connected(max(0.0, deadline - self._clock.seconds()))
        except NotConnected as error:
            raise GaveUp("the message log cannot be reached") from error

    async def _try(self, subject: str, payload: bytes, headers: dict[str, str]) -> Acknowledged:
        """Publish once and wait a second for the acknowledgement."""
        self._check_size(payload, headers)
        reply, answer = self._inbox.expect()
        try:
            await self._connection.publish(subject, payload, reply=reply, headers=headers)
        except NotConnected:
            self._inbox.forget(reply)
            raise
        self._tries.append((self._clock.seconds() + TRY_SECONDS, reply))
        if not self._sweep.running:
            self._sweep.start(SWEEP_SECONDS, now=False)
        return _acknowledged(await answer)

    def _check_size(self, payload: bytes, headers: dict[str, str]) -> None:
        # The server closes the connection on a message above its limit.
        size = HEADER_BYTES + len(payload)
        for name, value in headers.items():
            size += len(name) + len(value.encode()) + 4
        if self._connection.connected and size > self._connection.max_payload:
            raise TooBig(self._connection.max_payload)

    def _give_up_tries(self) -> None:
        now = self._clock.seconds()
        while self._tries and self._tries[0][0] <= now:
            self._inbox.give_up(self._tries.popleft()[1])
        if not self._tries:
            self._sweep.stop()


def _acknowledged(message: Incoming) -> Acknowledged:
    if message.head and message.headers.get(STATUS) == NO_RESPONDERS:
        raise NobodyListens("the message log has no leader just now")
    try:
        answer = _decode(message.data)
    except msgspec.DecodeError as error:
        raise NoAnswer(f"not an acknowledgement: {error}") from error
    if answer.error is not None:
        raise Refused.of(answer.error)
    return answer
