"""The composition root: what twistd loads for its ``disroom`` subcommand.

Importing this module installs the asyncio reactor, which nats-py needs; twistd imports it only when
``disroom`` is the subcommand, so other plugins keep their reactor.
"""

from __future__ import annotations

import sys

if "twisted.internet.reactor" not in sys.modules:
    from twisted.internet import asyncioreactor

    asyncioreactor.install()

import gc
import math
from collections.abc import Callable, Mapping
from typing import Any, cast
from zoneinfo import ZoneInfo

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import ILogObserver

from disroom import settings, systemd
from disroom.adapters.aio import soon
from disroom.adapters.courier import NatsCourier
from disroom.adapters.jetstream import JetStreamRoomLog
from disroom.adapters.nats import NatsConnection, StoreStartError
from disroom.adapters.redis import RedisPresence
from disroom.adapters.redis_address import RedisAddress, RedisPlace
from disroom.adapters.redis_instance import PresenceStartError
from disroom.adapters.rivals import Rivals
from disroom.adapters.runtime import TwistedRuntime
from disroom.brokers import (
    BrokerError,
    EmbeddedBrokers,
    IBrokerReactor,
    find_nats_server,
    find_redis_server,
)
from disroom.chat.hub import Hub
from disroom.chat.retention import InterestRetention
from disroom.config import Config, ConfigError, default_instance_name
from disroom.logs import log_observer
from disroom.options import Options
from disroom.preflight import check
from disroom.service import DisroomService, NamedPart, Periodic, Steps
from disroom.transports.client import Reception
from disroom.transports.connections import Connections
from disroom.transports.firstbyte import FirstByteFactory
from disroom.transports.frame import FrameProtocol, frame_format
from disroom.transports.line import LineFactory
from disroom.transports.listeners import Listener, ListenError, Listeners, parse_endpoint
from disroom.transports.outbox import Flusher
from disroom.wire.line import LineFormat

__all__ = ["Options", "makeService"]

HUB_SECONDS = 0.5
RETENTION_SECONDS = 5.0
RIVALS_SECONDS = 0.5
GARBAGE_THRESHOLD = 20_000


def makeService(options: Options) -> IService:
    """Put an instance together; nothing is connected or spawned before it is started.

    When twistd becomes a daemon it forks between this and the start of the service.
    """
    config = options.config
    try:
        check(config)
        return _instance(config, options.parent or {})
    except (ConfigError, BrokerError, ListenError) as error:
        sys.exit(f"disroom: {error}")


def _instance(config: Config, twistd: Mapping[str, Any]) -> IService:
    runtime = TwistedRuntime(reactor)
    name = config.server.instance_name or default_instance_name()
    brokers = _embedded_brokers(config) if config.embedded else None
    find_redis = _redis_of(brokers) if brokers else _redis_as_configured(config)

    nats = NatsConnection(
        settings.nats_settings(config),
        clock=reactor,
        instance_name=name,
        addresses=_nats_urls_of(brokers) if brokers else None,
    )
    log = JetStreamRoomLog(
        nats, settings.stream_settings(config), clock=reactor, apply=config.apply_stream
    )
    courier = NatsCourier(nats, clock=reactor, prefix=config.stream.subjects)
    presence = RedisPresence(
        reactor=reactor,
        settings=settings.redis_settings(config),
        address=find_redis,
        instance_name=name,
        fresh_id=runtime.fresh_id,
        alone=lambda: brokers is not None and brokers.alone,
        reincarnated=courier.set_incarnation,
    )
    rivals = Rivals(nats, presence, clock=reactor, prefix=config.stream.subjects)
    hub = Hub(
        log=log,
        presence=presence,
        courier=courier,
        runtime=runtime,
        limits=settings.chat_limits(config),
        log_seconds=float(config.stream.max_age) or math.inf,
        log_most=config.stream.max_messages_per_room,
    )

    def receive_private() -> None:
        courier.set_incarnation(presence.incarnation)

    parts = [
        NamedPart("message log", log, (StoreStartError,)),
        NamedPart("presence", presence, (PresenceStartError,)),
        NamedPart("private messages", Steps(receive_private, courier.stop)),
        NamedPart("answers about nicks", Steps(rivals.serve, rivals.stop)),
        NamedPart("nicks", Periodic(reactor, "Asking about nicks", RIVALS_SECONDS, rivals.look)),
        NamedPart("hub", Periodic(reactor, "The hub's round", HUB_SECONDS, hub.tick)),
        NamedPart("listeners", _listeners(config, hub, name), (ListenError,)),
        NamedPart("end of the sessions", Steps(lambda: None, hub.stop)),
    ]
    if brokers:
        parts.insert(0, NamedPart("embedded brokers", brokers, (BrokerError,), seconds=3.0))
    if config.stream.retention == "interest":
        retention = InterestRetention(
            log=log, presence=presence, grace=float(config.stream.interest_grace)
        )
        purging = Periodic(reactor, "Purging empty rooms", RETENTION_SECONDS, retention.run)
        parts.append(NamedPart("retention", purging))
    if config.server.admin:
        parts.append(_admin(config, lambda: {"nats": nats.connected, "redis": presence.connected}))
    return DisroomService(
        parts,
        reactor=reactor,
        ready=_ready,
        foreground=bool(twistd.get("nodaemon")),
        adopted=lambda parent: _choose_log(parent, config, twistd),
    )


