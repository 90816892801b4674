"""The client for asyncio.

async with connect("localhost:8080", nick="parrot", rooms=["tea"]) as chat:
    async for event in chat:
        if isinstance(event, Said) and event.nick != chat.nick:
            await chat.send(event.room, event.text)
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from types import TracebackType
from typing import Any

from disroom.client.addresses import Address, Attempts
from disroom.client.calls import Call, ChatFailed, Outcome, Verbs
from disroom.client.core import Core, Event
from disroom.wire import messages

CONNECT_SECONDS = 5.0
TICK_SECONDS = 1.0
EXIT_SECONDS = 5.0

MOST_EVENTS = 10_000
"""Events that wait to be taken. Above it nothing is read while no answer is waited for; above twice
as many the connection is closed, and resumed once they have been taken: the server has them all."""


class Chat(Verbs):
    """One user of a chat; made by `connect`.

    Iterated over, it gives the events, in order, until it is closed; then it raises the
    `ChatFailed` that closed it, or ends if that was the user.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        *,
        nick: str,
        rooms: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        prefix, numbers = secrets.token_urlsafe(6), count(1)
        super().__init__(self._ask_core, lambda: f"{prefix}-{next(numbers)}")
        self._core = Core(nick, rooms)
        self._attempts = Attempts(addresses)
        self._tls = tls
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._running: asyncio.Task[None] | None = None
        self._leaving = False

    @property
    def nick(self) -> str:
        """What the user is called."""
        return self._core.nick

    @property
    def connected(self) -> bool:
        """Whether there is a connection, and the session is on it."""
        return self._core.connected

    @property
    def rooms(self) -> Mapping[Any, Any]:
        """The rooms that the user is in, each a `disroom.client.rooms.Room`."""
        return self._core.rooms

    async def __aenter__(self) -> Chat:
        self._running = asyncio.create_task(self._run())
        while not self._core.connected and not self._core.closed:
            self._changed.clear()
            await self._changed.wait()
        if self._core.closed:
            await self._running
            raise self._core.closed
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave: what was sent is stored first, where that can be had within a few seconds."""
        running, self._leaving = self._running, True
        if running is None:
            return
        if self._core.connected:
            self._core.exit()
            self._flush()
            await asyncio.wait([running], timeout=EXIT_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self._core.close()
        self._changed.set()

    def __aiter__(self) -> Chat:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._core.closed:
                if self._leaving:
                    raise StopAsyncIteration
                raise self._core.closed
            self._changed.clear()
            await self._changed.wait()
        self._taken.set()
        return self._events.popleft()

    def _ask_core(
        self, op: str, fields: Mapping[str, Any], answer: type[messages.Ok], again: bool
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if future.done():
                return
            if isinstance(outcome, ChatFailed):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self._core.ask(Call(op, fields, answer, done, again))
        self._flush()
        return future

    async def _run(self) -> None:
        while not self._core.closed and not self._leaving:
            pause, address = self._attempts.next()
            await asyncio.sleep(pause)
            while len(self._events) > MOST_EVENTS:
                self._taken.clear()
                await self._taken.wait()
            why = await self._converse(address)
            self._core.connection_lost(why)
            self._pass_on()

    async def _converse(self, address: Address) -> str:
        """Keep one connection for as long as it lasts; return why it ended."""
        context = (self._tls or ssl.create_default_context()) if address.tls else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=context
                )
        except (OSError, TimeoutError) as error:
            return f"{address}: {error or 'no connection within a few seconds'}"
        self._writer = writer
        ticking = asyncio.create_task(self._tick(writer))
        try:
            self._core.connection_made()
            self._flush()
            return await self._read(reader) or f"{address} closed the connection"
        except OSError as error:
            return f"{address}: {error}"
        finally:
            self._writer = None
            ticking.cancel()
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> str:
        while data := await reader.read(1 << 16):
            self._core.received(data)
            self._flush()
            self._pass_on()
            if self._core.connected:
                self._attempts.succeeded()
            if self._core.closed or self._core.hangs_up:
                return "the server asked for it"
            while len(self._events) > MOST_EVENTS and not self._core.waiting:
                self._taken.clear()
                await self._taken.wait()
            if len(self._events) > 2 * MOST_EVENTS:
                return "too many events wait to be taken"
        return ""

    async def _tick(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while self._core.tick(loop.time()):
            self._flush()
            await asyncio.sleep(TICK_SECONDS)
        writer.transport.abort()

    def _flush(self) -> None:
        data = self._core.take_outgoing() if self._writer else b""
        if data and self._writer:
            self._writer.write(data)

    def _pass_on(self) -> None:
        self._events.extend(self._core.take_events())
        self._changed.set()


def connect(
    *addresses: str,
    nick: str,
    rooms: Iterable[str] = (),
    tls: ssl.SSLContext | None = None,
) -> Chat:
    """Prepare to chat; ``async with`` connects.

    Args:
        addresses: Of the servers, ``HOST:PORT`` or ``tls://HOST:PORT``; whichever answers serves,
            and another when it dies.
        nick: What the user is called.
        rooms: Those to be in from the beginning.
        tls: How to verify ``tls://`` servers; by default with the system's authorities.

    Raises:
        ValueError: An address is none.
        ChatFailed: From ``async with``: the server refused, the nick is taken, say.
    """
    return Chat(addresses, nick=nick, rooms=rooms, tls=tls)
