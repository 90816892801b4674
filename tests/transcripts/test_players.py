"""What a transcript says is what was received, or the difference is shown."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.processes.client import LineClient
from tests.processes.text_client import Clients
from tests.transcripts.notation import Line
from tests.transcripts.players import Mismatch, Player


@dataclass
class Peer:
    """The other side of a player: the test."""

    player: Player
    connection: socket.socket

    def says(self, text: str) -> None:
        """Send something to the player."""
        self.connection.sendall(text.encode())


@pytest.fixture
def peer(clients: Clients) -> Iterator[Peer]:
    """A player that has little patience, and its other side."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = LineClient(clients, listener.getsockname())
        connection, _ = listener.accept()
        player = Player(client, clients, began=time.time(), tokens={})
        player.patience = 0.2
        with connection:
            yield Peer(player, connection)


def lines(*texts: str) -> list[Line]:
    """Read lines as a transcript has them."""
    return [Line.parse(text) for text in texts]


def test_lines_are_compared_whole_and_in_order(peer: Peer) -> None:
    """A line that is a little longer, or that comes before its turn, is not overlooked."""
    peer.says("one\r\ntwo and\r\n")
    with pytest.raises(Mismatch, match=r"expected: two\ngot:      one\n          two and"):
        peer.player.receive(*lines("two"))
    peer.player.receive(*lines("one"))
    with pytest.raises(Mismatch, match=r"expected: two\ngot:      two and"):
        peer.player.receive(*lines("two"))
    peer.player.receive(*lines("two and"))


@pytest.mark.parametrize("data", ["", "Pong", "Pong\n"])
def test_a_line_that_does_not_come_is_missed(peer: Peer, data: str) -> None:
    """A line counts when its end, CR LF, is there."""
    peer.says(data)
    with pytest.raises(Mismatch, match="expected: Pong"):
        peer.player.receive(*lines("Pong"))


def test_what_has_no_line_end_is_compared_alone(peer: Peer) -> None:
    """The question for a name is followed by nothing but what comes next."""
    peer.says("Name: Name: hello\r\n")
    peer.player.receive(*lines("Name: \\"))
    with pytest.raises(Mismatch, match=r"got: *Name: hello"):
        peer.player.receive(*lines("Nick: \\"))
    peer.player.receive(*lines("Name: \\"))
    peer.player.receive(*lines("hello"))


def test_lines_in_any_order_are_all_of_them(peer: Peer) -> None:
    """Of two lines neither may be missing, and neither comes twice."""
    peer.says("b\r\na\r\nb\r\nb\r\n")
    peer.player.receive(*lines("a", "b"))
    with pytest.raises(Mismatch, match=r"expected: a\ngot: *b"):
        peer.player.receive(*lines("a", "b"))


def test_bytes_are_compared_as_they_are(peer: Peer) -> None:
    """What telnet negotiates is no text."""
    peer.connection.sendall(b"\xff\xfd\x00\xff\xfb\x06hello\r\n")
    peer.player.receive_bytes(b"\xff\xfd\x00")
    with pytest.raises(Mismatch, match=r"expected: \\xff\\xfb\\x01\\\ngot: *\\xff\\xfb\\x06hello"):
        peer.player.receive_bytes(b"\xff\xfb\x01")


def test_a_connection_is_closed_with_nothing_left(peer: Peer) -> None:
    """A last line that the transcript does not have is not lost in the end of the connection."""
    with pytest.raises(Mismatch, match=r"expected: \(the connection is closed\)"):
        peer.player.be_disconnected()
    peer.says("Goodbye!\r\n")
    peer.connection.close()
    with pytest.raises(Mismatch, match=r"got: *Goodbye!\n *\(the connection is closed\)"):
        peer.player.be_disconnected()
    with pytest.raises(Mismatch, match=r"expected: Hello\ngot: *Goodbye!"):
        peer.player.receive(*lines("Hello"))
    peer.player.receive(*lines("Goodbye!"))
    peer.player.be_disconnected()


def test_hearing_nothing_is_seen_by_an_answer(peer: Peer) -> None:
    """Nobody has to wait to see that nothing has come."""
    peer.says("Pong\r\nhello\r\nPong\r\n")
    peer.player.receive_nothing()
    with pytest.raises(Mismatch, match=r"expected: Pong\ngot: *hello"):
        peer.player.receive_nothing()


def test_skipping_ends_at_the_line(peer: Peer) -> None:
    """What follows the line that was skipped to is compared."""
    peer.says("a\r\nb\r\nc\r\n")
    (line,) = lines("b")
    peer.player.skip_to(line)
    peer.player.receive(*lines("c"))
    with pytest.raises(Mismatch, match="expected: b"):
        peer.player.skip_to(line)


def test_asking_ends_with_the_answer_that_is_waited_for(peer: Peer) -> None:
    """What follows it is compared; another answer in the end is a mismatch."""
    peer.says("no\r\nno\r\nyes\r\nmore\r\nno\r\n")
    (yes,) = lines("yes")
    peer.player.ask_until(b"well?", yes)
    peer.player.receive(*lines("more"))
    with pytest.raises(Mismatch, match="expected: yes"):
        peer.player.ask_until(b"well?", yes)
    assert peer.connection.recv(100).count(b"well?") >= 4