def _ready(ready: bool) -> None:
    """Tell systemd; and collect garbage rarely from now on.

    Next to nothing here is in a cycle: messages and events die by their reference counts, and by
    default the collector takes a tenth of the time of a busy instance.
    """
    systemd.notify("READY=1" if ready else "STOPPING=1")
    if ready:
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)


def _embedded_brokers(config: Config) -> EmbeddedBrokers:
    return EmbeddedBrokers(
        cast(IBrokerReactor, reactor),
        config.state_dir,
        nats_server=find_nats_server(config.nats.server or None),
        redis_server=find_redis_server(config.redis.server or None),
    )


def _nats_urls_of(brokers: EmbeddedBrokers) -> Callable[[], list[str]]:
    def urls() -> list[str]:
        addresses = brokers.addresses()
        return [addresses.nats_url.replace("://", f"://{addresses.nats_token}@")]

    return urls


def _redis_of(brokers: EmbeddedBrokers) -> Callable[[], RedisPlace]:
    return lambda: RedisAddress(path=str(brokers.addresses().redis_socket))


def _redis_as_configured(config: Config) -> Callable[[], RedisPlace]:
    settings.redis_address(config)  # what is wrong with it is said now
    return lambda: settings.redis_address(config)  # a password's file may change meanwhile


def _listeners(config: Config, hub: Hub, name: str) -> Listeners:
    connections = Connections(
        settings.most_connections(config), config.limits.connections_per_address
    )
    reception = Reception(reactor, hub, connections, Flusher(reactor, soon), name)
    lines = LineFormat(ZoneInfo(config.server.timezone))
    frames = frame_format()
    listeners = []
    for text, telnet in settings.endpoints(config):
        line_settings = settings.line_settings(config, text, telnet=telnet)
        factory: IProtocolFactory = LineFactory(reception, format=lines, settings=line_settings)
        if not telnet:  # which sends a 0x00 of its own, in IAC DO BINARY
            factory = FirstByteFactory(factory, lambda client: FrameProtocol(client, frames))
        listeners.append(Listener(text, parse_endpoint(reactor, text), factory))
    if config.server.web:
        listeners.append(_web(config, reception))
    return Listeners(reactor, listeners, connections)


def _web(config: Config, reception: Reception) -> Listener:
    from disroom.transports.web import web_site  # twisted.web costs 0.1 s of the start

    text = settings.web_endpoint(config)
    site = web_site(
        reception,
        settings.web_settings(config, text),
        origins=settings.web_origins(config),
        proxies=settings.web_proxies(config),
    )
    return Listener(text, parse_endpoint(reactor, text), site)


def _admin(config: Config, health: Callable[[], Mapping[str, bool]]) -> NamedPart:
    from disroom.transports.admin import Admin  # twisted.web costs 0.1 s of the start

    admin = Admin(reactor, settings.admin_endpoint(config.server.admin), health)
    return NamedPart("admin", admin, (ListenError,))


def _choose_log(application: Any, config: Config, twistd: Mapping[str, Any]) -> None:
    try:
        observer = log_observer(config.server.log_format, twistd, reactor)
    except ConfigError as error:
        sys.exit(f"disroom: {error}")
    if observer is not None:
        application.setComponent(ILogObserver, observer)
