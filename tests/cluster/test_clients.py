"""Programs that use the library, for asyncio and for Twisted, on real instances."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from disroom import client
from disroom.adapters.aio import deferred
from disroom.wire import frame
from tests.client.shells import SHELLS, NewShell, Shell
from tests.cluster.chat import Chat
from tests.cluster.test_listeners import address_of, tls_endpoint
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.certificates import Certificates
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort

GRACE = {"DISROOM_PRESENCE_GRACE": "1s"}


@pytest.fixture(params=SHELLS)
def new(request: pytest.FixtureRequest) -> Iterator[NewShell]:
    """Make a program, for one framework after the other; it is stopped at the end."""
    made: list[Shell] = []

    def make(servers: list[str], *arguments: str, **settings: object) -> Shell:
        made.append(SHELLS[request.param](servers, *arguments, **settings))
        return made[-1]

    yield make
    for shell in made:
        pytest_twisted.blockon(Deferred.fromCoroutine(shell.stop()))


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Two ports, so that an instance has again the one that it had."""
    with ExitStack() as stack:
        reserved = [ReservedPort(), ReservedPort()]
        for port in reserved:
            stack.callback(port.release)
        yield reserved[0].number, reserved[1].number


def at(*servers: DisroomProcess) -> list[str]:
    """Where they are."""
    return [f"127.0.0.1:{server.port}" for server in servers]


def said(shell: Shell) -> list[tuple[int, str]]:
    """Seq and text of what a program was given."""
    return [(e.seq, e.text) for e in shell.events if isinstance(e, client.Said)]


def has_heard(shell: Shell, count: int) -> bool:
    """Whether a program was given so many messages."""
    return len(said(shell)) >= count


def kinds(shell: Shell, *kinds: type[object]) -> list[Any]:
    """The events of some kinds."""
    return [event for event in shell.events if isinstance(event, kinds)]


def stored(nats: NatsServer, chat: Chat, room: str) -> list[tuple[int, str]]:
    """The truth: seqs and texts in the stream, read by code that is not the service's."""
    with nats.connect() as raw:
        messages = raw.stream_messages(chat.name, f"{chat.name}.room.{room}")
    return [(m.seq, json.loads(m.payload)["text"]) for m in messages]


def two(chat: Chat) -> dict[str, DisroomProcess]:
    """Two instances, by their names."""
    return {name: chat.instance(instance_name=name) for name in ("one", "two")}


def serving(shell: Shell) -> str:
    """The name of the instance that a program is on."""
    connected = [event for event in shell.events if isinstance(event, client.Connected)]
    return connected[-1].instance


@promise
async def test_nothing_is_lost_or_doubled_when_the_instance_is_killed_in_mid_talk(
    chat: Chat, nats: NatsServer, new: NewShell
) -> None:
    """Every message that is asked for is stored once, and everybody is given it once, in order."""
    servers = two(chat)
    talker, other = (new(at(*servers.values()), nick, "tea") for nick in ("ann", "bob"))
    await other.start()
    await talker.start()
    answers = [talker.done(talker.chat.send("tea", f"<{number}>")) for number in range(30)]
    await answers[5]
    servers[serving(talker)].kill()
    answers += [talker.done(talker.chat.send("tea", f"<{number}>")) for number in range(30, 60)]
    receipts = [(await answer).seq for answer in answers]
    truth = stored(nats, chat, "tea")
    assert truth == [(seq, f"<{number}>") for number, seq in enumerate(receipts)]
    for shell in (talker, other):
        await eventually(partial(has_heard, shell, 60))
        assert said(shell) == truth
    assert kinds(talker, client.Disconnected)
    assert kinds(talker, client.Connected)[-1].resumed
    assert not kinds(other, client.Left, client.Gap)


@promise
async def test_nobody_sees_a_program_go_when_its_instance_is_stopped(
    chat: Chat, new: NewShell
) -> None:
    """SIGTERM sends it elsewhere, and it is there again as it was."""
    servers = two(chat)
    watcher, moved = (new(at(*servers.values()), nick, "tea") for nick in ("bob", "ann"))
    await watcher.start()
    await moved.start()
    await eventually(lambda: kinds(watcher, client.Joined))
    servers[serving(moved)].stop()
    await moved.done(moved.chat.send("tea", "here I am"))
    await eventually(lambda: [text for _, text in said(watcher)] == ["here I am"])
    assert kinds(moved, client.Connected)[-1].resumed
    assert not kinds(watcher, client.Left)
    assert [m.nick for e in kinds(watcher, client.Joined) for m in e.members] == ["ann"]


