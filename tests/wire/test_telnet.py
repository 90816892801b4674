"""What telnet clients may send, and what they are answered."""

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.wire.errors import EndlessSubnegotiation
from disroom.wire.telnet import (
    BINARY,
    LINE_COMMANDS,
    MAX_SUBNEGOTIATION,
    TIMING_MARK,
    Command,
    Instruction,
    Telnet,
    Token,
)

ECHO = 1
SUPPRESS_GO_AHEAD = 3
DO_BINARY = b"\xff\xfd\x00"
WILL_BINARY = b"\xff\xfb\x00"
WONT_BINARY = b"\xff\xfc\x00"
DO_TIMING_MARK = b"\xff\xfd\x06"
WILL_TIMING_MARK = b"\xff\xfb\x06"

VERBS = (Command.WILL, Command.WONT, Command.DO, Command.DONT)

telnet_bytes = st.lists(
    st.one_of(
        st.sampled_from(range(Command.END_OF_FILE, Command.IAC)),
        st.just(Command.IAC),
        st.sampled_from([BINARY, ECHO, TIMING_MARK, *b"a\r\n"]),
        st.integers(0, 255),
    )
).map(bytes)
"""Bytes in which IAC and what may follow it are frequent."""


def said(*pieces: bytes) -> list[bytes]:
    """Feed each piece to a new connection, and return what is replied to each."""
    telnet = Telnet()
    replies = []
    for piece in pieces:
        telnet.feed(piece)
        replies.append(telnet.take_replies())
    return replies


def joined(tokens: list[Token]) -> list[Token]:
    """Return the tokens with neighbouring data made one."""
    result: list[Token] = []
    for token in tokens:
        if isinstance(token, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += token
        elif token:
            result.append(token)
    return result


def test_data_without_telnet_is_the_same_object() -> None:
    """Who types text without telnet waits for no copying."""
    data = "say grüße\r\n".encode()
    assert Telnet().feed(data)[0] is data


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"say hi\r\n", 0),
        (b"a\xff\xf1b\xff\xfd\x06", 5),
        (b"a\xff\xf4b\xff\xf7", 4),
        (b"\xff\xff", 1),
        (b"\xffs", 0),
        (b"\xff\xfaxy\xff\xf0z", 6),
    ],
)
def test_what_is_telnet_is_counted(data: bytes, size: int) -> None:
    """A flood of commands is noticed though it makes no line; plain text is none of it."""
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        telnet = Telnet()
        for piece in pieces:
            telnet.feed(piece)
        assert telnet.take_size() == size
        assert telnet.take_size() == 0


def test_nothing_is_said_to_netcat() -> None:
    """Users of nc and plink -raw never see negotiation printed among the messages."""
    telnet = Telnet()
    assert telnet.take_replies() == b""
    telnet.feed("nick Åsa\nsay \x00\x7f\n".encode())
    assert telnet.take_replies() == b""


def test_latin_1_is_not_taken_for_telnet() -> None:
    """A y-diaeresis in Latin-1, the byte FF, is kept to be refused, and brings no negotiation."""
    telnet = Telnet()
    assert joined(telnet.feed(b"Lou\xffs\nsay \xff\nmore\n")) == [b"Lou\xffs\nsay \xff\nmore\n"]
    assert telnet.take_replies() == b""


@pytest.mark.parametrize(
    "first",
    [
        b"\xff\xf4",
        b"\xff\xf1",
        b"\xff\xfb\x1f",
        b"\xff\xfe\x01",
        b"\xff\xfa\x18\x00xterm\xff\xf0",
    ],
)
def test_the_first_command_brings_do_binary_once(first: bytes) -> None:
    """A client that shows itself to be telnet is asked to send letters as they are, once."""
    before, again, after = said(b"hello\r\n" + first, first, WILL_BINARY)
    assert before.startswith(DO_BINARY)
    assert DO_BINARY not in before[1:] + again + after


def test_a_telnet_listener_asks_before_the_first_key() -> None:
    """On a port for telnet alone the first line may have any letter in it."""
    telnet = Telnet(negotiate_at_once=True)
    assert telnet.take_replies() == DO_BINARY
    telnet.feed(b"\xff\xf1" + WILL_BINARY)
    assert telnet.take_replies() == b""


