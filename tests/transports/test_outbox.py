"""How what is on its way to one client leaves: in order, in few writes, and never without bound."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import Any, cast

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from disroom.transports.outbox import ANSWER_BYTES, Flusher, Outbox
from tests.contract.witness import promise
from tests.eventually import eventually

reactor = cast(Any, _reactor)


class Sink(StringTransport):
    """A transport that keeps each write apart.

    Attributes:
        writes: What was written, a write each.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take a write."""
        self.writes.append(data)


class Answering(Sink):
    """A transport that has another outbox write something when it is written to."""

    def __init__(self, other: Outbox) -> None:
        super().__init__()
        self.other = other

    def write(self, data: bytes) -> None:
        """Pass on."""
        self.other.write(b"again")


class Sending:
    """An outbox before a sink, on a clock that is moved by hand."""

    def __init__(self, most: int = 100) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.overflows = 0
        self.filled: list[bool] = []
        self.flusher = Flusher(self.clock)
        self.outbox = Outbox(self.sink, self.flusher, most, self.overflowed, self.filled.append)

    def overflowed(self) -> None:
        """Count."""
        self.overflows += 1

    def turn(self) -> list[bytes]:
        """End the reactor's turn; return what has been written since the last."""
        self.clock.advance(0)
        writes, self.sink.writes = self.sink.writes, []
        return writes


def test_what_is_written_in_one_turn_leaves_in_one_piece() -> None:
    """A burst of events for a client is one packet, not one each; the next turn is another."""
    sending = Sending()
    for piece in (b"a", b"b", b"c"):
        sending.outbox.write(piece)
    assert not sending.sink.writes
    assert sending.turn() == [b"abc"]
    assert sending.turn() == []
    sending.outbox.write(b"d")
    assert sending.turn() == [b"d"]


def test_clients_are_flushed_together_once_a_turn() -> None:
    """A message for a whole room costs the reactor one call, and each member gets it."""
    sending = Sending()
    sinks = [Sink() for _ in range(3)]
    others = [Outbox(sink, sending.flusher, 100, sending.overflowed) for sink in sinks]
    for outbox in (sending.outbox, *others, *others):
        outbox.write(b"x")
    assert len(sending.clock.getDelayedCalls()) == 1
    assert sending.turn() == [b"x"]
    assert [sink.writes for sink in sinks] == [[b"xx"]] * 3


def test_what_is_written_while_others_are_flushed_is_not_lost() -> None:
    """What comes up while the queues are being emptied, as for a room, is sent as well."""
    sending = Sending()
    other = Outbox(Answering(sending.outbox), sending.flusher, 100, sending.overflowed)
    other.write(b"x")
    assert sending.turn() == [b"again"]
    sending.outbox.write(b"before")
    other.write(b"x")
    assert sending.turn() == [b"before", b"again"]


def test_a_full_transport_is_given_nothing_until_it_has_room() -> None:
    """What a slow client has not read yet waits, and then leaves in order and in one piece."""
    sending = Sending()
    sending.outbox.pauseProducing()
    sending.outbox.write(b"a")
    assert sending.turn() == []
    sending.outbox.write(b"b")
    assert sending.turn() == []
    sending.outbox.resumeProducing()
    assert sending.turn() == [b"ab"]
    sending.outbox.write(b"c")
    assert sending.turn() == [b"c"]


def test_the_owner_hears_when_a_client_reads_on() -> None:
    """Who has read what the transport held is not taken for one who reads nothing."""
    sending = Sending()
    sending.outbox.write(b"a")
    sending.turn()
    assert sending.filled == []
    sending.outbox.pauseProducing()
    assert sending.filled == [True]
    sending.outbox.resumeProducing()
    assert sending.filled == [True, False]


def test_the_bound_is_kept_and_passing_it_told_once() -> None:
    """A client that does not read costs the bound and no more; its owner hears of it once."""
    sending = Sending(most=100)
    sending.outbox.pauseProducing()
    sending.outbox.write(b"x" * 100)
    assert sending.turn() == []
    assert sending.overflows == 0
    sending.outbox.write(b"y")
    assert sending.overflows == 0
    assert sending.turn() == []
    assert sending.overflows == 1
    for _ in range(3):
        sending.outbox.write(b"z" * 1000)
        assert sending.turn() == []
    sending.outbox.give_up()  # as the owner may, for whatever reason of its own
    assert sending.overflows == 1
    sending.outbox.resumeProducing()
    sending.outbox.close()
    assert sending.turn() == []


