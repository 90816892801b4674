"""The connection to NATS: how it begins, how it ends, and that it comes back."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]  # it has no annotations
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from disroom.adapters.nats.connection import (
    NatsConnection,
    NatsSettings,
    NotConnected,
    StoreStartError,
)
from disroom.adapters.nats.inbox import Inbox, NoAnswer, NobodyListens
from disroom.adapters.nats.message import Incoming
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.certificates import Certificates
from tests.processes.nats import Login, NatsServer
from tests.processes.nats_proxy import NatsProxy
from tests.processes.ports import ReservedPort

NewNats = Callable[..., NatsServer]


@dataclass(slots=True)
class Connections:
    """Makes connections and stops them."""

    made: list[NatsConnection] = field(default_factory=list)

    def make(
        self, *urls: str, addresses: Callable[[], list[str]] | None = None, **settings: Any
    ) -> NatsConnection:
        """Make a connection without starting it."""
        connection = NatsConnection(
            NatsSettings(urls, **settings),
            clock=reactor,
            instance_name="test",
            addresses=addresses,
        )
        self.made.append(connection)
        return connection

    async def start(self, *urls: str, **settings: Any) -> NatsConnection:
        """Start a connection."""
        connection = self.make(*urls, **settings)
        await connection.start()
        return connection

    async def refused(self, *urls: str, **settings: Any) -> str:
        """Why a connection cannot be started; it takes less than 11 s, and no word of a secret."""
        began = time.monotonic()
        with pytest.raises(StoreStartError) as error:
            await self.start(*urls, **settings)
        assert time.monotonic() - began < 11
        text = str(error.value)
        assert "\n" not in text and "secret" not in text
        return text


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def connections() -> AsyncIterator[Connections]:
    """Connections that are stopped after the test."""
    made = Connections()
    yield made
    for connection in made.made:
        await connection.stop()


class Messages:
    """What a subscription brought."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def receive(self, message: Incoming) -> None:
        """Record a message."""
        self.payloads.append(message.data)

    async def heard(self, count: int) -> None:
        """Wait until so many have come."""
        await eventually(lambda: len(self.payloads) == count, message=lambda: f"{self.payloads}")


async def answers(connection: NatsConnection, subject: str) -> bool:
    """Whether what is published to a subject comes back, within two seconds."""
    heard = Messages()
    subscription = connection.subscribe(subject, heard.receive)
    await connection.flush(2.0)
    await connection.publish(subject, b"ping")
    await eventually(lambda: heard.payloads == [b"ping"], 2.0)
    subscription.cancel()
    return True


# Starting.


