"""The configuration: defaults, overridden by a TOML file, the environment and the command line.

``conf/disroom.toml`` documents every key. Each key ``[section] key`` is also the environment
variable ``DISROOM_SECTION_KEY`` (``DISROOM_KEY`` for those of ``[server]``; lists are separated by
commas), so that secrets need not be in a file that others read nor on a command line, which ``ps``
shows.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from disroom.units import Duration, Size, decode_unit

_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got .*| (<=|>=) (\S+))?$")
_KINDS = {"int": "a whole number", "str": "a text", "bool": "true or false", "array": "a list"}
_BOUNDS = {"<=": "up to", ">=": "from"}

DEFAULT_PORT = 8080

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,32}\Z",
        description="a name of 1 to 32 letters A to Z and a to z, digits, _ and -",
    ),
]


class ConfigError(ValueError):
    """The configuration cannot be used; the message is one line and says what to change."""


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Server(_Section, frozen=True):
    """How clients reach this instance, what it is called, and how many processes it is."""

    port: Port | None = None
    interface: str = ""
    telnet: Port | None = None
    listen: tuple[str, ...] = ()
    web: str = ""
    web_origins: tuple[str, ...] = ()
    web_proxies: tuple[str, ...] = ()
    admin: str = ""
    instance_name: str = ""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    state_dir: str = ""
    motd: str = ""
    timezone: str = "UTC"
    log_format: Literal["text", "json"] = "text"


class Nats(_Section, frozen=True):
    """Where JetStream is; an empty ``url`` starts an embedded one."""

    url: tuple[str, ...] = ()
    user: str = ""
    password: str = ""
    password_file: str = ""
    token: str = ""
    token_file: str = ""
    credentials: str = ""
    nkey: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    server: str = ""


class Redis(_Section, frozen=True):
    """Where Redis is; an empty ``url`` starts an embedded one."""

    url: str = ""
    user: str = ""
    password: str = ""
    password_file: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""
    sentinel_password_file: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    server: str = ""
    prefix: str = "disroom"


class Stream(_Section, frozen=True):
    """What the stream keeps, and for how long."""

    name: Name = "DISROOM"
    subjects: Name = "disroom"
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    retention: Literal["limits", "interest"] = "limits"
    max_age: Duration = Duration(7 * 86400)
    max_bytes: Size = Size(10 << 30)
    max_messages_per_room: Count = 10_000
    interest_grace: Duration = Duration(60)


class Presence(_Section, frozen=True):
    """How long names and rooms are kept for an instance that is silent, or a client."""

    lease: Duration = Duration(10)
    settle: Duration = Duration(3)
    grace: Duration = Duration(30)


class Limits(_Section, frozen=True):
    """What clients may cost; ``connections`` 0 is as many as the open-files limit allows."""

    connections: Annotated[int, Meta(ge=0)] = 0
    line_bytes: Annotated[int, Meta(ge=256, le=1 << 20)] = 4096
    text_bytes: Count = 4000
    topic_bytes: Count = 500
    connections_per_address: Annotated[int, Meta(ge=0)] = 32
    unread: Duration = Duration(60)
    unnamed: Duration = Duration(60)
    idle: Duration = Duration(0)
    rooms: Count = 50
    ignored: Count = 1000
    unsent: Count = 64
    backlog: Annotated[int, Meta(ge=0, le=100)] = 10
    history: Count = 100
    history_most: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    listed: Count = 200
    queue_bytes: Size = Size(1 << 20)
    flood: str = "20/100"


class Config(_Section, frozen=True):
    """All of it."""

    server: Server = Server()
    nats: Nats = Nats()
    redis: Redis = Redis()
    stream: Stream = Stream()
    presence: Presence = Presence()
    limits: Limits = Limits()
    apply_stream: bool = False

    @property
    def embedded(self) -> bool:
        """Whether this instance starts brokers of its own."""
        return not self.nats.url and not self.redis.url

    @property
    def port(self) -> int | None:
        """The text port: 8080 unless another one or some other listener is configured."""
        if self.server.port is None and not self.server.listen and self.server.telnet is None:
            return DEFAULT_PORT
        return self.server.port

    @property
    def state_dir(self) -> Path:
        """Where the embedded brokers keep their data."""
        if self.server.state_dir:
            return Path(self.server.state_dir).expanduser()
        return default_state_dir(os.environ)

    @property
    def flood(self) -> tuple[float, int] | None:
        """Commands a second and how many at once, None for no limit."""
        return parse_flood(self.limits.flood)


def default_state_dir(environment: Mapping[str, str]) -> Path:
    """The user's state directory (XDG Base Directory Specification)."""
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "disroom"


