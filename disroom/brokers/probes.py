"""Asking a broker whether it answers, and who it is."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

PROBE_SECONDS = 1.0
LONGEST_ANSWER = 65536  # bytes

_RUN_ID = re.compile(rb"^run_id:(\w+)\r$", re.MULTILINE)
# Valkey also says the Redis version it is compatible with, first.
_VERSION = re.compile(rb"^(valkey|redis)_version:(\S+)\r$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered.

    Attributes:
        id: Another one after each start.
        version: The product's name where it is not plain, and its version.
    """

    id: str
    version: str


class _Info(msgspec.Struct):
    server_id: str
    version: str
    jetstream: bool = False


async def probe_nats(reactor: IReactorTime, port: int) -> Identity | None:
    """Return who answers on a port of 127.0.0.1, if it is a NATS server with JetStream ready."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=PROBE_SECONDS)
    greeting = await _ask(reactor, endpoint, b"", lambda data: data.endswith(b"\n"))
    if greeting is None or not greeting.startswith(b"INFO "):
        return None
    try:
        info = msgspec.json.decode(greeting.removeprefix(b"INFO "), type=_Info)
    except msgspec.DecodeError:
        return None
    return Identity(info.server_id, info.version) if info.jetstream else None


async def probe_redis(reactor: IReactorTime, socket: Path) -> Identity | None:
    """Return who answers PING with PONG on a unix socket."""
    endpoint = UNIXClientEndpoint(reactor, str(socket), timeout=PROBE_SECONDS)
    # The ECHO's answer marks the end.
    answer = await _ask(
        reactor,
        endpoint,
        b"PING\r\nINFO server\r\nECHO end\r\n",
        lambda data: data.endswith(b"$3\r\nend\r\n") or data.startswith(b"-"),
    )
    if answer is None or not answer.startswith(b"+PONG\r\n"):
        return None
    run_id = _RUN_ID.search(answer)
    versions = {name.decode(): version.decode() for name, version in _VERSION.findall(answer)}
    if run_id is None or not versions:
        return None
    product = "valkey" if "valkey" in versions else "redis"
    return Identity(run_id.group(1).decode(), f"({product}) {versions[product]}")


async def _ask(
    reactor: IReactorTime,
    endpoint: IStreamClientEndpoint,
    question: bytes,
    complete: Callable[[bytes], bool],
) -> bytes | None:
    """Connect, ask, and return the complete answer; None if there was none."""
    factory = Factory.forProtocol(lambda: _Asker(question, complete))
    factory.noisy = False
    try:
        asker = await endpoint.connect(factory)
        assert isinstance(asker, _Asker)
        return await asker.answer.addTimeout(PROBE_SECONDS, reactor)
    except (ConnectError, ConnectionClosed, TimeoutError):
        return None


class _Asker(Protocol):
    def __init__(self, question: bytes, complete: Callable[[bytes], bool]) -> None:
        self._question = question
        self._complete = complete
        self._data = b""
        self.answer: Deferred[bytes] = Deferred(lambda _: self._close())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._question)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if self._complete(self._data) and not self.answer.called:
            self._close()
            self.answer.callback(self._data)
        elif len(self._data) > LONGEST_ANSWER:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.errback(reason)

    def _close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()