@promise
async def test_a_cluster_that_stands_still_for_a_while_is_waited_for(
    chat: Chat, nats: NatsServer, new: NewShell
) -> None:
    """What is said meanwhile is stored once it goes on."""
    servers = [chat.instance(), chat.instance()]
    talker = new(at(*servers), "ann", "tea")
    await talker.start()
    for server in servers:
        server.pause()
    answer = talker.done(talker.chat.send("tea", "patience"))
    for server in servers:
        server.resume()
    seq = (await answer).seq
    await eventually(lambda: said(talker))
    assert said(talker) == stored(nats, chat, "tea") == [(seq, "patience")]


@promise
async def test_who_comes_back_after_its_session_has_ended_reads_exactly_what_it_missed(
    chat: Chat, nats: NatsServer, new: NewShell, ports: tuple[int, int]
) -> None:
    """The grace is over, others saw it leave, and still nothing is missing or comes twice."""
    chat.settings.update(GRACE)
    first, second = (chat.instance(port=port) for port in ports)
    other = new(at(second), "bob", "tea")
    await other.start()
    away = new(at(first), "ann", "tea")
    await away.start()
    await other.done(other.chat.send("tea", "before"))
    await eventually(lambda: said(away))
    first.stop()
    await eventually(lambda: kinds(other, client.Left), timeout=30)
    answer = away.done(away.chat.send("tea", "said while away"))
    for number in range(15):
        await other.done(other.chat.send("tea", f"<{number}>"))
    first.start()
    await answer
    truth = stored(nats, chat, "tea")
    assert len(truth) == 17
    for shell in (away, other):
        await eventually(partial(has_heard, shell, 17))
        assert said(shell) == truth
    assert not kinds(away, client.Connected)[-1].resumed
    assert not kinds(away, client.Gap)


@promise
async def test_more_than_can_be_read_back_is_a_gap_and_then_the_newest(
    chat: Chat, nats: NatsServer, new: NewShell, ports: tuple[int, int]
) -> None:
    """Who missed 1,030 messages is given the last 1,000, and told where the others were."""
    chat.settings.update(GRACE)
    first, second = (chat.instance(port=port) for port in ports)
    other = new(at(second), "bob", "tea")
    await other.start()
    away = new(at(first), "ann", "tea")
    await away.start()
    first.stop()
    await eventually(lambda: kinds(other, client.Left), timeout=30)
    answers = [other.done(other.chat.send("tea", f"<{number}>")) for number in range(1030)]
    for answer in answers:
        await answer
    first.start()
    await eventually(partial(has_heard, away, 1000), timeout=30)
    truth = stored(nats, chat, "tea")
    assert said(away) == truth[30:]
    (gap,) = kinds(away, client.Gap)
    assert gap.first <= truth[0][0] and truth[29][0] <= gap.last < truth[30][0]


@promise
async def test_a_server_that_is_full_is_tried_again(chat: Chat, new: NewShell) -> None:
    """Who is turned away comes in as soon as there is room."""
    server = chat.instance(env={"DISROOM_LIMITS_CONNECTIONS": "1"})
    first, second = new(at(server), "ann"), new(at(server), "bob")
    await first.start()
    coming = Deferred.fromCoroutine(second.start())
    why = second.chat._attempts.account
    await eventually(lambda: "server is full" in why())
    await first.stop()
    await coming
    assert second.chat.connected


@promise
async def test_a_nick_that_is_taken_is_an_error_at_once(chat: Chat, new: NewShell) -> None:
    """Nobody waits for a name that another goes by."""
    server = chat.instance()
    await new(at(server), "ann").start()
    late = new(at(server), "Ann")
    with pytest.raises(client.ChatFailed, match="taken") as failed:
        await late.start()
    assert failed.value.code == "nick-taken"
    with pytest.raises(client.ChatFailed):
        await late.done(late.chat.send("tea", "hi"))


@promise
async def test_tls_servers_are_verified(
    chat: Chat, new: NewShell, certificates: Certificates
) -> None:
    """With the right authority a program comes in; without it the reason is told."""
    server = chat.instance(options=[tls_endpoint(certificates)])
    address = [f"tls://127.0.0.1:{address_of(server, 1)[1]}"]
    good = new(address, "ann", "tea", certificates=certificates)
    await good.start()
    await good.done(good.chat.send("tea", "in private"))
    bad = new(address, "bob", "tea")
    coming = Deferred.fromCoroutine(bad.start())
    why = bad.chat._attempts.account
    await eventually(lambda: "certificate" in why())
    await bad.stop()
    with pytest.raises(client.ChatFailed):
        await coming


