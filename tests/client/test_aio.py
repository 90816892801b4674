"""What the asyncio shell adds to the core: events that wait, and waits that end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from disroom import client
from disroom.adapters.aio import deferred
from disroom.client.reasons import plain_reason
from disroom.wire import frame
from tests.client.server import GREETING, Map, entered, in_room, message
from tests.contract.witness import promise

FLOOD = 100
MOST_EVENTS = 20
"""That wait in these tests."""


class FloodingServer:
    """Answers everything but the first ``send``, upon which it says a hundred things instead.

    ``motd`` it answers after so many things that a client reads no further.

    Attributes:
        connections: How many there have been.
        lost: Set once a connection has ended.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.lost = asyncio.Event()
        self.port = 0
        self._flooded = False

    async def start(self) -> asyncio.Server:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(GREETING)
        decoder = frame.FrameDecoder()
        while data := await reader.read(1 << 16):
            for body in decoder.feed(data):
                for told in self._answers(msgspec.msgpack.decode(body)):
                    writer.write(frame.encode(msgspec.msgpack.encode(told)))
        self.lost.set()
        writer.close()

    def _answers(self, asked: Map) -> list[Map]:
        ok: Map = {"type": "ok", "id": asked["id"]}
        if asked["op"] == "hello":
            rooms = [in_room()] if "token" in asked else []
            given = {"version": 1, "session": "s1", "token": "t", "grace": 30.0, "log": "L1"}
            seen = asked.get("seqs", {}).get("tea", FLOOD)
            missed = [{"type": "said", **message(n + 1)} for n in range(seen, FLOOD)]
            return [{**ok, **given, "instance": "srv", "rooms": rooms}, *missed]
        if asked["op"] == "join":
            return [{**ok, **entered()}]
        if asked["op"] == "send" and not self._flooded:
            self._flooded = True
            return [{"type": "said", **message(n + 1)} for n in range(FLOOD)]
        if asked["op"] == "motd":
            said = [{"type": "said", **message(n + 1)} for n in range(MOST_EVENTS + 1)]
            return [*said, {**ok, "lines": []}]
        if asked["op"] == "send":
            return [{**ok, "room": "tea", "seq": 1000}]
        return [ok, {"type": "goodbye"}] if asked["op"] == "exit" else [ok]


def with_server(test: Callable[[FloodingServer], Any]) -> Deferred[None]:
    """Run a test's coroutine beside a server, as a task."""

    async def run() -> None:
        flooding = FloodingServer()
        async with await flooding.start(), asyncio.timeout(20):
            await test(flooding)

    return deferred(run())


@promise
async def test_an_answer_is_not_waited_for_behind_events_that_nobody_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sends while it takes an event is told, gets all events, and can send again."""
    monkeypatch.setattr("disroom.client.aio.MOST_EVENTS", MOST_EVENTS)

    async def talk(server: FloodingServer) -> None:
        address = f"127.0.0.1:{server.port}"
        async with client.connect(address, nick="ann", rooms=["tea"]) as chat:
            for _ in range(2):
                with pytest.raises(client.ChatFailed) as failed:
                    await chat.send("tea", "hi")
                assert failed.value.code == "too-much"
            seqs: list[int] = []
            while len(seqs) < FLOOD:
                event = await anext(chat)
                if isinstance(event, client.Said):
                    seqs.append(event.seq)
            assert seqs == list(range(1, FLOOD + 1))
            assert (await chat.send("tea", "again")).seq == 1000
            assert server.connections == 2

    await with_server(talk)


@promise
async def test_an_answer_is_read_though_the_reading_had_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has taken no events for a while, and then asks something, is answered."""
    monkeypatch.setattr("disroom.client.aio.MOST_EVENTS", MOST_EVENTS)

    async def talk(server: FloodingServer) -> None:
        address = f"127.0.0.1:{server.port}"
        async with client.connect(address, nick="ann", rooms=["tea"]) as chat:
            await chat.motd()
            async with asyncio.timeout(5):
                await chat.ping()
            assert server.connections == 1

    await with_server(talk)


@promise
async def test_who_takes_nothing_for_long_keeps_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the client does not read it does not take the server for dead."""
    monkeypatch.setattr("disroom.client.aio.MOST_EVENTS", MOST_EVENTS)
    monkeypatch.setattr("disroom.client.aio.TICK_SECONDS", 0.02)
    monkeypatch.setattr("disroom.client.pulse.PING_SECONDS", 0.2)
    monkeypatch.setattr("disroom.client.pulse.DEAD_SECONDS", 0.3)

    async def talk(server: FloodingServer) -> None:
        async with client.connect(f"127.0.0.1:{server.port}", nick="ann", rooms=["tea"]) as chat:
            await chat.motd()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await server.lost.wait()
            events = [await anext(chat) for _ in range(MOST_EVENTS + 2)]
            assert not any(isinstance(event, client.Disconnected) for event in events)
            await chat.ping()
            assert server.connections == 1

    await with_server(talk)


@promise
async def test_to_stop_waiting_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody waits for any more harms nothing, nor one that never comes."""
    monkeypatch.setattr("disroom.client.aio.EXIT_SECONDS", 0.2)

    async def talk(server: FloodingServer) -> None:
        async with client.connect(f"127.0.0.1:{server.port}", nick="ann", rooms=["tea"]) as chat:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await chat.send("tea", "hi")
            assert (await chat.send("tea", "again")).seq == 1000

    await with_server(talk)


@promise
async def test_a_chat_that_was_closed_ends_its_events() -> None:
    """Another task may close it; who iterates gets what there was, and the end."""

    async def talk(server: FloodingServer) -> None:
        async with client.connect(f"127.0.0.1:{server.port}", nick="ann") as chat:
            taking = asyncio.create_task(_all(chat))
            await chat.close()
            assert [type(event) for event in await taking] == [client.Connected]
            await chat.close()
            with pytest.raises(client.ChatFailed):
                await chat.motd()

    await with_server(talk)


def not_tls() -> ssl.SSLError:
    """What comes of TLS towards a server that speaks something else."""
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(GREETING)
    wire = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="chat")
    with pytest.raises(ssl.SSLError) as raised:
        wire.do_handshake()
    return raised.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('::1', 8080)"), "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "Connection refused"),
        (OSError("[Errno 111] a, [Errno 113] b"), "Connection refused; No route to host"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "label too long"),
        (not_tls(), "no TLS: wrong version number"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_why_there_is_no_connection_is_said_plainly(error: Exception, reason: str) -> None:
    """Without numbers, and once where several addresses of a host say the same."""
    assert plain_reason(error) == reason


async def _all(chat: client.Chat) -> list[client.Event]:
    return [event async for event in chat]