def test_our_side_never_turns_binary_on() -> None:
    """Debian's telnet goes on echoing what its user types: it is never told WILL BINARY."""
    (reply,) = said(b"\xff\xfd\x00")
    assert reply == DO_BINARY + b"\xff\xfc\x00"


@pytest.mark.parametrize("option", [ECHO, SUPPRESS_GO_AHEAD, 5, 31, 34, 39, 200, 255])
def test_every_other_option_is_refused(option: int) -> None:
    """A client that asks for anything else is told no, and keeps echo and editing to itself."""
    will, do, again = said(
        bytes([255, Command.WILL, option]),
        bytes([255, Command.DO, option]),
        bytes([255, Command.WILL, option, 255, Command.DO, option]),
    )
    assert will == DO_BINARY + bytes([255, Command.DONT, option])
    assert do == bytes([255, Command.WONT, option])
    assert again == b""


def test_what_is_off_already_is_not_acknowledged() -> None:
    """WONT and DONT for what was never on get no answer, as RFC 854 wants it."""
    for option in (ECHO, TIMING_MARK, 77):
        (reply,) = said(bytes([255, Command.WONT, option, 255, Command.DONT, option]))
        assert reply == DO_BINARY


def test_what_is_on_already_is_not_answered() -> None:
    """A client that says again that it sends BINARY is not told to stop."""
    assert said(b"\xff\xf1", WILL_BINARY, WILL_BINARY) == [DO_BINARY, b"", b""]


def test_putty_is_answered_in_full() -> None:
    """PuTTY's opening gets each answer that it waits for, and its BINARY is taken silently."""
    opening = bytes.fromhex("fffb1f fffb20 fffb18 fffb27 fffd01 fffb03 fffd03")
    first, second = said(opening, WILL_BINARY)
    assert first == DO_BINARY + bytes.fromhex("fffe1f fffe20 fffe18 fffe27 fffc01 fffe03 fffc03")
    assert second == b""


def test_a_timing_mark_is_answered_every_time() -> None:
    """After Ctrl-C telnet shows output again, however often it is pressed."""
    first, second, third = said(
        b"\xff\xf4" + DO_TIMING_MARK, b"\xff\xf4" + DO_TIMING_MARK, DO_TIMING_MARK * 3
    )
    assert first == DO_BINARY + WILL_TIMING_MARK
    assert second == WILL_TIMING_MARK
    assert third == WILL_TIMING_MARK * 3


def test_are_you_there_is_answered_with_text() -> None:
    """Someone who wonders whether the server is there sees that it is; many at once see it once."""
    first, second, third = said(b"\xff\xf6", b"\xff\xf6" * 1000, b"\xff\xf6\xff\xf1")
    assert first == DO_BINARY + b"[yes]\r\n"
    assert second == third == b"[yes]\r\n"


def test_binary_is_in_force_from_its_place_in_the_data() -> None:
    """A command counts as meant from the client's WILL BINARY on, not before, in one packet too."""
    telnet = Telnet()
    assert telnet.feed(b"a\xff\xf4b" + WILL_BINARY + b"c\xff\xf4" + WONT_BINARY + b"\xff\xf4") == [
        b"a",
        Instruction(Command.INTERRUPT, binary=False),
        b"b",
        b"c",
        Instruction(Command.INTERRUPT, binary=True),
        Instruction(Command.INTERRUPT, binary=False),
    ]
    assert telnet.take_replies() == DO_BINARY + b"\xff\xfe\x00"


def test_a_client_that_refuses_binary_is_left_alone() -> None:
    """A client that will not send BINARY is not asked twice, nor believed should it flap."""
    telnet = Telnet()
    telnet.feed(b"\xff\xf1" + WONT_BINARY + WILL_BINARY * 3)
    assert telnet.feed(b"\xff\xf4") == [Instruction(Command.INTERRUPT, binary=False)]
    assert telnet.take_replies() == DO_BINARY
    telnet = Telnet()
    telnet.feed(WILL_BINARY + WONT_BINARY + WILL_BINARY)
    assert telnet.feed(b"\xff\xf4") == [Instruction(Command.INTERRUPT, binary=False)]