def test_a_client_that_reads_is_sent_more_than_the_bound() -> None:
    """The bound is on what waits: a long answer passes where the client takes it."""
    sending = Sending(most=100)
    sending.outbox.write(b"x" * 1000)
    assert sending.turn() == [b"x" * 1000]
    sending.outbox.pauseProducing()
    sending.outbox.write(b"y")
    assert sending.turn() == []
    assert sending.overflows == 0


def test_room_again_before_the_bound_is_looked_at_is_in_time() -> None:
    """A client that reads on in the same turn is not closed for what waited meanwhile."""
    sending = Sending(most=100)
    sending.outbox.pauseProducing()
    sending.outbox.write(b"x" * 101)
    sending.outbox.resumeProducing()
    assert sending.turn() == [b"x" * 101]
    assert sending.overflows == 0


@pytest.mark.parametrize("full", [False, True])
def test_closing_hands_everything_on_first(full: bool) -> None:
    """The last lines, a goodbye and what was before it, are sent, and nothing after them."""
    sending = Sending(most=10)
    if full:
        sending.outbox.pauseProducing()
    sending.outbox.write(b"a" * 20)
    sending.outbox.write(b"b")
    sending.outbox.close()
    sending.outbox.write(b"c")
    assert sending.turn() == [b"a" * 20 + b"b"]
    assert sending.overflows == 0
    assert sending.sink.producer is None


def test_what_goes_first_passes_the_queue() -> None:
    """An answer to telnet does not wait behind what is queued for the same turn."""
    sending = Sending()
    sending.outbox.write(b"line")
    sending.outbox.write_first(b"telnet")
    assert sending.sink.writes == [b"telnet"]
    assert sending.turn() == [b"telnet", b"line"]


def test_what_goes_first_is_first_when_there_is_room_again() -> None:
    """An answer to telnet waits for nothing but what the transport had already."""
    sending = Sending()
    sending.outbox.pauseProducing()
    sending.outbox.write(b"line,")
    sending.outbox.write(b"another")
    sending.outbox.write_first(b"telnet,")
    assert sending.turn() == []
    assert sending.outbox.waiting == len(b"telnet,line,another")
    sending.outbox.resumeProducing()
    assert sending.turn() == [b"telnet,line,another"]
    assert sending.outbox.waiting == 0


def test_nothing_is_not_queued() -> None:
    """An answer that is empty costs no place, and takes none before what is there."""
    sending = Sending()
    sending.outbox.write(b"")
    assert not sending.clock.getDelayedCalls()
    sending.outbox.pauseProducing()
    for piece in (b"", b"a", b"", b"b"):
        sending.outbox.write(piece)
        sending.outbox.write_first(b"")
    sending.outbox.resumeProducing()
    assert sending.turn() == [b"ab"]


def test_what_goes_first_waits_for_a_full_transport() -> None:
    """A client that does not read cannot make the server keep answers without bound."""
    sending = Sending(most=10)
    sending.outbox.pauseProducing()
    for _ in range(4):
        sending.outbox.write_first(b"abc")
    assert sending.turn() == []
    assert sending.overflows == 1


def test_after_the_connection_is_gone_nothing_is_kept() -> None:
    """Events for a client that is gone are dropped, whoever still sends them."""
    sending = Sending()
    sending.outbox.write(b"a")
    sending.outbox.stopProducing()
    sending.outbox.write(b"b")
    sending.outbox.write_first(b"c")
    assert sending.turn() == []
    assert sending.outbox.waiting == 0


def test_an_answer_has_room_until_a_piece_is_large() -> None:
    """Who asks for a lot at once is answered in pieces, a turn each."""
    sending = Sending()
    sending.outbox.write(b"x" * ANSWER_BYTES)
    assert sending.outbox.room() is None
    sending.outbox.write(b"x")
    room = sending.outbox.room()
    assert room and not room.called
    sending.turn()
    assert room.called
    assert sending.outbox.room() is None


def test_there_is_no_room_while_the_transport_is_full() -> None:
    """Who does not read its answers is answered no more until it does."""
    sending = Sending()
    sending.outbox.pauseProducing()
    room = sending.outbox.room()
    assert room
    sending.outbox.write(b"event")
    assert sending.turn() == []
    assert not room.called
    sending.outbox.resumeProducing()
    assert room.called
    assert sending.turn() == [b"event"]


