"""How transcripts write bytes down."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcripts.notation import Line, parse_hex, parse_text, show, with_tokens


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("hello", b"hello"),
        ("Zoë", "Zoë".encode()),
        (r"caf\xe9", b"caf\xe9"),
        (r"\xc3\x9c", "Ü".encode()),
        (r"\e[31m\r\0\n\t", b"\x1b[31m\r\0\n\t"),
        (r"a\u202eb", "a\u202eb".encode()),
        (r"<\[3 xy]>", b"<xyxyxy>"),
        (r"\[2 a\n]", b"a\na\n"),
        (r"a\\b\\", rb"a\b" + b"\\"),
    ],
)
def test_a_backslash_writes_what_text_cannot(text: str, data: bytes) -> None:
    """Whatever a client can send can be written down."""
    assert parse_text(text) == (data, True)
    assert parse_text(text + "\\") == (data, False)


def test_a_backslash_that_means_nothing_is_refused() -> None:
    """A slip of the pen is not taken for something else."""
    for text in (r"\q", r"\xg0", r"\xE9", r"\u20", r"\[x 3]", r"\[3 x"):
        with pytest.raises(ValueError, match="means nothing"):
            parse_text(text)


def test_hexadecimal_may_be_explained() -> None:
    """What is in brackets is for people."""
    assert parse_hex("ff f4 (IAC IP) ff fd 06 (IAC DO TIMING-MARK)") == b"\xff\xf4\xff\xfd\x06"


@given(st.binary())
def test_what_is_shown_can_be_written(data: bytes) -> None:
    """What a failure shows can be put into the transcript as it is."""
    assert parse_text(show(data)) == (data, True)


def test_a_time_is_any_time_of_the_conversation() -> None:
    """The clock of the day of writing is an example; yesterday's is wrong all the same."""
    line = Line.parse("[15:04:05] #tea bob: hello")
    dated = Line.parse("[2026-11-24 15:04:05] #tea bob: hello")
    now = time.time()
    clock, date = time.strftime("%H:%M:%S", time.gmtime(now)), "%Y-%m-%d %H:%M:%S"
    assert line.matches(f"[{clock}] #tea bob: hello".encode(), now, {})
    assert not line.matches(f"[{clock}] #tea bob: hello ".encode(), now, {})
    assert not line.matches(f"[{clock[:-1]}] #tea bob: hello".encode(), now, {})
    for seconds, within in ((0, True), (-60, False), (60, False), (-86400, False)):
        then = time.gmtime(now + seconds)
        shown = f"[{time.strftime(date, then)}] #tea bob: hello".encode()
        assert dated.matches(shown, now, {}) is within
        shown = f"[{time.strftime('%H:%M:%S', then)}] #tea bob: hello".encode()
        assert line.matches(shown, now, {}) is (within or seconds == -86400)


def test_a_token_is_any_word_and_the_same_from_then_on() -> None:
    """What cannot be known when a transcript is written is still compared, and can be sent."""
    line, tokens = Line.parse("-- resume <first token>"), dict[str, str]()
    assert not line.matches(b"-- resume two words", 0.0, tokens)
    assert line.matches(b"-- resume a.b", 0.0, tokens)
    assert not line.matches(b"-- resume a.c", 0.0, tokens)
    assert with_tokens("resume <first token>", tokens) == "resume a.b"
    with pytest.raises(ValueError, match="second"):
        with_tokens("resume <second token>", tokens)
