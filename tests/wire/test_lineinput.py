"""Which lines come of what clients send."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat.errors import ChatError
from disroom.wire.errors import BadEncoding, DamagedLine
from disroom.wire.lineedit import decode_line
from disroom.wire.lineinput import LineInput
from disroom.wire.telnet import Telnet

CTRL_C = b"\xff\xf4\xff\xfd\x06"
WILL_BINARY = b"\xff\xfb\x00"
LINE_END = re.compile(rb"\r\n|\r\0|\r|\n")

ends = st.sampled_from([b"\n", b"\r\n", b"\r\0", b"\r"])
text_bytes = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", "é".encode(), b"\x08"])).map(
    b"".join
)

# What Debian's telnet (inetutils 2.4) sends for these letters before WILL BINARY.
DEBIAN = {
    "Ã": b"\xc3\xff\xf4\xff\xfd\x06",
    "Ï": b"\xc3\xff\xf5\xff\xfd\x06",
    "Ú": b"\xc3\xff\xed\xff\xfd\x06",
    "Ü": b"\xc3\xff\xf3\xff\xfd\x06",
}
_AS_COMMANDS = {
    0x83: b"\xff\xf4\xff\xfd\x06",
    0x8F: b"\xff\xf5\xff\xfd\x06",
    0x9A: b"\xff\xed\xff\xfd\x06",
    0x9C: b"\xff\xf3\xff\xfd\x06",
}


def typed_in_debian_telnet(text: str) -> bytes:
    """Return what Debian's telnet sends for a text before WILL BINARY."""
    return b"".join(_AS_COMMANDS.get(byte, bytes([byte])) for byte in text.encode())


def lines(*packets: bytes) -> list[str | type[ChatError]]:
    """Return the lines that whole packets make, or for each the error that it is answered with."""
    lineinput = LineInput(Telnet())
    *raw, rest = b"".join(lineinput.feed(packet) for packet in packets).split(b"\n")
    assert rest == b""
    return [outcome(line) for line in raw]


def outcome(raw: bytes) -> str | type[ChatError]:
    """Return the text of a line, or the class of the error."""
    try:
        return decode_line(raw)
    except ChatError as error:
        return type(error)


def test_text_with_plain_line_ends_is_the_same_object() -> None:
    """Who sends LF waits for no copying."""
    data = b"say hello\nsay again\n"
    assert LineInput(Telnet()).feed(data) is data


def test_every_line_end_is_one_end() -> None:
    """Every client's Enter sends the line, once."""
    assert lines(b"a\nb\r\nc\r\0d\re\r\r\n\r\0\r") == ["a", "b", "c", "d", "e", "", "", ""]


@pytest.mark.parametrize("second", [b"\n", b"\0"])
def test_a_line_end_in_two_packets_is_one_end(second: bytes) -> None:
    """A line is there as soon as its CR is, and no empty line follows when the rest arrives."""
    lineinput = LineInput(Telnet())
    assert lineinput.feed(b"a\r") == b"a\n"
    assert lineinput.feed(b"") == b""
    assert lineinput.feed(second) == b""
    assert lineinput.feed(second) == second


def test_a_command_between_cr_and_lf_changes_nothing() -> None:
    """A keep-alive in the middle of a line end makes no empty line."""
    assert lines(b"a\r\xff\xf1\nb\r", b"\xff\xf1", b"\0c\n") == ["a", "b", "c"]


@given(st.lists(st.tuples(st.text("abcé\x08 "), ends), min_size=1))
def test_lines_survive_any_mixture_of_ends(typed: list[tuple[str, bytes]]) -> None:
    """Clients with different line ends read as one."""
    data = b"".join(text.encode() + end for text, end in typed)
    assert LineInput(Telnet()).feed(data) == LINE_END.sub(b"\n", data)


@given(text_bytes, st.lists(st.integers(0, 40)))
def test_packets_make_no_difference_to_lines(data: bytes, cuts: list[int]) -> None:
    """However the network cuts what a client sends, its lines are the same."""
    lineinput = LineInput(Telnet())
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    pieces = [lineinput.feed(data[a:b]) for a, b in pairwise(edges)]
    assert b"".join(pieces) == LINE_END.sub(b"\n", data)