@promise
async def test_a_server_that_cannot_be_reached_is_named(connections: Connections) -> None:
    """The operator reads within ten seconds which server it is, and what is wrong with it."""
    closed, silent = ReservedPort(), ReservedPort()
    expected = {
        f"nats://127.0.0.1:{closed.number}": "connection refused",
        f"nats://127.0.0.1:{silent.number}": "it does not answer",
        "nats://no-such-host.invalid:4222": "",
    }
    with silent.listen():  # it accepts and says nothing
        asked = [Deferred.fromCoroutine(connections.refused(url)) for url in expected]
        for (url, reason), text in zip(expected.items(), asked, strict=True):
            assert (await text).startswith(f"cannot connect to NATS: {url}: {reason}")
    closed.release()
    silent.release()


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        (Login(user="chat", password="right"), {}),
        (Login(user="chat", password="right"), {"user": "chat", "password": "secret"}),
        (Login(token="right"), {"token": "secret"}),
    ],
)
@promise
async def test_wrong_credentials_are_said_to_be_wrong(
    connections: Connections, new_nats: NewNats, login: Login, shown: dict[str, str]
) -> None:
    """The operator reads at once that the server is there and refuses the credentials."""
    server = new_nats(login=login)
    began = time.monotonic()
    text = await connections.refused(server.url, **shown)
    assert text.endswith("the credentials were refused (authorization violation)")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("login", "shown", "prefix"),
    [
        (Login(user="chat", password="se:cret"), {"user": "chat", "password": "se:cret"}, ""),
        (Login(token="secret"), {"token": "secret"}, ""),
        (Login(token="secret"), {}, "secret@"),
        (Login(user="chat", password="secret"), {}, "chat:secret@"),
    ],
)
@promise
async def test_right_credentials_are_taken(
    connections: Connections,
    new_nats: NewNats,
    login: Login,
    shown: dict[str, str],
    prefix: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A server that demands credentials is used, however they are given; none is logged."""
    server = new_nats(login=login)
    url = server.url.replace("://", f"://{prefix}")
    connection = await connections.start(url, **shown)
    assert await answers(connection, "any")
    captured = capfd.readouterr()
    assert "secret" not in captured.out + captured.err


def test_secrets_are_not_shown() -> None:
    """Settings can be logged."""
    settings = NatsSettings(("nats://127.0.0.1:4222",), "chat", "secret", "secret")
    assert "chat" in repr(settings) and "secret" not in repr(settings)


@promise
async def test_an_nkey_is_taken_from_its_file(
    connections: Connections, new_nats: NewNats, tmp_path: Path
) -> None:
    """A server that knows clients by their keys is used, and a missing file is named."""
    pair = nkeys.from_seed(bytearray(_user_seed()))
    public = pair.public_key.decode()
    server = new_nats(extra_config=f"authorization {{ users: [{{ nkey: {public} }}] }}")
    seed = tmp_path / "user.nk"
    text = await connections.refused(server.url, nkey_file=seed)
    assert text.endswith(f"cannot read {seed}: No such file or directory")
    seed.write_bytes(pair.seed)
    assert await answers(await connections.start(server.url, nkey_file=seed), "any")


def _user_seed() -> bytes:
    """A seed as NATS writes them: two prefixes, 32 bytes, a CRC-16 (XMODEM), in base 32."""
    prefixed = bytes([18 << 3 | 20 << 3 >> 5, (20 << 3 & 31) << 3]) + bytes(range(32))
    crc = 0
    for byte in prefixed:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(prefixed + crc.to_bytes(2, "little")).rstrip(b"=")


@promise
async def test_tls_is_verified(
    connections: Connections, new_nats: NewNats, certificates: Certificates, tmp_path: Path
) -> None:
    """A server is believed to be the right one by its certificate alone."""
    server = new_nats(tls=certificates)
    connection = await connections.start(server.url, ca_file=certificates.authority)
    assert await answers(connection, "any")
    text = await connections.refused(server.url)
    assert "TLS: its certificate is not trusted: " in text
    other = Certificates(tmp_path)
    text = await connections.refused(server.url, ca_file=other.authority)
    assert "TLS: its certificate is not trusted: " in text
    missing = tmp_path / "missing.pem"
    text = await connections.refused(server.url, ca_file=missing)
    assert text.endswith(f"TLS: cannot use {missing}: No such file or directory")


@pytest.mark.parametrize("scheme", ["tls", "nats"])
@promise
async def test_no_password_is_sent_where_tls_is_demanded_and_not_offered(
    connections: Connections, new_nats: NewNats, certificates: Certificates, scheme: str
) -> None:
    """Who comes between cannot get the password by turning TLS off."""
    server = new_nats(login=Login(user="chat", password="secret"))
    with NatsProxy(("127.0.0.1", server.port)) as proxy:
        text = await connections.refused(
            proxy.url.replace("nats", scheme),
            user="chat",
            password="secret",
            ca_file=certificates.authority if scheme == "nats" else None,
        )
        assert text.endswith("TLS: the server does not offer it")
        assert not any(b"secret" in seen.frame.raw for seen in proxy.seen)


@promise
async def test_any_server_of_several_will_do(connections: Connections, nats: NatsServer) -> None:
    """A server that is down does not keep an instance from starting with another."""
    port = ReservedPort()
    dead = f"nats://127.0.0.1:{port.number}"
    for _ in range(4):  # they are tried in any order
        connection = await connections.start(dead, nats.url)
        assert connection.connected and connection.max_payload > 100_000
    port.release()


@promise
async def test_a_server_that_is_only_starting_is_waited_for(
    connections: Connections, nats: NatsServer
) -> None:
    """Brokers and instances can be started together."""
    asked: list[float] = []

    def addresses() -> list[str]:
        asked.append(time.monotonic())
        if len(asked) == 2:
            raise RuntimeError("no ports file")
        return [nats.url] if len(asked) > 3 else []

    connection = connections.make(addresses=addresses)
    await connection.start()
    assert connection.connected and len(asked) == 4


# Coming back.


@dataclass(slots=True)
class Told:
    """What a watcher of a connection was told."""

    events: list[str] = field(default_factory=list)

    def watch(self, connection: NatsConnection) -> Told:
        """Watch a connection."""
        connection.watch(
            connected=lambda: self.events.append("connected"),
            lost=lambda: self.events.append("lost"),
        )
        return self

    async def returned(self, times: int = 1, seconds: float = 10.0) -> None:
        """Wait until the connection has been lost and restored so many times."""
        await eventually(
            lambda: self.events == ["lost", "connected"] * times, seconds, lambda: f"{self.events}"
        )


@promise
async def test_subscriptions_survive_a_cut(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """After a broken connection an instance hears everything again, but what it cancelled."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy, nats.connect() as speaker:
        connection = await connections.start(proxy.url)
        told = Told().watch(connection)
        kept, cancelled = Messages(), Messages()
        connection.subscribe(f"{unique}.kept", kept.receive)
        connection.subscribe(f"{unique}.cancelled", cancelled.receive).cancel()
        await connection.flush(2.0)
        for times in (1, 2, 3):
            proxy.cut()
            await told.returned(times)
            speaker.publish(f"{unique}.cancelled", b"x")
            speaker.publish(f"{unique}.kept", b"%d" % times)
            await kept.heard(times)
        assert kept.payloads == [b"1", b"2", b"3"]
        assert cancelled.payloads == []


@promise
async def test_what_is_published_without_a_connection_is_refused_and_not_sent_later(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """What a user was told to have failed does not turn up by itself afterwards."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        connection = await connections.start(proxy.url)
        told, heard = Told().watch(connection), Messages()
        proxy.refuse()
        proxy.cut()
        await eventually(lambda: not connection.connected)
        with pytest.raises(NotConnected):
            await connection.publish(unique, b"lost")
        with pytest.raises(NotConnected):
            await connection.flush(2.0)
        with pytest.raises(NotConnected):
            await connection.wait_connected(0.05)
        connection.subscribe(unique, heard.receive)
        proxy.accept()
        await connection.wait_connected(10.0)
        await told.returned()
        await connection.publish(unique, b"sent")
        await heard.heard(1)
        assert heard.payloads == [b"sent"]


@promise
async def test_a_connection_that_the_server_closes_for_good_is_made_anew(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """An error after which nats-py would not reconnect does not cut the instance off for ever."""
    connection = await connections.start(nats.url)
    told, heard = Told().watch(connection), Messages()
    connection.subscribe(unique, heard.receive)
    too_much = b"x" * connection.max_payload  # with the header it is more than the server takes
    await connection.publish(unique, too_much, headers={"Too": "much"})
    await told.returned()
    await connection.publish(unique, b"hello")
    await heard.heard(1)
    assert heard.payloads == [b"hello"]


@promise
async def test_a_frozen_server_is_left_for_another(
    connections: Connections, new_nats: NewNats
) -> None:
    """A server that keeps the connection and says nothing is noticed within five seconds."""
    frozen, other = new_nats(name="frozen"), new_nats(name="other")
    at = frozen
    connection = await connections.start(addresses=lambda: [at.url])
    told = Told().watch(connection)
    at = other
    frozen.pause()
    # More than the sockets hold: what nats-py itself would wait for before it reconnects.
    for _ in range(20):
        await connection.publish("any", b"x" * 1_000_000)
    await told.returned(seconds=6.0)
    assert await answers(connection, "any")


@promise
async def test_a_server_that_has_moved_is_found(
    connections: Connections, new_nats: NewNats
) -> None:
    """An embedded broker that comes back on another port is found there."""
    first, second = new_nats(name="first"), new_nats(name="second")
    at: list[NatsServer] = [first]
    connection = await connections.start(addresses=lambda: [at[0].url])
    told = Told().watch(connection)
    at.clear()  # while it moves, its address cannot be told
    first.kill()
    await eventually(lambda: told.events == ["lost"])
    at.append(second)
    await told.returned()
    assert await answers(connection, "any")


@promise
async def test_stopping_takes_no_time_in_any_state(
    connections: Connections, new_nats: NewNats
) -> None:
    """An instance can be stopped while its broker is away, or frozen."""
    server = new_nats()
    connected, cut_off, frozen = [await connections.start(server.url) for _ in range(3)]
    for connection in (connected, connections.make(server.url)):
        await _stopped_soon(connection)
    with pytest.raises(NotConnected):
        await connected.publish("any", b"")
    server.pause()
    await _stopped_soon(frozen)
    server.kill()
    await eventually(lambda: not cut_off.connected)
    await _stopped_soon(cut_off)
    with pytest.raises(NotConnected):
        await cut_off.wait_connected(10.0)


async def _stopped_soon(connection: NatsConnection) -> None:
    began = time.monotonic()
    for _ in range(2):
        await connection.stop()
    assert time.monotonic() - began < 1.5


@promise
async def test_a_subscriber_that_fails_hears_on(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """A mistake with one message does not keep an instance from the next."""
    connection = await connections.start(nats.url)
    heard = Messages()

    def receive(message: Incoming) -> None:
        heard.receive(message)
        raise RuntimeError("a mistake")

    connection.subscribe(unique, receive)
    for number in range(3):
        await connection.publish(unique, b"%d" % number)
    await heard.heard(3)
    assert connection.connected


@pytest.mark.parametrize("direct", [True, False])
@promise
async def test_a_message_with_a_ready_made_header_arrives(
    connections: Connections, nats: NatsServer, unique: str, direct: bool
) -> None:
    """By the short way, and by nats-py's where that is not the one which is known."""
    connection = await connections.start(nats.url)
    heard: list[tuple[bytes, str, dict[str, str]]] = []
    assert connection._link is not None
    connection._link._client.direct = direct
    connection.subscribe(unique, lambda m: heard.append((m.data, m.reply, m.headers)))
    connection.send(unique, b"data", reply="re.ply", head=b"NATS/1.0\r\nA: b\r\n\r\n")
    await eventually(lambda: heard)
    assert heard == [(b"data", "re.ply", {"A": "b"})]
    await connection.stop()
    with pytest.raises(NotConnected):
        connection.send(unique, b"lost", reply="re.ply", head=b"NATS/1.0\r\n\r\n")


# Requests.


@promise
async def test_a_request_is_answered_or_says_why_not(
    connections: Connections, nats: NatsServer, unique: str
) -> None:
    """Nobody waits longer than necessary for an answer that will not come."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        connection = await connections.start(proxy.url)
        inbox = Inbox(connection, reactor)
        silent = connection.subscribe(f"{unique}.silent", lambda message: None)

        def echo(message: Incoming) -> None:
            Deferred.fromCoroutine(connection.publish(message.reply, message.data))

        connection.subscribe(f"{unique}.echo", echo)
        assert (await inbox.request(f"{unique}.echo", b"hello")).data == b"hello"
        with pytest.raises(NobodyListens):
            await inbox.request(f"{unique}.nobody", b"")
        with pytest.raises(NoAnswer, match=r"within 0\.05 s"):
            await inbox.request(silent.subject, b"", seconds=0.05)
        waiting = Deferred.fromCoroutine(inbox.request(silent.subject, b"", seconds=30))
        proxy.cut()
        with pytest.raises(NotConnected):
            await waiting
        await connection.wait_connected(10.0)
        assert (await inbox.request(f"{unique}.echo", b"again")).data == b"again"
