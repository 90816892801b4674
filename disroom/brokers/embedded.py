"""The brokers of a server that was given none: run by one instance, used by all on a directory.

Whoever has the lock in the state directory runs them. The brokers themselves keep it as well, so it
is free only when the holder and both of them are gone, and there are never two NATS servers on one
store. The others use the recorded addresses, and try the lock every 0.25 s.
"""

from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.brokers.errors import BrokerError
from disroom.brokers.holder import RECOVERY_SECONDS, Holder
from disroom.brokers.locks import Membership, take_lock
from disroom.brokers.probes import probe_nats, probe_redis
from disroom.brokers.statedir import BrokerAddresses, Record, StateDir, check_state_dir
from disroom.children import Guard, IChildReactor, default_guard

READY_SECONDS = 10.0
ATTACH_POLL_SECONDS = 0.01
WATCH_SECONDS = 0.25
LONGEST_PAUSE = 2.0

log = Logger()


class EmbeddedBrokers:
    """An instance's part in the brokers of a state directory. To be started once.

    Args:
        reactor: Spawns, connects, measures time; start in its thread (see `spawn`).
        state_dir: Made if it is missing.
        nats_server: An executable, as `find_nats_server` returns it.
        redis_server: An executable, as `find_redis_server` returns it.
        guard: How the brokers are made to end with us; by default what fits the system.
        ready_timeout: Seconds that `start` waits for the brokers.

    Attributes:
        alone: Whether no other instance used the directory when we started.
    """

    def __init__(
        self,
        reactor: IChildReactor,
        state_dir: Path,
        *,
        nats_server: Path,
        redis_server: Path,
        guard: Guard | None = None,
        ready_timeout: float = READY_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._state = StateDir(state_dir)
        self._nats_server = nats_server
        self._redis_server = redis_server
        self._guard = guard or default_guard()
        self._ready_timeout = ready_timeout
        self._membership: Membership | None = None
        self._holder: Holder | None = None
        self._latest: Record | None = None
        # A stop cancels a start, and then waits for its turn: until the start has cleaned up.
        self._turn = DeferredLock()
        self._starting: Deferred[None] | None = None
        self._watching: Deferred[None] | None = None
        self.alone = False

    @property
    def holding(self) -> bool:
        """Whether the brokers are this instance's children."""
        return self._holder is not None

    def addresses(self) -> BrokerAddresses:
        """Return the latest recorded addresses; ask again before each connection.

        They are of brokers that once answered, and that may be dead until they are replaced.

        Raises:
            BrokerError: There was no start yet.
        """
        self._latest = self._state.read_record() or self._latest
        if self._latest is None:
            raise BrokerError(f"no brokers were started yet on {self._state.path}")
        return self._latest.addresses()

    async def start(self) -> BrokerAddresses:
        """Start the brokers, or find those that another instance runs; return when both answer.

        Raises:
            BrokerError: It was not possible; nothing is left running.
            CancelledError: `stop` was called meanwhile.
        """
        async with self._turn:
            self._starting = Deferred.fromCoroutine(self._hold_or_attach())
            try:
                await self._starting
            except BaseException:
                self._leave()
                raise
            finally:
                self._starting = None
            if self._holder is None:
                self._watching = Deferred.fromCoroutine(self._wait_for_the_lock())
                self._watching.addErrback(_log_unless_cancelled)
        return self.addresses()

    async def stop(self) -> None:
        """End the brokers, if we hold them; others may then take over. At most 3 s; idempotent."""
        if self._starting is not None:
            self._starting.cancel()
        async with self._turn:
            if self._watching is not None:
                self._watching.cancel()
                await self._watching
                self._watching = None
            if self._holder is not None:
                await self._holder.stop()
                self._holder = None
            self._leave()

    def _leave(self) -> None:
        if self._membership is not None:
            self._membership.leave()
            self._membership = None

    async def _hold_or_attach(self) -> None:
        check_state_dir(self._state.path)
        self._membership = Membership(self._state)
        self.alone = self._membership.alone
        deadline = self._reactor.seconds() + self._ready_timeout
        while not await self._hold(self._ready_timeout) and not await self._attach():
            if self._reactor.seconds() > deadline:
                raise BrokerError(
                    f"another process runs the brokers of {self._state.path}, which do not answer "
                    f"after {self._ready_timeout:g} s: stop it, or give another --state-dir"
                )
            await deferLater(self._reactor, ATTACH_POLL_SECONDS)

    async def _wait_for_the_lock(self) -> None:
        """Take over when the holder is gone; return when we are the holder."""
        pause = WATCH_SECONDS
        while True:
            await deferLater(self._reactor, pause)
            try:
                if await self._hold(RECOVERY_SECONDS):
                    return
            except BrokerError as error:
                log.error("taking the brokers over failed: {error}", error=error)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = WATCH_SECONDS

    async def _hold(self, patience: float) -> bool:
        """Become the holder, if the lock is free, and return whether we are."""
        lock = take_lock(self._state)
        if lock is None:
            return False
        log.info("running the brokers of {path}", path=str(self._state.path))
        holder = Holder(
            self._reactor,
            self._state,
            lock,
            nats_server=self._nats_server,
            redis_server=self._redis_server,
            guard=self._guard,
        )
        await holder.start(patience)
        self._holder = holder
        return True

    async def _attach(self) -> bool:
        """Return whether the recorded brokers, and not others in their place, answer."""
        record = self._state.read_record()
        if record is None:
            return False
        nats = await probe_nats(self._reactor, record.nats_port)
        redis = await probe_redis(self._reactor, Path(record.redis_socket))
        if nats is None or redis is None:
            return False
        if (nats.id, redis.id) != (record.nats_id, record.redis_id):
            return False
        log.info(
            "using the brokers of {path}, run by process {pid}: nats-server {nats}, {redis}",
            path=str(self._state.path),
            pid=record.holder,
            nats=nats.version,
            redis=redis.version,
        )
        return True


def _log_unless_cancelled(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        log.failure("the brokers' lock is not watched any more", failure=failure)