def default_instance_name() -> str:
    """A name that no other instance has: one with a predecessor's name would supersede it."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


def parse_flood(text: str) -> tuple[float, int] | None:
    """Read ``RATE/BURST`` or ``off``; raises ValueError where it is neither."""
    if text == "off":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/(\d+)", text)
    if not match or float(match[1]) <= 0 or int(match[2]) < 1:
        raise ValueError("RATE/BURST, such as 20/100 (commands a second, at once), or off")
    return float(match[1]), int(match[2])


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """Put the configuration together: defaults < file < environment < options.

    Args:
        file: TOML; it must exist if it is named.
        environment: ``DISROOM_*`` variables are read, others ignored.
        options: ``{"section.key": value}``, as the command line gives them.

    Raises:
        ConfigError: Something in it cannot be used.
    """
    tree: dict[str, Any] = _read(file) if file else {}
    for variable, text in sorted((environment or {}).items()):
        if variable.startswith("DISROOM_") and variable not in _NOT_KEYS:
            key = _key_of(variable)
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ConfigError(f"{variable} is not UTF-8") from error
            _set(tree, key, text)
    for key, value in (options or {}).items():
        _set(tree, key, value)
    try:
        config = msgspec.convert(tree, Config, strict=False, dec_hook=decode_unit)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {_in_words(error)}") from error
    _check(config)
    return config


_NOT_KEYS = frozenset({"DISROOM_CONFIG"})


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _key_of(variable: str) -> str:
    name = variable.removeprefix("DISROOM_").lower()
    for section, kind in typing.get_type_hints(Config).items():
        for key in getattr(kind, "__struct_fields__", ()):
            if name == f"{section}_{key}" or (section == "server" and name == key):
                return f"{section}.{key}"
    if name == "apply_stream":
        return name
    raise ConfigError(f"{variable} is no setting; see conf/disroom.toml for those there are")


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    table: dict[str, Any] = tree
    kind: type = Config
    for section in sections:
        table = table.setdefault(section, {})
        kind = typing.get_type_hints(kind)[section]
        if not isinstance(table, dict):
            raise ConfigError(f"configuration: [{section}] is not a table")
    if isinstance(value, str) and typing.get_origin(typing.get_type_hints(kind)[last]) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    table[last] = value


def _in_words(error: msgspec.ValidationError) -> str:
    text, _, path = str(error).partition(" - at `")
    key = path.rstrip("`").removeprefix("$.")
    if text.startswith("Invalid enum value") or " matching regex " in text:
        text = f"{_values(key)} was expected"
    if expected := _EXPECTED.match(text):
        kinds = [_KINDS.get(kind, kind) for kind in expected[1].split(" | ") if kind != "null"]
        bound = f" {_BOUNDS[expected[2]]} {expected[3]}" if expected[2] else ""
        text = f"{' or '.join(kinds)}{bound} was expected"
    return f"{key}: {text}" if key else text


def _values(key: str) -> str:
    """What a key that takes few values, or names alone, may be."""
    kind: Any = Config
    for part in key.split("."):
        kind = typing.get_type_hints(kind, include_extras=True)[part]
    if typing.get_origin(kind) is Literal:
        return " or ".join(repr(value) for value in typing.get_args(kind))
    return str(kind.__metadata__[0].description)


def _check(config: Config) -> None:
    """What spans keys, or what a type cannot say."""
    if bool(config.nats.url) != bool(config.redis.url):
        given, missing = ("--nats", "--redis") if config.nats.url else ("--redis", "--nats")
        raise ConfigError(f"{given} without {missing}: give both, or neither for embedded brokers")
    try:
        parse_flood(config.limits.flood)
    except ValueError as error:
        raise ConfigError(f"limits.flood: {error}") from error
    if config.limits.text_bytes > config.limits.line_bytes:
        raise ConfigError("limits.text_bytes: cannot be greater than limits.line_bytes")
