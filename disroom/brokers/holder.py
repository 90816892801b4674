"""What the holder of the brokers' lock does: start both, restart one that dies, end both."""

import os
import secrets
from collections.abc import Coroutine
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.brokers.broker import Broker
from disroom.brokers.children import Guard, IBrokerReactor
from disroom.brokers.errors import BrokerError
from disroom.brokers.servers import NatsServer, RedisServer
from disroom.brokers.statedir import Record, StateDir

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
STEADY_SECONDS = 10.0  # who ran that long is not one that dies at every start
# A service that is up waits longer than one that starts: to end a NATS that still reads a large
# store back (1 s a gigabyte, when that is in memory) would only have it begin again.
RECOVERY_SECONDS = 60.0

log = Logger()


class Holder:
    """Both brokers as children of this process, for as long as it has the lock.

    Args:
        reactor: Spawns, connects, measures time.
        state: The directory that the lock is on.
        lock: The descriptor of the lock, ours from now on: `stop` and a failed `start` close it.
        nats_server: An executable.
        redis_server: An executable.
        guard: How the brokers are made to end with us.
    """

    def __init__(
        self,
        reactor: IBrokerReactor,
        state: StateDir,
        lock: int,
        *,
        nats_server: Path,
        redis_server: Path,
        guard: Guard,
    ) -> None:
        self._reactor = reactor
        self._state = state
        self._lock = lock
        self._nats = NatsServer(reactor, nats_server, state=state, lock=lock, guard=guard)
        self._redis = RedisServer(reactor, redis_server, state=state, lock=lock, guard=guard)
        self._generation = 0
        self._keeping: list[Deferred[None]] = []

    async def start(self, patience: float) -> None:
        """Start both, on the data, the port and with the token of before; record them when ready.

        Args:
            patience: Seconds.

        Raises:
            BrokerError: One did not start; then both are ended and the lock is free.
        """
        try:
            before = self._state.read_record()
            self._generation = before.generation if before else 0
            self._nats.token = before.nats_token if before else secrets.token_hex(16)
            self._nats.port = before.nats_port if before else 0
            self._redis.socket = self._state.redis_socket(before.redis_socket if before else None)
            await _both(self._nats.launch(patience), self._redis.launch(patience))
            self._write_record()
        except BaseException:
            await self.stop()
            raise
        for broker in (self._nats, self._redis):
            keeping = Deferred.fromCoroutine(self._keep(broker))
            keeping.addErrback(_log_unless_cancelled)
            self._keeping.append(keeping)

    async def stop(self) -> None:
        """End both brokers, then free the lock. At most 3 s; harmless when done twice."""
        for keeping in self._keeping:
            keeping.cancel()
        await _both(self._nats.stop(), self._redis.stop())
        for keeping in self._keeping:
            await keeping
        self._keeping.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _keep(self, broker: Broker) -> None:
        """Start the broker again each time that it has ended."""
        pause = FIRST_PAUSE
        while True:
            since = self._reactor.seconds()
            await broker.ended()
            if self._reactor.seconds() - since > STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error(
                "{name} {exit}; starting it again in {pause} s{words}",
                name=broker.name,
                exit=broker.exit,
                pause=pause,
                words=broker.last_words(),
            )
            await deferLater(self._reactor, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await broker.launch(RECOVERY_SECONDS)
                self._write_record()
            except BrokerError as error:
                log.error("{error}", error=error)
                await broker.stop()

    def _write_record(self) -> None:
        self._generation += 1
        self._state.write_record(
            Record(
                generation=self._generation,
                holder=os.getpid(),
                nats_port=self._nats.port,
                nats_token=self._nats.token,
                nats_id=self._nats.identity.id,
                redis_socket=str(self._redis.socket),
                redis_id=self._redis.identity.id,
            )
        )


async def _both(*coroutines: Coroutine[Deferred[None], object, None]) -> None:
    """Wait for both, side by side; if one fails the other is cancelled."""
    running = [Deferred.fromCoroutine(each) for each in coroutines]
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as first:
        for each in running:
            each.cancel()
        reason = first.subFailure.value
        assert reason is not None
        raise reason from None


def _log_unless_cancelled(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        log.failure("a broker is not looked after any more", failure=failure)