@given(st.lists(st.binary() | st.sampled_from([*DEBIAN.values(), CTRL_C, WILL_BINARY, b"\r"])))
def test_arbitrary_bytes_never_break_the_reading(packets: list[bytes]) -> None:
    """Whatever a client sends, it gets lines or one of the errors that it is told of."""
    together, apart = LineInput(Telnet()), LineInput(Telnet())
    whole = together.feed(b"".join(packets))
    single = b"".join(apart.feed(bytes([byte])) for byte in b"".join(packets))
    assert whole == single
    for raw in whole.split(b"\n"):
        outcome(raw)


@pytest.mark.parametrize(("letter", "sent"), DEBIAN.items())
def test_a_letter_that_telnet_lost_is_noticed(letter: str, sent: bytes) -> None:
    """A line that Debian's telnet sent without some of its letters is never said as if whole."""
    assert typed_in_debian_telnet(letter) == sent
    assert lines(b"say a" + sent + b"b\r\n") == [DamagedLine]
    assert lines(b"say a" + sent, b"\r\n", b"say next\r\n") == [DamagedLine, "say next"]


def test_the_line_sent_again_is_whole() -> None:
    """Once the client has agreed to BINARY, the same letters arrive, in the same packet too."""
    again = "say Ãü".encode()
    first = typed_in_debian_telnet("say Ãü")
    assert lines(first + b"\r\n" + WILL_BINARY + again + b"\n") == [DamagedLine, "say Ãü"]


@given(st.text("aÃÏÚÜé✅日😃🏚 ", min_size=1))
def test_damage_is_seen_exactly_where_it_is(text: str) -> None:
    """Any text is either read as it was typed or refused; it is never changed."""
    sent = typed_in_debian_telnet(text)
    assert lines(sent + b"\r\n") == [text if sent == text.encode() else DamagedLine]


def test_bytes_that_telnet_drops_without_a_trace_are_noticed() -> None:
    """A-ring, of which Debian's telnet sends only the first byte, is never said without it."""
    assert lines(b"say a\xc3z\r\n") == [BadEncoding]


@pytest.mark.parametrize(
    "command", [b"\xff\xf4", b"\xff\xee", b"\xff\xf3", b"\xff\xed", b"\xff\xf8"]
)
def test_interrupting_drops_what_was_typed(command: bytes) -> None:
    """Ctrl-C takes back the line typed so far and nothing else, and damage is forgotten with it."""
    for sent in (command, command + b"\xff\xfd\x06"):
        assert lines(b"one\r\nsay oo", sent + b"say two\r\n") == ["one", "say two"]
        assert lines(b"say \xc3" + CTRL_C + b"x", sent, b"three\n") == ["three"]
        assert lines(sent + b"four\n") == ["four"]
        for letter in "é日😀":
            assert lines(f"say {letter}".encode() + sent + b"five\n") == ["five"]


def test_interrupting_in_binary_is_meant() -> None:
    """After WILL BINARY Ctrl-C is never taken for a letter, even inside one."""
    assert lines(b"say \xc3", CTRL_C + b"six\n") == [DamagedLine]
    assert lines(WILL_BINARY + b"say \xc3", CTRL_C + b"six\n") == ["six"]


def test_aborting_output_leaves_the_line() -> None:
    """Ctrl-O takes nothing away from what is typed."""
    assert lines(b"say one\xff\xf5\xff\xfd\x06 two\n") == ["say one two"]


def test_telnets_erase_character_erases_one() -> None:
    """The erase that telnet sends as a command does what the key does."""
    assert lines("say é".encode() + b"\xff\xf7b\n") == ["say b"]


def test_what_is_remembered_of_what_was_typed_is_bounded() -> None:
    """A client that sends its lines byte by byte costs no more memory than any other."""
    lineinput = LineInput(Telnet())
    for _ in range(1000):
        lineinput.feed(b"a")
    assert len(lineinput._tail) < 4