@pytest.mark.parametrize("command", sorted(LINE_COMMANDS))
def test_commands_for_the_line_keep_their_place(command: Command) -> None:
    """What a key does to the line applies to what was typed before it, and not after."""
    assert Telnet().feed(b"ab" + bytes([255, command]) + b"cd") == [
        b"ab",
        Instruction(command, binary=False),
        b"cd",
    ]


def test_other_commands_leave_nothing() -> None:
    """A keep-alive or a go-ahead does not show in anybody's text."""
    others = [c for c in range(0xEC, 0xFA) if c not in LINE_COMMANDS]
    data = b"".join(b"x" + bytes([255, command]) for command in others)
    assert joined(Telnet().feed(data)) == [b"x" * len(others)]


def test_a_doubled_iac_is_one_byte_of_data() -> None:
    """A byte FF that telnet escaped reaches the line as it was typed."""
    telnet = Telnet()
    assert joined(telnet.feed(b"a\xff\xffb")) == [b"a\xffb"]
    assert telnet.take_replies() == b""


def test_a_subnegotiation_is_skipped_whole() -> None:
    """A terminal type or a window size never shows in anybody's text, IAC in it or not."""
    telnet = Telnet()
    data = b"a\xff\xfa\x1f\x00\xff\xff\x00\xff\xf1\x18\n\xff\xf0b"
    assert joined(telnet.feed(data)) == [b"ab"]


def test_the_longest_subnegotiation_is_borne_and_a_longer_one_is_a_fault() -> None:
    """Nobody is cut off for a long subnegotiation, and nobody can keep one open for ever."""
    longest = Telnet()
    body = b"x" * (MAX_SUBNEGOTIATION - 2)
    assert joined(longest.feed((b"\xff\xfa" + body + b"\xff\xf0ok") * 2)) == [b"okok"]
    assert longest.fault is None

    endless = Telnet()
    assert endless.feed(b"kept\n\xff\xfa" + body) == [b"kept\n"]
    assert endless.fault is None
    endless.feed(b"x")
    endless.feed(b"x")
    assert isinstance(endless.fault, EndlessSubnegotiation)
    assert endless.feed(b"\xff\xf0more\n") == []
    assert endless.fault.code == "endless-subnegotiation"


@given(telnet_bytes, st.lists(st.integers(0, 60)))
def test_packets_make_no_difference(data: bytes, cuts: list[int]) -> None:
    """However the network cuts what a client sends, it means the same and never fails."""
    data = data.replace(bytes([Command.ARE_YOU_THERE]), b"")
    whole, cut = Telnet(), Telnet()
    expected = joined(whole.feed(data))
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    tokens = []
    for start, end in pairwise(edges):
        tokens += cut.feed(data[start:end])
    assert joined(tokens) == expected
    assert cut.take_replies() == whole.take_replies()


@pytest.mark.parametrize("verbs", [*permutations(VERBS, 2), VERBS, VERBS[::-1]])
def test_no_negotiation_loops(verbs: tuple[Command, ...]) -> None:
    """A peer that answers every answer, with whatever verbs, soon gets no more of them."""
    telnet = Telnet()
    packet = bytes(
        byte
        for verb in verbs
        for option in range(256)
        if option != TIMING_MARK
        for byte in (Command.IAC, verb, option)
    )
    for _ in range(5):
        telnet.feed(packet)
        reply = telnet.take_replies()
        packet = b"".join(
            bytes([Command.IAC, verb, option]) for option in reply[2::3] for verb in verbs
        )
    assert packet == b""


@given(telnet_bytes)
def test_plain_text_comes_out_as_it_went_in(data: bytes) -> None:
    """Any data, its FF doubled, is read back exactly."""
    telnet = Telnet()
    assert joined(telnet.feed(data.replace(b"\xff", b"\xff\xff"))) == ([data] if data else [])
    assert telnet.take_replies() == b""
