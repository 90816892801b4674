"""Keeps so many workers running, and deals connections out to them."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.children import Guard, default_guard, keep
from disroom.config import Config
from disroom.transports.sockets import is_internet
from disroom.workers.dealing import Deal
from disroom.workers.messages import Begin
from disroom.workers.process import WorkerError, WorkerProcess
from disroom.workers.tally import Tally

LONGEST_PAUSE = 10.0

TERM_SECONDS = 3.6
"""For a worker to stop in order, which takes it `disroom.worker.STOP_SECONDS`; then it is killed,
and the service has time left for its brokers."""


class Supervisor:
    """The workers, each in its place under its name.

    A worker that ends is started again after a pause that doubles from 0.1 to 10 s, one process a
    place at a time, for as long as it takes; the others go on meanwhile.

    Args:
        names: Of the instances, one for each place.
        config: For all of them.
        alone: Whether no other instance was there when the service started; asked at the start.
        proxied: For each listener whether a proxy tells where its connections are from.
        guard: How workers are made to end with us; by default what fits the system.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        names: Sequence[str],
        config: Config,
        *,
        alone: Callable[[], bool],
        proxied: Sequence[bool],
        guard: Guard | None = None,
    ) -> None:
        self._reactor = reactor
        self._names = names
        self._config = config
        self._alone = alone
        self._proxied = proxied
        self._guard = guard or default_guard()
        limits = config.limits
        self._tally = Tally(limits.connections, limits.connections_per_address)
        self._keys = itertools.count(1)
        self._workers: dict[str, WorkerProcess] = {}
        self._keeping: list[Deferred[None]] = []

    async def start(self) -> None:
        """Start all, side by side; return when all of them are ready.

        Raises:
            WorkerError: One of them does not start.
        """
        alone = self._alone()
        starting = [Deferred.fromCoroutine(self._begin(name, alone)) for name in self._names]
        try:
            await gatherResults(starting, consumeErrors=True)
        except FirstError as first:
            reason = first.subFailure.value
            assert reason is not None
            raise reason from None
        finally:
            for each in starting:
                each.cancel()
        await deferLater(self._reactor, 0)  # out of the logging context of the last worker
        for name in self._names:
            keeping = keep(
                self._reactor,
                ended=partial(self._ended, name),
                again=partial(self._start_again, name),
                longest_pause=LONGEST_PAUSE,
            )
            self._keeping.append(keeping)

    async def stop(self) -> None:
        """End all, side by side, at most `TERM_SECONDS` and one later."""
        for keeping in self._keeping:
            keeping.cancel()
        stopping = [
            Deferred.fromCoroutine(worker.stop(TERM_SECONDS)) for worker in self._workers.values()
        ]
        await DeferredList(stopping)

    def health(self) -> Mapping[str, bool]:
        """What each worker needs, and whether it is there; just the worker, where it is not."""
        health: dict[str, bool] = {}
        for name in self._names:
            needs = self._workers[name].health if name in self._workers else None
            if needs is None:
                health[name] = False
            else:
                health |= {f"{name} {need}": there for need, there in needs.items()}
        return health

    def deal(self, listener: int, connection: socket.socket) -> bool:
        """Deal a connection to the worker with the fewest, of equals to the one that waits longest.

        Returns:
            Whether one takes it, and closes it here; where none can now, it stays the caller's.
        """
        if not any(worker.serving for worker in self._workers.values()):
            return False
        key = next(self._keys)
        verdict = self._tally.admit(key, self._host_of(listener, connection))
        deal = Deal(listener, verdict, key)
        if self._give(connection, deal):
            return True
        self._tally.forget(key)
        return False

    def _give(self, connection: socket.socket, deal: Deal) -> bool:
        serving = [worker for worker in self._workers.values() if worker.serving]
        serving.sort(key=lambda each: (len(each.keys), each.latest))
        return any(worker.give(connection, deal) for worker in serving)

    def _deal_again(self, connection: socket.socket, deal: Deal) -> None:
        """Pass on what was under way to a worker that has ended."""
        if not self._give(connection, deal):
            self._tally.forget(deal.key)
            connection.close()

    def _host_of(self, listener: int, connection: socket.socket) -> str | None:
        if self._proxied[listener] or not is_internet(connection):
            return None
        try:
            host: str = connection.getpeername()[0]
        except OSError:  # it has gone meanwhile
            return None
        return host

    async def _begin(self, name: str, alone: bool) -> None:
        """Start the worker of a place and return when it is ready; if it is not, it is ended."""
        worker = WorkerProcess(self._reactor, name, self._tally, self._deal_again)
        try:
            await worker.begin(Begin(self._config, name, alone), self._guard)
        except WorkerError as error:
            raise WorkerError(f"{name}: {error}") from error
        finally:
            if worker.pid:
                self._workers[name] = worker
        self._log.info("{worker} runs as process {pid}", worker=name, pid=worker.pid)

    async def _ended(self, name: str) -> str:
        worker = self._workers[name]
        await worker.ended()
        return f"{name} {worker.exit}"

    async def _start_again(self, name: str) -> None:
        try:
            await self._begin(name, alone=False)
        except WorkerError as error:
            self._log.error("{error}", error=str(error))
