"""Who takes nothing is given up; who is slow is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from twisted.internet.task import Clock

from disroom.transports.stall import LOOKS, Stall
from tests.cluster.chat import Chat, enter, user
from tests.eventually import eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients

SECONDS = 60.0


class Watched:
    """A client whose transport holds so many bytes, on a clock that is moved by hand."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.clock = Clock()
        self.unsent = 1000
        self.given_up: list[float] = []
        self.stall = Stall(
            self.clock, seconds=seconds, unsent=lambda: self.unsent, give_up=self.give_up
        )

    def give_up(self) -> None:
        """Note when."""
        self.given_up.append(self.clock.seconds())

    def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        self.clock.pump([1.0] * int(seconds))


def test_who_takes_nothing_is_given_up_once() -> None:
    """After the time, and a quarter more at most."""
    client = Watched()
    client.stall.filled(True)
    client.wait(SECONDS - 1)
    assert not client.given_up
    client.wait(1000)
    assert client.given_up == [SECONDS]
    assert not client.clock.getDelayedCalls()


def test_who_takes_a_byte_a_minute_is_not() -> None:
    """Slowness is no stall, as long as the transport stays full of the same."""
    client = Watched()
    client.stall.filled(True)
    for _ in range(20):
        client.wait(SECONDS - SECONDS / LOOKS)
        client.unsent -= 1
    assert not client.given_up
    client.wait(SECONDS + SECONDS / LOOKS)
    assert len(client.given_up) == 1


def test_room_in_between_begins_the_time_anew() -> None:
    """A transport that had room has sent all of it, though it is as full again as before."""
    client = Watched()
    for _ in range(20):
        client.stall.filled(True)
        client.wait(SECONDS - 1)
        client.stall.filled(False)
        client.wait(1)
    assert not client.given_up
    client.wait(1000)
    assert not client.given_up
    assert not client.clock.getDelayedCalls()


def test_a_standstill_of_the_server_is_none_of_the_client() -> None:
    """What the client took meanwhile is not known yet; it has the time that it had before."""
    client = Watched()
    client.stall.filled(True)
    client.wait(SECONDS - 1)
    client.clock.advance(3600)
    assert not client.given_up
    client.unsent -= 1  # it took something; that is seen at the next look
    client.wait(SECONDS)
    assert not client.given_up
    client.clock.advance(3600)
    client.wait(SECONDS + SECONDS / LOOKS)
    assert len(client.given_up) == 1


def test_a_server_that_never_keeps_up_waits_for_nobody_for_ever() -> None:
    """Where each look comes late, who takes nothing has some times the time and not more."""
    client = Watched()
    client.stall.filled(True)
    while not client.given_up and client.clock.seconds() < 10 * SECONDS:
        client.clock.advance(SECONDS / LOOKS + 2)
    assert client.given_up
    assert client.given_up[0] < 4 * SECONDS


def test_there_is_one_timer_and_none_without_need() -> None:
    """A connection that fills and empties a thousand times a second costs one timer."""
    client = Watched()
    for _ in range(1000):
        client.stall.filled(True)
        client.stall.filled(False)
    assert len(client.clock.getDelayedCalls()) == 1
    client.stall.stop()
    client.stall.stop()
    assert not client.clock.getDelayedCalls()
    unlimited = Watched(0)
    unlimited.stall.filled(True)
    assert not unlimited.clock.getDelayedCalls()


def test_a_real_client_that_stands_still(
    nats: NatsServer,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    clients: Clients,
    unique: str,
) -> None:
    """Its kernel answers every probe, and it is closed; one that reads 10 KB/s is not."""
    chat = Chat(new_disroom, nats.url, redis.url, unique)
    server = chat.instance(env={"DISROOM_LIMITS_UNREAD": "2s"})
    ann = user(clients, server, "ann", "tea")
    with Clients() as unread:
        slow, mute = (LineClient(unread, server.address, receive_buffer=4096) for _ in range(2))
        for client, nick in ((slow, "slow"), (mute, "mute")):
            enter(client, nick, "tea")
            client.socket.setblocking(True)
            client.socket.sendall(b"help\r\n" * 5000)
        read, began = 0, time.monotonic()

        def mute_is_gone() -> bool:
            nonlocal read
            due = (time.monotonic() - began) * 10_000
            while read < due:
                read += len(slow.socket.recv(1000))
            clients.pump()
            return any(line.endswith("<-- mute left (not reading)") for line in ann.lines)

        eventually_blocking(mute_is_gone, 10.0)
        assert "it does not read" in server.output()
        until = time.monotonic() + 2 * 2.5
        eventually_blocking(lambda: mute_is_gone() and time.monotonic() > until)
        ann.send_line("users")
        assert ann.expect("^Users in tea:") == "Users in tea: ann, slow"


def test_one_over_tls_that_stands_still(
    nats: NatsServer,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    clients: Clients,
    certificates: Certificates,
    unique: str,
) -> None:
    """It is closed as well, though what waits for it is in other buffers."""
    chat = Chat(new_disroom, nats.url, redis.url, unique)
    files = f"privateKey={certificates.key}:certKey={certificates.certificate}"
    server = chat.instance(
        env={"DISROOM_LIMITS_UNREAD": "2s"},
        options=[f"--listen=ssl:0:{files}:interface=127.0.0.1"],
    )
    ann = user(clients, server, "ann", "tea")
    address = server.listening[1]
    assert isinstance(address, tuple)
    with socket.create_connection(address) as plain:
        context = certificates.client_context()
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as mute:
            mute.sendall(b"nick mute\r\njoin tea\r\n")
            ann.expect("--> mute joined$")
            mute.sendall(b"help\r\n" * 5000)
            ann.expect(r"<-- mute left \(not reading\)$", timeout=10)
