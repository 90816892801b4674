"""The library's shells under one face, so that one suite holds both to the same promises."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from disroom import client
from disroom.adapters.aio import deferred
from disroom.client.tx import ChatService
from tests.eventually import eventually
from tests.processes.certificates import Certificates


class Shell(Protocol):
    """One user of the library.

    Attributes:
        chat: Its verbs, awaited with `done`.
        events: All that were given, in order.
        ended: Why it has ended, if it has by itself.
    """

    chat: Any
    events: list[client.Event]
    ended: client.ChatFailed | None

    async def start(self) -> None:
        """Return when it is connected; raise ChatFailed where the server refuses."""

    async def stop(self) -> None:
        """Leave."""

    def done(self, answer: Awaitable[Any]) -> Deferred[Any]:
        """An answer, to be awaited in a test."""


class AioShell:
    """An asyncio program."""

    def __init__(
        self,
        servers: Sequence[str],
        nick: str,
        *rooms: str,
        certificates: Certificates | None = None,
    ) -> None:
        context = (
            ssl.create_default_context(cafile=certificates.authority) if certificates else None
        )
        self.chat: Any = client.connect(*servers, nick=nick, rooms=rooms, tls=context, patience=30)
        self.events: list[client.Event] = []
        self.ended: client.ChatFailed | None = None
        self._hearing: Deferred[None] | None = None

    async def start(self) -> None:
        """See `Shell`."""
        await deferred(self.chat.__aenter__())
        self._hearing = deferred(self._hear())
        await eventually(lambda: self.events)

    async def _hear(self) -> None:
        try:
            async for event in self.chat:
                self.events.append(event)
        except client.ChatFailed as failed:
            self.ended = failed

    async def stop(self) -> None:
        """See `Shell`."""
        await deferred(self.chat.close())
        if self._hearing:
            await self._hearing

    def done(self, answer: Awaitable[Any]) -> Deferred[Any]:
        """See `Shell`."""
        assert isinstance(answer, asyncio.Future)
        return Deferred.fromFuture(answer)


class TwistedShell:
    """A Twisted service."""

    def __init__(
        self,
        servers: Sequence[str],
        nick: str,
        *rooms: str,
        certificates: Certificates | None = None,
    ) -> None:
        trust = None
        if certificates:
            authority = Certificate.loadPEM(certificates.authority.read_bytes())
            trust = trustRootFromCertificates([authority])
        self.events: list[client.Event] = []
        self.ended: client.ChatFailed | None = None
        self.chat: Any = ChatService(
            reactor,
            servers,
            nick=nick,
            rooms=rooms,
            heard=self.events.append,
            closed=self._closed,
            trust=trust,
        )

    def _closed(self, why: client.ChatFailed) -> None:
        self.ended = why

    async def start(self) -> None:
        """See `Shell`."""
        self.chat.startService()
        await eventually(
            lambda: self.chat.connected or self.ended or not self.chat.running, timeout=30
        )
        if not self.chat.connected:
            raise self.ended or client.ChatFailed("closed", "the service was stopped")

    async def stop(self) -> None:
        """See `Shell`."""
        await (self.chat.stopService() or Deferred.fromCoroutine(_nothing()))

    def done(self, answer: Awaitable[Any]) -> Deferred[Any]:
        """See `Shell`."""
        assert isinstance(answer, Deferred)
        return answer


async def _nothing() -> None:
    """Nothing to wait for."""


NewShell = Callable[..., Shell]

SHELLS: dict[str, NewShell] = {"asyncio": AioShell, "twisted": TwistedShell}