def test_who_leaves_may_be_answered_up_to_half_of_the_queue() -> None:
    """A client that means to go waits for unread answers only where they would be dropped."""
    sending = Sending(most=100)
    sending.outbox.pauseProducing()
    sending.outbox.write(b"x" * 50)
    assert sending.outbox.room(leaving=True) is None
    sending.outbox.write(b"x")
    room = sending.outbox.room(leaving=True)
    assert room
    room.addErrback(lambda _: None).cancel()
    again = sending.outbox.room(leaving=True)
    assert again
    sending.outbox.resumeProducing()
    assert again.called
    assert sending.outbox.room(leaving=True) is None


@pytest.mark.parametrize("end", ["closed", "gone", "overflowed"])
def test_the_end_of_a_connection_ends_the_wait_for_room(end: str) -> None:
    """Nothing waits for ever for a client that will read no more; and not while it is ending."""
    sending = Sending()
    sending.outbox.pauseProducing()
    room = sending.outbox.room()
    if end == "closed":
        sending.outbox.close()
    elif end == "gone":
        sending.outbox.stopProducing()
    else:
        sending.outbox.write(b"x" * 101)
    assert room and not room.called
    sending.turn()
    assert room.called
    assert sending.outbox.room() is None
    assert sending.overflows == (end == "overflowed")


# Real sockets.


class Speaker(Protocol):
    """The server's side of a connection, with as little of a buffer as the system grants.

    Args:
        most: Bytes that the outbox may hold.
        before: What the transport is given before there is an outbox.
    """

    def __init__(self, most: int, before: bytes) -> None:
        self.most = most
        self.before = before
        self.overflows = 0
        self.outbox: Outbox | None = None
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        """Begin."""
        transport = cast(Any, self.transport)
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        transport.write(self.before)
        self.outbox = Outbox(transport, Flusher(reactor), self.most, self.overflowed)

    def overflowed(self) -> None:
        """Count."""
        self.overflows += 1

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note."""
        self.lost = reason
        if self.outbox:
            self.outbox.stopProducing()


class Listener(Factory):
    """Makes one speaker."""

    noisy = False

    def __init__(self, most: int, before: bytes) -> None:
        self.speaker = Speaker(most, before)

    def buildProtocol(self, addr: object) -> Speaker:
        """The speaker."""
        return self.speaker


class Reader:
    """The client's side: reads when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.got = bytearray()
        self.ended = False

    def read(self, most: int = 1 << 20) -> bytes:
        """Read what has arrived, up to so much; return all that was ever read."""
        while most > 0 and not self.ended:
            try:
                data = self.socket.recv(min(most, 65536))
            except BlockingIOError:
                break
            self.got += data
            self.ended = not data
            most -= len(data)
        return bytes(self.got)

    def reset(self) -> None:
        """Break the connection off."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


async def connected(most: int = 1 << 20, *, before: bytes = b"") -> tuple[Speaker, Outbox, Reader]:
    """A speaker with its outbox, and its reader; nobody else can connect."""
    listener = Listener(most, before)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(listener)
    reader = Reader(port.getHost().port)
    outbox = await eventually(lambda: listener.speaker.outbox)
    await maybeDeferred(port.stopListening)
    return listener.speaker, outbox, reader


async def turn() -> None:
    """Let the reactor's turn end."""
    done: Deferred[None] = Deferred()
    reactor.callFromThread(done.callback, None)
    await done


async def read_all(reader: Reader, speaker: Speaker) -> bytes:
    """Read until everything has come and the connection has ended."""
    cast(Any, speaker.transport).loseConnection()

    await eventually(lambda: reader.read() is not None and reader.ended)
    await eventually(lambda: speaker.lost)
    reader.socket.close()
    return bytes(reader.got)


def buffered(speaker: Speaker) -> bool:
    """Whether the transport holds what the socket did not take."""
    transport = cast(Any, speaker.transport)
    return bool(transport.dataBuffer or transport._tempDataBuffer)


@promise
async def test_what_the_socket_takes_goes_straight_to_it() -> None:
    """A client that reads has its lines at the end of the turn, not a turn later."""
    speaker, outbox, reader = await connected()
    outbox.write(b"hello\r\n")
    outbox.flush()
    assert reader.socket.recv(64) == b"hello\r\n"  # already now
    assert not buffered(speaker)
    assert await read_all(reader, speaker) == b""


