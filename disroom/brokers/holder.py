"""What the holder of the brokers' lock does: start both, restart one that dies, end both."""

import os
import secrets
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from disroom.brokers.broker import Broker
from disroom.brokers.errors import BrokerError
from disroom.brokers.servers import NatsServer, RedisServer
from disroom.brokers.statedir import Record, StateDir
from disroom.children import Guard, IChildReactor, keep

LONGEST_PAUSE = 2.0
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
        reactor: IChildReactor,
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
            keeping = keep(
                self._reactor,
                ended=partial(_ended, broker),
                again=partial(self._start_again, broker),
                longest_pause=LONGEST_PAUSE,
                last_words=broker.last_words,
            )
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

    async def _start_again(self, broker: Broker) -> None:
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


async def _ended(broker: Broker) -> str:
    await broker.ended()
    return f"{broker.name} {broker.exit}"
