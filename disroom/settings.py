"""The configuration as each part of the instance takes it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from disroom.adapters.jetstream.stream import StreamSettings
from disroom.adapters.nats.settings import NatsSettings
from disroom.adapters.redis.address import (
    RedisAddress,
    RedisPlace,
    RedisSentinels,
    is_sentinel_url,
)
from disroom.adapters.redis.settings import RedisSettings
from disroom.chat.limits import Limits
from disroom.chat.text import clean
from disroom.config import Config, ConfigError, Nats, Redis
from disroom.endpoints import is_proxied
from disroom.transports.line import LineSettings
from disroom.transports.reception import ClientSettings
from disroom.transports.webvisitor import Origins, Proxies

SPARE_DESCRIPTORS = 64
"""Kept for brokers, files and listening ports; at the limit itself Twisted closes mutely."""

FEWEST_CONNECTIONS = 2
"""With fewer nobody is left to talk to: everybody would be told that the server is full."""

LONGEST_FILE = 65_536
"""Bytes of a message of the day, or of a secret; every visitor is sent the former."""


def nats_settings(config: Config) -> NatsSettings:
    """Where NATS is.

    Raises:
        ConfigError: What is to be shown does not go together, or a secret's file cannot be read.
    """
    nats = config.nats
    _check_kinds(nats)
    _check_key("nats", nats)
    return NatsSettings(
        urls=tuple(url if "://" in url else f"nats://{url}" for url in nats.url),
        user=nats.user or None,
        password=_secret(nats.password, nats.password_file),
        token=_secret(nats.token, nats.token_file),
        creds_file=_path(nats.credentials),
        nkey_file=_path(nats.nkey),
        ca_file=_path(nats.ca),
        cert_file=_path(nats.cert),
        key_file=_path(nats.key),
    )


def _check_kinds(nats: Nats) -> None:
    """NATS takes one kind of them; of several it would be chance which is shown."""
    password = bool(nats.password or nats.password_file)
    if bool(nats.user) != password:
        given, missing = ("password", "user") if password else ("user", "password")
        raise ConfigError(f"nats.{given} without nats.{missing}: give both")
    kinds = {
        "user": nats.user,
        "token": nats.token or nats.token_file,
        "credentials": nats.credentials,
        "nkey": nats.nkey,
    }
    given_kinds = [kind for kind, value in kinds.items() if value]
    if len(given_kinds) > 1:
        raise ConfigError(f"nats.{' and nats.'.join(given_kinds)}: give one of them")


def _check_key(section: str, tls: Nats | Redis) -> None:
    if tls.key and not tls.cert:
        raise ConfigError(f"{section}.key without {section}.cert: it is the certificate's key")


def stream_settings(config: Config) -> StreamSettings:
    """What the stream should be."""
    stream = config.stream
    return StreamSettings(
        name=stream.name,
        prefix=stream.subjects,
        replicas=stream.replicas,
        retention=stream.retention,
        max_age=float(stream.max_age),
        max_bytes=int(stream.max_bytes),
        max_messages_per_room=stream.max_messages_per_room,
    )


def redis_settings(config: Config) -> RedisSettings:
    """How presence is kept."""
    return RedisSettings(
        prefix=config.redis.prefix,
        lease=float(config.presence.lease),
        settle=float(config.presence.settle),
        grace=float(config.presence.grace),
        keeps_empty=config.stream.retention == "interest",
    )


def redis_address(config: Config) -> RedisPlace:
    """Where Redis is; raises ConfigError where the URL is none or a secret cannot be read."""
    redis = config.redis
    by_sentinel = is_sentinel_url(redis.url)
    if (redis.ca or redis.cert or redis.key) and by_sentinel:
        raise ConfigError(
            "redis.ca, cert and key are for TLS, which is not supported with Sentinel"
        )
    if redis.ca and not redis.url.startswith("rediss:"):
        raise ConfigError("redis.ca is for TLS, which --redis asks for by rediss:// alone")
    _check_key("redis", redis)
    username, password = redis.user or None, _secret(redis.password, redis.password_file)
    try:
        if by_sentinel:
            return RedisSentinels.parse(
                redis.url,
                username=username,
                password=password,
                sentinel_username=redis.sentinel_user or None,
                sentinel_password=_secret(redis.sentinel_password, redis.sentinel_password_file),
            )
        return RedisAddress.parse(
            redis.url,
            username=username,
            password=password,
            ca_file=_path(redis.ca),
            cert_file=_path(redis.cert),
            key_file=_path(redis.key),
        )
    except ValueError as error:
        raise ConfigError(f"--redis: {error}") from error


def chat_limits(config: Config) -> Limits:
    """What one user may ask for."""
    limits = config.limits
    return Limits(
        rooms=limits.rooms,
        ignored=limits.ignored,
        text_bytes=limits.text_bytes,
        topic_bytes=limits.topic_bytes,
        unsent=limits.unsent,
        backlog=min(limits.backlog, config.stream.max_messages_per_room),
        history=limits.history,
        history_most=limits.history_most,
        listed=limits.listed,
        grace=float(config.presence.grace),
    )


def line_settings(config: Config, endpoint: str, *, telnet: bool) -> LineSettings:
    """What a listener of the text protocol asks of its connections."""
    return LineSettings(
        line_bytes=config.limits.line_bytes, telnet=telnet, **_client_settings(config, endpoint)
    )


def web_settings(config: Config, endpoint: str) -> ClientSettings:
    """What the web listener asks of its clients."""
    return ClientSettings(**_client_settings(config, endpoint))


def web_origins(config: Config) -> Origins:
    """The pages that may open a WebSocket; raises ConfigError where one is none."""
    try:
        return Origins(config.server.web_origins)
    except ValueError as error:
        raise ConfigError(f"server.web_origins: {error}") from error


def web_proxies(config: Config) -> Proxies:
    """The proxies that are believed; raises ConfigError where one is none."""
    try:
        return Proxies(config.server.web_proxies)
    except ValueError as error:
        raise ConfigError(f"server.web_proxies: {error}") from error


def _client_settings(config: Config, endpoint: str) -> dict[str, Any]:
    return {
        "queue_bytes": int(config.limits.queue_bytes),
        "flood": config.flood,
        "motd": _motd(config.server.motd),
        "proxied": is_proxied(endpoint),
        "unread": float(config.limits.unread),
        "unnamed": float(config.limits.unnamed),
        "idle": float(config.limits.idle),
    }


def most_connections(config: Config) -> int:
    """How many connections there may be.

    Raises:
        ConfigError: The limit on open files leaves none for anybody to talk to another by.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = descriptors - SPARE_DESCRIPTORS
    if possible < FEWEST_CONNECTIONS:
        raise ConfigError(
            f"the limit on open files is {descriptors}, of which {SPARE_DESCRIPTORS} are kept for "
            "other than connections: raise it (ulimit -n 1024 in a shell, LimitNOFILE in a unit)"
        )
    return min(config.limits.connections or possible, possible)


def _motd(file: str) -> tuple[str, ...]:
    if not file:
        return ()
    return tuple(clean(line) for line in _read(file).splitlines())


def _secret(value: str, file: str) -> str | None:
    if not file:
        return value or None
    secret = _read(file).removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigError(f"{file} is empty: a secret was expected in it")
    return secret


def _read(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise ConfigError(f"cannot read {file}: it has more than {LONGEST_FILE:,} bytes")
        return content.decode()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {file}: it is not UTF-8") from error


def _path(text: str) -> Path | None:
    return Path(text) if text else None
