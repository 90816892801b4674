"""An instance, put together of its parts; nothing is connected or spawned before their start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.interfaces import IProtocolFactory

from disroom import settings
from disroom.adapters.aio import soon
from disroom.adapters.jetstream.log import JetStreamRoomLog
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.courier import NatsCourier
from disroom.adapters.nats.errors import StoreStartError
from disroom.adapters.nats.settings import NatsSettings
from disroom.adapters.redis.address import RedisAddress, RedisPlace
from disroom.adapters.redis.instance import PresenceStartError, RedisInstance
from disroom.adapters.redis.presence import RedisPresence
from disroom.adapters.rivals import Rivals
from disroom.adapters.runtime import TwistedRuntime
from disroom.brokers import BrokerError, EmbeddedBrokers, find_nats_server, find_redis_server
from disroom.chat.hub import Hub
from disroom.chat.retention import InterestRetention
from disroom.config import Config
from disroom.endpoints import client_endpoints, web_endpoint
from disroom.service import NamedPart, Part, Periodic, Steps
from disroom.transports.connections import Connections
from disroom.transports.firstbyte import FirstByteFactory
from disroom.transports.frame import FrameProtocol, frame_format
from disroom.transports.line import LineFactory
from disroom.transports.listeners import ListenError
from disroom.transports.outbox import Flusher
from disroom.transports.reception import Reception
from disroom.wire.line import LineFormat

HUB_SECONDS = 0.5
RETENTION_SECONDS = 5.0
RIVALS_SECONDS = 0.5

Factories = Sequence[tuple[str, IProtocolFactory]]
Health = Callable[[], Mapping[str, bool]]


def assemble(
    reactor: Any,
    config: Config,
    name: str,
    *,
    connections: Connections,
    listeners: Callable[[Factories], Part],
    alone: bool = False,
) -> tuple[list[NamedPart], Health]:
    """Put an instance together.

    Args:
        reactor: The installed one, on asyncio.
        config: Of the whole service.
        name: That no other instance has.
        connections: Counts those of the clients.
        listeners: Makes what brings them in, of each endpoint string and what serves it.
        alone: No other instance can have users, though one may use the embedded brokers.

    Returns:
        Its parts, and what tells whether its brokers are there.
    """
    runtime = TwistedRuntime(reactor)
    brokers = embedded_brokers(reactor, config) if config.embedded else None
    find_redis = _redis_of(brokers) if brokers else _redis_as_configured(config)
    find_nats = _nats_of(brokers) if brokers else _nats_as_configured(config)

    nats = NatsConnection(find_nats, clock=reactor, instance_name=name)
    log = JetStreamRoomLog(
        nats, settings.stream_settings(config), clock=reactor, apply=config.apply_stream
    )
    courier = NatsCourier(nats, clock=reactor, prefix=config.stream.subjects)
    presence = RedisPresence(
        RedisInstance(
            reactor=reactor,
            settings=settings.redis_settings(config),
            address=find_redis,
            instance_name=name,
            fresh_id=runtime.fresh_id,
            alone=lambda: alone or (brokers is not None and brokers.alone),
            reincarnated=courier.set_incarnation,
        )
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

    incoming = listeners(_factories(reactor, config, hub, connections, name))
    parts = [
        NamedPart("message log", log, (StoreStartError,)),
        NamedPart("presence", presence, (PresenceStartError,)),
        NamedPart("private messages", Steps(receive_private, courier.stop)),
        NamedPart("answers about nicks", Steps(rivals.serve, rivals.stop)),
        NamedPart("nicks", Periodic(reactor, "Asking about nicks", RIVALS_SECONDS, rivals.look)),
        NamedPart("hub", Periodic(reactor, "The hub's round", HUB_SECONDS, hub.tick)),
        NamedPart("listeners", incoming, (ListenError,)),
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
    return parts, lambda: {"nats": nats.connected, "redis": presence.connected}


def embedded_brokers(reactor: Any, config: Config) -> EmbeddedBrokers:
    """Make the brokers of an instance that is given none.

    Raises:
        BrokerError: There is nothing to run.
    """
    return EmbeddedBrokers(
        reactor,
        config.state_dir,
        nats_server=find_nats_server(config.nats.server or None),
        redis_server=find_redis_server(config.redis.server or None),
    )


def _nats_of(brokers: EmbeddedBrokers) -> Callable[[], NatsSettings]:
    def current() -> NatsSettings:
        addresses = brokers.addresses()
        return NatsSettings((addresses.nats_url,), token=addresses.nats_token)

    return current


def _nats_as_configured(config: Config) -> Callable[[], NatsSettings]:
    settings.nats_settings(config)  # what is wrong with it is said now
    return lambda: settings.nats_settings(config)  # a secret's file may change meanwhile


def _redis_of(brokers: EmbeddedBrokers) -> Callable[[], RedisPlace]:
    return lambda: RedisAddress(path=str(brokers.addresses().redis_socket))


def _redis_as_configured(config: Config) -> Callable[[], RedisPlace]:
    settings.redis_address(config)  # what is wrong with it is said now
    return lambda: settings.redis_address(config)  # a password's file may change meanwhile


def _factories(
    reactor: Any, config: Config, hub: Hub, connections: Connections, name: str
) -> Factories:
    reception = Reception(reactor, hub, connections, Flusher(reactor, soon), name)
    lines = LineFormat(ZoneInfo(config.server.timezone))
    frames = frame_format()
    factories = []
    for text, telnet in client_endpoints(config):
        line_settings = settings.line_settings(config, text, telnet=telnet)
        factory: IProtocolFactory = LineFactory(reception, format=lines, settings=line_settings)
        if not telnet:  # which sends a 0x00 of its own, in IAC DO BINARY
            factory = FirstByteFactory(factory, lambda client: FrameProtocol(client, frames))
        factories.append((text, factory))
    if config.server.web:
        factories.append(_web(config, reception))
    return factories


def _web(config: Config, reception: Reception) -> tuple[str, IProtocolFactory]:
    from disroom.transports.web import web_site  # twisted.web costs 0.1 s of the start

    text = web_endpoint(config)
    site: IProtocolFactory = web_site(
        reception,
        settings.web_settings(config, text),
        origins=settings.web_origins(config),
        proxies=settings.web_proxies(config),
        visitors=Connections(
            settings.most_connections(config), config.limits.connections_per_address
        ),
    )
    return text, site
