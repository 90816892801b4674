"""Publishing into a stream until it is acknowledged, or there is no more hope.

A message has an id, which every try repeats: within the stream's duplicate window an id is stored
once, and a later try is acknowledged with the seq of the first. An acknowledgement that is lost, a
leader that dies, a reconnection are thus all the same: try again. After that window an id is like a
new one, so no try comes after it, however long this process or its machine stood still in between.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.boottime import boot_time
from disroom.adapters.jetstream.api import MESSAGE_ID, Acknowledged, Outcome, Refused
from disroom.adapters.jetstream.echoes import Echoes
from disroom.adapters.jetstream.stream import DUPLICATE_SECONDS
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens, NotConnected
from disroom.adapters.nats.inbox import NO_RESPONDERS, STATUS, Inbox
from disroom.adapters.nats.message import Incoming
from disroom.rounds import Rounds

TRY_SECONDS = 1.0
GIVE_UP_SECONDS = 15.0
AGAIN_SECONDS = DUPLICATE_SECONDS - GIVE_UP_SECONDS
"""For so long after it was first published a message may be published again under its id."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
SWEEP_SECONDS = 0.1
TRY_SWEEPS = round(TRY_SECONDS / SWEEP_SECONDS) + 1
"""A try's time, and up to a sweep more; counted so, a loop that stood still has read what came."""

MOST_IN_FLIGHT = 4096
"""More at once would only wait in the server, and every try would time out."""

VERSION = "NATS/1.0\r\n"
HEADER_BYTES = len(VERSION) + len("\r\n")

PASSING = frozenset({10158, 10167})
"""The same id is being stored; too much waits for the stream. These are 4xx yet will pass."""

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


class WentWrong(NatsError):
    """Something here or in a library failed meanwhile; the message may be stored all the same."""

    def __init__(self) -> None:
        super().__init__("something went wrong on the way to the message log")


_decode = msgspec.json.Decoder(Acknowledged).decode


