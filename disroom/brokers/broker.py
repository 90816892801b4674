"""Starting a broker, and knowing when it is ready."""

from abc import ABC, abstractmethod
from pathlib import Path

from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.brokers.errors import BrokerError
from disroom.brokers.probes import Identity
from disroom.brokers.statedir import StateDir
from disroom.children import Child, Guard, IChildReactor, spawn

POLL_SECONDS = 0.005
BLAMED_LINES = 3

log = Logger()


class Broker(ABC):
    """A broker that can be started, again and again, on the same data.

    Args:
        reactor: Spawns, connects, measures time.
        executable: What to run.
        state: Where its data is.
        lock: The brokers' lock, which each process of it keeps.
        guard: How it is made to end with us.

    Attributes:
        identity: What the latest process said when it was ready.
    """

    name: str
    identity: Identity

    def __init__(
        self,
        reactor: IChildReactor,
        executable: Path,
        *,
        state: StateDir,
        lock: int,
        guard: Guard,
    ) -> None:
        self._reactor = reactor
        self._executable = executable
        self._state = state
        self._lock = lock
        self._guard = guard
        self._child: Child | None = None

    async def launch(self, patience: float) -> None:
        """Start it and return when it has answered. If it does not, or if cancelled, it is ended.

        Args:
            patience: Seconds.

        Raises:
            BrokerError: It ended, or did not answer in time; with the last lines it wrote.
        """
        command = [str(self._executable), *self._prepare()]
        child = Child(self._reactor, self.name)
        try:
            spawn(self._reactor, child, command, descriptors={3: self._lock}, guard=self._guard)
        except OSError as error:
            raise BrokerError(f"{self.name} cannot be started: {error.strerror}") from error
        self._child = child
        try:
            self.identity = await self._first_answer(child, patience)
        except BaseException:
            await child.stop()
            raise
        log.info(
            "{name} {version} runs from {path} as process {pid}",
            name=self.name,
            version=self.identity.version,
            path=str(self._executable),
            pid=child.pid,
        )

    @property
    def exit(self) -> str | None:
        """How the latest process ended, in words; None while it runs, or if there was none."""
        return self._child.exit if self._child else None

    def last_words(self) -> str:
        """Return the last lines that the latest process wrote, after a colon; empty if none."""
        output = self._child.tail if self._child else ()
        lines = [*output, *self._log_lines()][-BLAMED_LINES:]
        return f": {' | '.join(lines)}" if lines else ""

    async def ended(self) -> None:
        """Return when the latest process has ended."""
        if self._child is not None:
            await self._child.ended()

    async def stop(self) -> None:
        """End it, if it runs; see Child.stop."""
        if self._child is not None:
            await self._child.stop()

    async def _first_answer(self, child: Child, patience: float) -> Identity:
        deadline = self._reactor.seconds() + patience
        while True:
            if child.exit is not None:
                raise BrokerError(f"{self.name} {child.exit}{self.last_words()}")
            if identity := await self._probe(child):
                return identity
            if self._reactor.seconds() > deadline:
                late = f"{self.name} is not ready after {patience:g} s"
                raise BrokerError(f"{late}{self.last_words()}")
            await deferLater(self._reactor, POLL_SECONDS)

    def _log_lines(self) -> list[str]:
        """Return what the latest process wrote to a log of its own."""
        return []

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Write what it reads at its start and return its arguments."""

    @abstractmethod
    async def _probe(self, child: Child) -> Identity | None:
        """Return who answers, if it is ready."""
