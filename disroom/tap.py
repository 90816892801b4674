"""The composition root: what twistd loads for its ``disroom`` subcommand.

Importing this module installs the asyncio reactor, which nats-py needs; twistd imports it only when
``disroom`` is the subcommand, so other plugins keep their reactor.
"""

from __future__ import annotations

import sys

if "twisted.internet.reactor" not in sys.modules:
    from disroom.eventloop import install_reactor

    install_reactor()

from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.logger import ILogObserver

from disroom import settings, systemd
from disroom.brokers import BrokerError
from disroom.config import Config, ConfigError, default_instance_name
from disroom.endpoints import admin_endpoint, client_endpoints, is_proxied, web_endpoint
from disroom.garbage import rarely_collect_garbage
from disroom.instance import Factories, Health, assemble, embedded_brokers
from disroom.logs import log_observer
from disroom.options import Options
from disroom.preflight import check
from disroom.service import DisroomService, NamedPart, Part
from disroom.transports.connections import Connections
from disroom.transports.listeners import Listener, ListenError, Listeners, parse_endpoint
from disroom.workers.dealer import Dealer
from disroom.workers.process import WorkerError
from disroom.workers.supervisor import Supervisor

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """Put the service together; nothing is connected or spawned before it is started.

    When twistd becomes a daemon it forks between this and the start of the service.
    """
    config = options.config
    twistd: Mapping[str, Any] = options.parent or {}
    try:
        check(config)
        parts = _workers(config) if config.server.workers > 1 else _alone(config)
    except (ConfigError, BrokerError, ListenError) as error:
        sys.exit(f"disroom: {error}")
    return DisroomService(
        parts,
        reactor=reactor,
        ready=_ready,
        foreground=bool(twistd.get("nodaemon")),
        adopted=lambda parent: _choose_log(parent, config, twistd),
    )


def _alone(config: Config) -> list[NamedPart]:
    """An instance that listens for itself."""
    connections = Connections(
        settings.most_connections(config), config.limits.connections_per_address
    )

    def listeners(factories: Factories) -> Part:
        found = [Listener(text, parse_endpoint(reactor, text), each) for text, each in factories]
        return Listeners(reactor, found, connections)

    name = config.server.instance_name or default_instance_name()
    parts, health = assemble(reactor, config, name, connections=connections, listeners=listeners)
    return parts + _admin(config, health)


def _workers(config: Config) -> list[NamedPart]:
    """A parent that listens and holds the brokers, and its workers; see `disroom.worker`."""
    brokers = embedded_brokers(reactor, config) if config.embedded else None
    name = config.server.instance_name or default_instance_name()
    endpoints = [text for text, _ in client_endpoints(config)]
    proxied = [is_proxied(text) for text in endpoints]
    if config.server.web:
        endpoints.append(web_endpoint(config))
        proxied.append(True)  # by a header, perhaps
    supervisor = Supervisor(
        reactor,
        [f"{name}-{number + 1}" for number in range(config.server.workers)],
        config,
        alone=lambda: brokers is not None and brokers.alone,
        proxied=proxied,
    )
    dealer = Dealer(reactor, endpoints, supervisor.deal)
    parts = [NamedPart("embedded brokers", brokers, (BrokerError,), seconds=3.0)] if brokers else []
    parts += [
        NamedPart("workers", supervisor, (WorkerError,), seconds=4.0),
        NamedPart("listeners", dealer, (ListenError,)),
    ]
    return parts + _admin(config, supervisor.health)


def _ready(ready: bool) -> None:
    """Tell systemd."""
    systemd.notify("READY=1" if ready else "STOPPING=1")
    if ready:
        rarely_collect_garbage()


def _admin(config: Config, health: Health) -> list[NamedPart]:
    if not config.server.admin:
        return []
    from disroom.transports.admin import Admin  # twisted.web costs 0.1 s of the start

    admin = Admin(reactor, admin_endpoint(config.server.admin), health)
    return [NamedPart("admin", admin, (ListenError,))]


def _choose_log(application: Any, config: Config, twistd: Mapping[str, Any]) -> None:
    try:
        observer = log_observer(config.server.log_format, twistd, reactor)
    except ConfigError as error:
        sys.exit(f"disroom: {error}")
    if observer is not None:
        application.setComponent(ILogObserver, observer)