class Publisher:
    """Publishes for one instance; at most 4,096 messages are unacknowledged, others wait.

    Args:
        connection: To NATS.
        inbox: Where acknowledgements come.
        echoes: Tells which messages have come back.
        clock: The reactor, by which it waits.
        most_in_flight: How many messages may be unacknowledged.
        now: The time, seconds, by which it is too late for a try; of a clock that runs on while the
            machine sleeps, as the stream's does.

    Attributes:
        entered_at: The time by that clock when the last one entered, or up to a sweep before: to
            ask for it with each message would cost more than it is worth.
    """

    _log = Logger()

    def __init__(
        self,
        connection: NatsConnection,
        inbox: Inbox,
        echoes: Echoes,
        clock: IReactorTime,
        most_in_flight: int = MOST_IN_FLIGHT,
        *,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._echoes = echoes
        self._clock = clock
        self.entered_at = 0.0
        self._now = now
        self._free = most_in_flight
        self._turns: deque[Deferred[None]] = deque()
        # One timer for all: a timer each would cost more than the publish.
        self._tries: deque[tuple[int, Callable[[], None]]] = deque()
        self._sweeps = 0
        self._sweep = Rounds(clock, "Giving up tries", self._give_up_tries)

    def stop(self) -> None:
        """Let the timer go; what is unacknowledged is given up by its callers."""
        self._sweep.stop()

    def store(
        self,
        subject: str,
        payload: bytes,
        message_id: str,
        done: Callable[[Outcome], None],
        *,
        echoed: bool = False,
    ) -> None:
        """Publish a message and tell ``done`` what became of it: `publish` without its coroutine.

        Where all goes well nothing is made for a message but callbacks. Anything else, from a lost
        acknowledgement to too many at once, is `publish`'s to deal with.

        Args:
            subject: One of the stream's.
            payload: The message.
            message_id: As in `publish`.
            done: Told once.
            echoed: Its live copy will come, and it cannot be stored already, for then none comes:
                no acknowledgement is asked for, unless neither comes within a try's time.
        """
        if not (self.fits(message_id, payload) and self.enter()):
            self._on_the_side(self.publish(subject, payload, message_id), done)
            return

        def tried(outcome: Outcome) -> None:
            if isinstance(outcome, Acknowledged):
                self.leave()
                self._tell(done, outcome)
            else:
                again = self._finish(subject, payload, {MESSAGE_ID: message_id}, deadline, outcome)
                self._on_the_side(again, done)

        deadline = self.entered_at + GIVE_UP_SECONDS
        if echoed:
            self._echoes.expect(message_id, tried)
            give_up, reply = partial(self._echoes.give_up, message_id), ""
        else:
            reply = self._inbox.expect(lambda answer: tried(outcome_of(answer)))
            give_up = partial(self._inbox.give_up, reply)
        try:
            self._connection.send(subject, payload, reply=reply, head=head_of(message_id))
        except NotConnected:
            give_up()
        except Exception:
            self._log.failure("While publishing")
            give_up()
        else:
            self._tries.append((self._sweeps + TRY_SWEEPS, give_up))

    # For those who publish in a way of their own.

    def fits(self, message_id: str, payload: bytes) -> bool:
        """Whether a message can be sent just now with a header block ready made, see `head_of`."""
        size = HEADER_BYTES + len(payload) + len(MESSAGE_ID) + len(message_id) + 4
        return (
            self._connection.connected
            and size <= self._connection.max_payload
            and message_id.isascii()
            and message_id.isprintable()
        )

    def enter(self, count: int = 1) -> bool:
        """Count so many messages as under way, if there may be as many; `leave` is to follow."""
        if not self._sweep.running:
            self._begin_to_sweep()
        if self._free < count:
            return False
        self._free -= count
        return True

    def leave(self, count: int = 1) -> None:
        """Count so many messages as under way no more; as many of those that wait have a turn."""
        for _ in range(count):
            if self._turns:
                self._turns.popleft().callback(None)
            else:
                self._free += 1

    async def in_the_end(self, publishing: Awaitable[Acknowledged]) -> Outcome:
        """What became of a message that `publish` publishes; raises nothing, so that all are told.

        What nobody has foreseen is logged, and is `WentWrong`.
        """
        try:
            return await publishing
        except NatsError as error:
            return error
        except Exception:
            self._log.failure("While publishing")
            return WentWrong()

    def watch(self, reply: str) -> None:
        """Give up an answer that does not come within a try's time; see `Inbox.give_up`."""
        self._watch(partial(self._inbox.give_up, reply))

    def _on_the_side(
        self, publishing: Awaitable[Acknowledged], done: Callable[[Outcome], None]
    ) -> None:
        async def finished() -> None:
            self._tell(done, await self.in_the_end(publishing))

        ended = Deferred.fromCoroutine(finished())
        ended.addErrback(lambda failure: self._log.failure("While publishing", failure))

    def _tell(self, done: Callable[[Outcome], None], outcome: Outcome) -> None:
        try:
            done(outcome)
        except Exception:  # of whoever asked; the next answer is somebody else's
            self._log.failure("While telling that a message was stored")

    async def publish(
        self,
        subject: str,
        payload: bytes,
        message_id: str,
        headers: dict[str, str] | None = None,
        *,
        deadline: float = math.inf,
    ) -> Acknowledged:
        """Publish a message and return its acknowledgement.

        Args:
            subject: One of the stream's.
            payload: The message.
            message_id: Kept across tries, and by the caller across calls.
            headers: Besides the id.
            deadline: When to give up, by the clock that is `now`, if it is before 15 s have passed.

        Raises:
            TooBig: It will never be taken.
            Refused: The stream does not take it, and says why.
            GaveUp: It is too late.
        """
        all_headers = {MESSAGE_ID: message_id, **(headers or {})}
        deadline = min(deadline, self._now() + GIVE_UP_SECONDS)
        if not self.enter():
            await self._turn()
        return await self._finish(subject, payload, all_headers, deadline)

    async def _turn(self) -> None:
        turn: Deferred[None] = Deferred(self._turns.remove)
        self._turns.append(turn)
        try:
            await within(GIVE_UP_SECONDS, self._clock, turn)
        except TimedOut:
            raise GaveUp("too many messages wait for the message log") from None

    async def _finish(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str],
        deadline: float,
        failure: NatsError | None = None,
    ) -> Acknowledged:
        """Try until it is acknowledged or there is no more hope; then leave.

        Args:
            subject: One of the stream's.
            payload: The message.
            headers: All of them.
            deadline: When there is no more hope.
            failure: Of a try that has been made.
        """
        try:
            return await self._until_acknowledged(subject, payload, headers, deadline, failure)
        finally:
            self.leave()

    async def _until_acknowledged(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str],
        deadline: float,
        failure: NatsError | None,
    ) -> Acknowledged:
        pause = FIRST_PAUSE
        while True:
            if failure is None:
                outcome = await self._try(subject, payload, headers)
                if isinstance(outcome, Acknowledged):
                    return outcome
                failure = outcome
            if isinstance(failure, Refused):
                if failure.code in MESSAGE_TOO_BIG:
                    raise TooBig(len(payload) - 1) from failure
                client_fault = failure.status < 500 and failure.code not in PASSING
                if failure.code in NO_ROOM or client_fault:
                    raise failure
            if self._now() + pause > deadline:
                raise GaveUp("the message log did not answer") from failure
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if not self._connection.connected:
                await self._reconnected(deadline)
            if self._now() > deadline:  # it stood still
                raise GaveUp("the message log did not answer")
            failure = None

    async def _reconnected(self, deadline: float) -> None:
        try:
            await self._connection.wait_connected(max(0.0, deadline - self._now()))
        except NotConnected as error:
            raise GaveUp("the message log cannot be reached") from error

    async def _try(self, subject: str, payload: bytes, headers: dict[str, str]) -> Outcome:
        """Publish once and wait a second for the acknowledgement."""
        self._check_size(payload, headers)
        answer: Deferred[Incoming | NatsError] = Deferred(
            lambda cancelled: self._inbox.forget(reply)
        )
        reply = self._inbox.expect(answer.callback)
        try:
            await self._connection.publish(subject, payload, reply=reply, headers=headers)
        except BaseException as error:
            self._inbox.forget(reply)
            if isinstance(error, NotConnected):
                return error
            raise
        self.watch(reply)
        return outcome_of(await answer)

    def _check_size(self, payload: bytes, headers: dict[str, str]) -> None:
        # The server closes the connection on a message above its limit.
        size = HEADER_BYTES + len(payload)
        for name, value in headers.items():
            size += len(name) + len(value.encode()) + 4
        if self._connection.connected and size > self._connection.max_payload:
            raise TooBig(self._connection.max_payload)

    def _watch(self, give_up: Callable[[], None]) -> None:
        """Give a try up when it has had its time."""
        self._tries.append((self._sweeps + TRY_SWEEPS, give_up))
        if not self._sweep.running:
            self._begin_to_sweep()

    def _begin_to_sweep(self) -> None:
        self.entered_at = self._now()
        self._sweep.start(SWEEP_SECONDS)

    def _give_up_tries(self) -> None:
        self.entered_at = self._now()
        self._sweeps += 1
        while self._tries and self._tries[0][0] <= self._sweeps:
            _, give_up = self._tries.popleft()
            give_up()
        if not self._tries:
            self._sweep.stop()


def head_of(message_id: str) -> bytes:
    """The header block of a message; for an id that is printable ASCII."""
    return f"{VERSION}{MESSAGE_ID}: {message_id}\r\n\r\n".encode()


def outcome_of(answer: Incoming | NatsError) -> Outcome:
    """What an answer says of a message."""
    if isinstance(answer, NatsError):
        return answer
    if answer.head and answer.headers.get(STATUS) == NO_RESPONDERS:
        return NobodyListens("the message log has no leader just now")
    try:
        acknowledged = _decode(answer.data)
    except (msgspec.DecodeError, RecursionError) as error:
        return NoAnswer(f"not an acknowledgement: {error}")
    if acknowledged.error is not None:
        return Refused.of(acknowledged.error)
    return acknowledged
