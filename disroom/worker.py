"""What a worker process runs: an instance, told by its parent what it is; see disroom.workers.

Its log is JSON lines on standard output, which the parent writes to its own.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

if "twisted.internet.reactor" not in sys.modules:
    from disroom.eventloop import install_reactor

    install_reactor()

from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from disroom import settings
from disroom.brokers import BrokerError
from disroom.config import ConfigError
from disroom.garbage import rarely_collect_garbage
from disroom.instance import assemble
from disroom.logs import JsonLogObserver
from disroom.service import DisroomService, NamedPart, Periodic
from disroom.transports.listeners import ListenError
from disroom.workers.dealing import DEALS
from disroom.workers.dealt import DealtConnections, DealtListeners
from disroom.workers.messages import (
    CONTROL,
    Begin,
    CannotStart,
    Channel,
    ChannelFactory,
    Health,
    Order,
    Ready,
    Refuse,
)

STOP_SECONDS = 3.5
"""All of stopping: less than the parent takes, which then ends its brokers."""

HEALTH_SECONDS = 0.5

reactor: Any = installed_reactor


class Worker:
    """A worker's life: begun by its parent, and at its end when the parent is gone."""

    def __init__(self) -> None:
        self._channel = Channel(Order, self._heard, self._channel_ended)
        self._deals = socket.socket(fileno=DEALS)
        self._deals.setblocking(False)
        self._connections: DealtConnections | None = None
        self._service: DisroomService | None = None
        self._stopping = False
        self._hung_up: Deferred[None] = Deferred()

    def run(self) -> None:
        """Live it."""
        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromCoroutine(self._stop())
        )
        # In place of Twisted's, which fails where the instance ends already as none could start.
        reactor.callWhenRunning(
            signal.signal, signal.SIGTERM, lambda *_: reactor.callFromThread(_end)
        )
        with socket.socket(fileno=CONTROL) as control:
            reactor.adoptStreamConnection(
                control.fileno(), socket.AF_UNIX, ChannelFactory(self._channel)
            )
        reactor.run()

    def _heard(self, order: Order) -> None:
        match order:
            case Begin():
                self._begin(order)
            case Refuse() if self._connections is not None:
                self._connections.refuse(order)

    def _begin(self, order: Begin) -> None:
        try:
            self._service = self._made(order)
        except (BrokerError, ConfigError, ListenError) as error:
            self._channel.tell(CannotStart(str(error)))
            _end()
            return
        self._service.startService()

    async def _stop(self) -> None:
        self._stopping = True
        if self._service is not None:
            await self._service.stopService()
        self._channel.transport.loseConnection()  # once all that was told is on its way
        await self._hung_up

    def _made(self, order: Begin) -> DisroomService:
        config = order.config
        connections = self._connections = DealtConnections(
            settings.most_connections(config),
            config.limits.connections_per_address,
            self._channel.tell,
        )
        parts, health = assemble(
            reactor,
            config,
            order.name,
            connections=connections,
            listeners=lambda found: DealtListeners(reactor, self._deals, found, connections),
            alone=order.alone,
        )
        pulse = Periodic(
            reactor,
            "Reporting health",
            HEALTH_SECONDS,
            lambda: self._channel.tell(Health(dict(health()))),
        )
        return DisroomService(
            [*parts, NamedPart("health", pulse)],
            reactor=reactor,
            ready=self._ready,
            cannot_start=lambda reason: self._channel.tell(CannotStart(reason)),
            stop_seconds=STOP_SECONDS,
        )

    def _ready(self, ready: bool) -> None:
        if ready:
            rarely_collect_garbage()
            self._channel.tell(Ready())

    def _channel_ended(self) -> None:
        if not self._stopping:
            os._exit(1)  # the parent was killed: as by the SIGKILL that is on its way to us, too
        self._hung_up.callback(None)


def _end() -> None:
    with suppress(ReactorNotRunning):
        reactor.stop()


if __name__ == "__main__":
    observer = FilteringLogObserver(
        JsonLogObserver(sys.stdout), [LogLevelFilterPredicate(LogLevel.info)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    Worker().run()