@promise
async def test_leaving_waits_for_what_was_said(
    chat: Chat, nats: NatsServer, new: NewShell, ports: tuple[int, int]
) -> None:
    """Even while there is no connection, if there is one again in time; and the nick is free."""
    first, second = (chat.instance(port=port) for port in ports)
    talker = new(at(first), "ann", "tea")
    await talker.start()
    first.kill()
    await eventually(lambda: not talker.chat.connected)
    answer = talker.done(talker.chat.send("tea", "last words"))
    stopping = Deferred.fromCoroutine(talker.stop())
    first.start()
    await stopping
    assert stored(nats, chat, "tea") == [((await answer).seq, "last words")]
    await new(at(second), "ann").start()


@pytest.mark.parametrize("welcomes", [False, True])
@promise
async def test_what_fails_of_itself_is_not_hurried(new: NewShell, welcomes: bool) -> None:
    """A server that hangs up on whoever comes, greeted or not, is tried more and more slowly."""
    came: list[float] = []
    welcome = {"type": "ok", "id": 1, "version": 1, "session": "s", "token": "t", "grace": 30.0}
    welcome |= {"log": "L", "instance": "srv", "nick": "ann", "rooms": []}

    class HangsUp(Protocol):
        transport: Any

        def connectionMade(self) -> None:
            came.append(time.monotonic())
            if not welcomes:
                self.transport.loseConnection()

        def dataReceived(self, data: bytes) -> None:
            told = {**welcome, "id": msgspec.msgpack.decode(data[4:])["id"]}
            self.transport.write(frame.encode(msgspec.msgpack.encode(told)))
            self.transport.loseConnection()

    tcp: Any = reactor
    listening = tcp.listenTCP(0, Factory.forProtocol(HangsUp), interface="127.0.0.1")
    program = new([f"127.0.0.1:{listening.getHost().port}"], "ann")
    coming = Deferred.fromCoroutine(program.start())
    coming.addErrback(lambda failure: failure.trap(client.ChatFailed))  # it may get in
    await eventually(lambda: len(came) == 6)
    await program.stop()
    await coming
    await listening.stopListening()
    assert came[-1] - came[0] > 0.75  # half of 0.1 + 0.2 + 0.4 + 0.8


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid:1", f"{'x' * 70}.example:1"])
@promise
async def test_where_no_server_answers_a_program_is_told_why(host: str) -> None:
    """The first connection is given up after a while, with what was tried; no task is left."""
    before = asyncio.all_tasks(asyncio.get_event_loop())

    async def connect() -> None:
        async with client.connect(host, nick="ann", patience=0.5):
            pass

    with pytest.raises(client.ChatFailed) as failed:
        await deferred(connect())
    assert failed.value.code == "unreachable"
    assert str(failed.value).startswith(f"no server answers: {host}: ")
    assert not str(failed.value).endswith("no answer yet")
    left = asyncio.all_tasks(asyncio.get_event_loop()) - before
    await eventually(lambda: all(task.done() for task in left))


@promise
async def test_who_stops_connecting_leaves_nothing_behind() -> None:
    """To cancel ``async with`` ends the attempts."""
    before = asyncio.all_tasks(asyncio.get_event_loop())

    async def connect() -> None:
        async with asyncio.timeout(0.2), client.connect("127.0.0.1:1", nick="ann"):
            pass

    with pytest.raises(TimeoutError):
        await deferred(connect())
    left = asyncio.all_tasks(asyncio.get_event_loop()) - before
    await eventually(lambda: all(task.done() for task in left))


@promise
async def test_events_that_nobody_takes_are_bounded_and_not_lost(
    chat: Chat, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that waits for an answer while it takes no events is told, and then gets them."""
    monkeypatch.setattr("disroom.client.aio.MOST_EVENTS", 20)
    server = chat.instance()

    async def talk() -> None:
        async with (
            client.connect(*at(server), nick="ann", rooms=["tea"]) as slow,
            client.connect(*at(server), nick="bob", rooms=["tea"]) as talker,
        ):
            heard = asyncio.create_task(_texts(talker, 100))
            await asyncio.gather(*(talker.send("tea", f"<{number}>") for number in range(100)))
            await heard
            assert len(slow._events) <= 2 * 20 + 100
            assert await _texts(slow, 100) == [f"<{number}>" for number in range(100)]

    await deferred(talk())


async def _texts(chat: client.Chat, count: int) -> list[str]:
    texts: list[str] = []
    while len(texts) < count:
        event = await anext(chat)
        if isinstance(event, client.Said):
            texts.append(event.text)
    return texts


def test_a_program_that_needs_no_twisted_does_not_load_it() -> None:
    """An asyncio program starts as fast as it can."""
    asked = (
        "import sys, disroom.client; print([m for m in ('twisted', 'nats') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