@promise
async def test_what_the_transport_has_leaves_first() -> None:
    """What was sent before there was a queue, as the answer to a browser, is read before it."""
    speaker, outbox, reader = await connected(before=b"." * 30_000)
    assert buffered(speaker)
    outbox.write(b"hello")
    outbox.flush()
    await eventually(lambda: len(reader.read()) > 30_000)
    outbox.write(b", ann")
    outbox.flush()
    assert not buffered(speaker)  # now it went straight to the socket
    assert await read_all(reader, speaker) == b"." * 30_000 + b"hello, ann"


@promise
async def test_a_socket_that_takes_nothing_loses_nothing() -> None:
    """A piece that meets a socket just full, with nothing buffered before it, comes whole."""
    speaker, outbox, reader = await connected()
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += cast(Any, speaker.transport).socket.send(b"." * 1000)
    outbox.write(b"hello")
    outbox.flush()
    assert buffered(speaker)
    assert await read_all(reader, speaker) == b"." * sent + b"hello"


@pytest.mark.parametrize("direct", [True, False])
@promise
async def test_order_holds_over_every_way_to_the_client(direct: bool) -> None:
    """Whatever part a full socket takes at each time, the client reads all of it, in order."""
    speaker, outbox, reader = await connected(most=1 << 30)
    outbox._direct = direct
    dice = random.Random(direct)
    expected = bytearray()
    partly = fully = 0
    for number in range(200):
        for _ in range(dice.randrange(3)):
            piece = b"%d:" % number + b"x" * dice.choice([0, 10, 100, 1000, 5000]) + b"\r\n"
            expected += piece
            outbox.write(piece)
        if dice.random() < 0.1:
            piece = b"first"
            before = bytes(expected)
            at = len(before) if outbox.full else len(before) - outbox.waiting
            expected[at:at] = piece
            outbox.write_first(piece)
        if dice.random() < 0.7:
            outbox.flush()
            partly += buffered(speaker)
            fully += not buffered(speaker)
        if dice.random() < 0.6:
            reader.read(dice.choice([1, 1000, 50000]))
        if dice.random() < 0.3:
            await turn()
        if dice.random() < 0.1:
            while buffered(speaker) or outbox.waiting:
                reader.read()
                await turn()
    assert partly > 10
    assert fully > 10 or not direct
    outbox.close()
    assert await read_all(reader, speaker) == expected


@promise
async def test_a_client_that_does_not_read_costs_a_bounded_queue() -> None:
    """What is kept for a client that reads nothing is bounded, and its owner is told once."""
    speaker, outbox, reader = await connected(most=100_000)
    written = 0
    while not speaker.overflows and written < 1000:
        written += 1
        outbox.write(b"%4d" % written + b"." * 994 + b"\r\n")
        await turn()
    for _ in range(10):
        outbox.write(b"dropped")
        await turn()
    assert speaker.overflows == 1
    assert outbox.waiting == 0
    outbox.close()
    got = await read_all(reader, speaker)
    assert len(got) % 1000 == 0
    numbers = [int(got[at : at + 4]) for at in range(0, len(got), 1000)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert b"dropped" not in got
    assert len(numbers) < written <= len(numbers) + 102


@promise
async def test_a_client_that_reads_again_in_time_loses_nothing() -> None:
    """A pause of the client, shorter than the bound, costs it nothing."""
    speaker, outbox, reader = await connected(most=1_000_000)
    expected = b""
    for number in range(400):
        piece = b"%d" % number + b"." * 1000
        expected += piece
        outbox.write(piece)
        await turn()
    assert outbox.full
    for _ in range(10_000):
        if len(reader.read()) < len(expected):
            await turn()
    assert not outbox.full
    outbox.write(b"end")
    await turn()
    assert await read_all(reader, speaker) == expected + b"end"


@promise
async def test_a_broken_connection_is_no_error_of_the_writer() -> None:
    """Events for a client whose connection is reset raise nothing; its loss is noticed."""
    speaker, outbox, reader = await connected()
    reader.reset()

    def lost() -> bool:
        outbox.write(b"x" * 1000)
        outbox.flush()
        return speaker.lost is not None

    await eventually(lost)
    outbox.write(b"x")
    outbox.write_first(b"x")
    outbox.flush()
    outbox.close()
