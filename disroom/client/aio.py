"""The client for asyncio.

async with connect("localhost:8080", nick="parrot", rooms=["tea"]) as chat:
    async for event in chat:
        if isinstance(event, Said) and event.nick != chat.nick:
            await chat.send(event.room, event.text)
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from disroom.client.addresses import Address, Attempts
from disroom.client.calls import Call, ChatFailed, Outcome
from disroom.client.core import Core
from disroom.client.events import Event
from disroom.client.reasons import plain_reason
from disroom.client.shell import Shell

CONNECT_SECONDS = 5.0
TICK_SECONDS = 1.0
EXIT_SECONDS = 5.0

PATIENCE_SECONDS = 15.0
"""How long the first connection is tried for, unless the program says otherwise."""

OTHER_FAMILY_SECONDS = 0.25
"""After so long the next address of a host is tried beside the first (RFC 8305)."""

MOST_EVENTS = 10_000
"""Events that wait to be taken. Above it nothing is read while no answer is waited for, and the
server holds what comes, as long as it does that for anybody who does not read. Above twice
as many the connection is closed, and resumed once they have been taken, for the server has them
all. What waits for an answer then fails with ``too-much``: it may wait for the one who takes."""


class Chat(Shell):
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
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(Core(nick, rooms))
        self._attempts = Attempts(addresses)
        self._tls = tls
        self._patience = patience
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._running: asyncio.Task[None] | None = None
        self._overfull = False
        self._listening = True
        self._leaving = False

    async def __aenter__(self) -> Chat:
        self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(None if math.isinf(self._patience) else self._patience):
                await self._until(lambda: self._core.connected or bool(self._core.closed))
            if self._core.closed:
                raise self._core.closed.again()
        except TimeoutError:
            await self._stop()
            why = f"no server answers: {self._attempts.account()}"
            raise ChatFailed("unreachable", why) from None
        except BaseException:  # cancelled, it may be: nothing goes on behind the program's back
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave: what was sent is stored first, where that can be had within 5 seconds."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                await self._until(lambda: not self._core.waiting)
                self._leaving = True
                self._taken.set()
                if self._core.connected and self._running:
                    self._core.exit()
                    self._flush()
                    await asyncio.wait([self._running])
        except TimeoutError:
            pass
        finally:
            await self._stop()

    def __aiter__(self) -> Chat:
        return self

    async def __anext__(self) -> Event:
        await self._until(lambda: bool(self._events or self._core.closed))
        if not self._events:
            assert self._core.closed is not None
            if self._leaving:
                raise StopAsyncIteration
            raise self._core.closed.again()
        event = self._events.popleft()
        self._overfull = self._overfull and len(self._events) > MOST_EVENTS
        self._taken.set()
        return event

    def _ask(self, call: Call) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if future.done():
                return
            if isinstance(outcome, ChatFailed):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        call.done = done
        if self._overfull:
            done(_too_much())
        else:
            self._core.ask(call)
            self._flush()
            self._taken.set()  # what is read on for, though nothing was taken
        return future

    # The connection.

    async def _run(self) -> None:
        try:
            while not self._core.closed and not self._leaving:
                pause, address = self._attempts.next()
                await asyncio.sleep(pause)
                await self._wait_for_taking()
                why = await self._converse(address)
                self._core.connection_lost(why)
                self._attempts.failed(self._core.last_failure)
                self._pass_on()
        except Exception as error:  # a mistake of this client's; who waits is told
            mistake = ChatFailed("internal", f"this client made a mistake: {error!r}")
            mistake.__cause__ = error
            self._core.close(mistake)
            self._pass_on()

    async def _wait_for_taking(self) -> None:
        while len(self._events) > MOST_EVENTS and not self._leaving:
            self._overfull = True
            self._core.give_up(_too_much())
            self._taken.clear()
            await self._taken.wait()

    async def _converse(self, address: Address) -> str:
        """Keep one connection for as long as it lasts; return why it ended."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    address.host,
                    address.port,
                    ssl=(self._tls or ssl.create_default_context()) if address.tls else None,
                    happy_eyeballs_delay=OTHER_FAMILY_SECONDS,
                )
        except TimeoutError:
            return f"no connection within {CONNECT_SECONDS:g} s"
        except (OSError, UnicodeError) as error:  # of a host name, it may be
            return plain_reason(error)
        self._writer, self._listening = writer, True
        ticking = asyncio.create_task(self._tick(writer))
        try:
            self._core.connection_made()
            self._flush()
            return await self._read(reader) or "the server closed the connection"
        except OSError as error:
            return plain_reason(error)
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
                self._attempts.welcomed()
            if self._core.closed or self._core.hangs_up:
                return "the server asked to connect again"
            while len(self._events) > MOST_EVENTS and not self._core.waiting and not self._leaving:
                self._taken.clear()
                self._listening = False
                await self._taken.wait()
            self._listening = True
            if len(self._events) > 2 * MOST_EVENTS:
                return "too many events wait to be taken"
        return ""

    async def _tick(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while self._core.tick(loop.time(), listening=self._listening):
            self._flush()
            if self._core.steady:
                self._attempts.succeeded()
            await asyncio.sleep(TICK_SECONDS)
        writer.transport.abort()

    async def _stop(self) -> None:
        self._leaving = True
        if self._running:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._core.close()
        self._changed.set()

    # In between.

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

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
    patience: float = PATIENCE_SECONDS,
) -> Chat:
    """Prepare to chat; ``async with`` connects.

    Args:
        addresses: Of the servers, ``HOST:PORT`` or ``tls://HOST:PORT``; whichever answers serves,
            and another when it dies.
        nick: What the user is called.
        rooms: Those to be in from the beginning.
        tls: How to verify ``tls://`` servers; by default with the system's authorities.
        patience: Seconds until ``async with`` gives the first connection up; `math.inf` for never.
            A connection that was lost later is tried for again without end.

    Raises:
        ValueError: An address is none.
        ChatFailed: From ``async with``: no server answers (``unreachable``), or it refused: the
            nick is taken, say.
    """
    return Chat(addresses, nick=nick, rooms=rooms, tls=tls, patience=patience)


def _too_much() -> ChatFailed:
    return ChatFailed("too-much", f"more than {2 * MOST_EVENTS} events wait to be taken")
