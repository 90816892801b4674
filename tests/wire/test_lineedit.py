"""What one line says, once the keys in it have been applied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.wire.errors import BadEncoding, DamagedLine
from disroom.wire.lineedit import decode_line


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_is_read_as_it_was_sent(text: str) -> None:
    """Whatever people write, in any script, arrives."""
    assert decode_line(text.encode()) == text


@pytest.mark.parametrize("key", [b"\x08", b"\x7f"])
def test_backspace_takes_the_last_character(key: bytes) -> None:
    """In a raw terminal Backspace works, whichever of its two codes it sends."""
    assert decode_line(b"helo" + key + b"lo") == "hello"
    assert decode_line("añ".encode() + key + "日本".encode() + key) == "a日"
    assert decode_line("ok 😀".encode() + key + b"!") == "ok !"
    assert decode_line("e\u0301".encode() + key) == "e"
    assert decode_line(b"a" + key * 3 + b"b") == "b"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.text("añ日😀\u0301", max_size=9))
def test_what_is_erased_was_never_typed(kept: str, erased: str) -> None:
    """As many backspaces as characters undo them, whatever their bytes."""
    assert decode_line((kept + erased).encode() + b"\x7f" * len(erased)) == kept


def test_control_u_and_control_w() -> None:
    """In a raw terminal Ctrl-U takes the line back, and Ctrl-W a word."""
    assert decode_line(b"say no\x15say yes") == "say yes"
    assert decode_line(b"a\x7f\x15\x15b\x15say yes") == "say yes"
    assert decode_line(b"say one two  \x17three") == "say one three"
    assert decode_line(b"say\tone\x17two") == "say\ttwo"
    assert decode_line(b"one\x17\x17two") == "two"


@pytest.mark.parametrize(
    "raw",
    [
        b"say caf\xe9",
        b"\xc3",
        b"\xc3\x28",
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff\xfe",
    ],
    ids=bytes.hex,
)
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    """Someone with another encoding is told, and others never see the mess."""
    with pytest.raises(BadEncoding) as refused:
        decode_line(raw)
    assert refused.value.code == "bad-encoding"
    assert "UTF-8" in refused.value.message


def test_damage_is_told_apart_and_can_be_erased() -> None:
    """A line with a lost letter is asked for again, unless its author has erased that letter."""
    with pytest.raises(DamagedLine) as refused:
        decode_line(b"say \xc3\rber")
    assert refused.value.code == "damaged-line"
    assert "again" in refused.value.message
    assert decode_line(b"say \xc3\r\x7fUber") == "say Uber"
    assert decode_line(b"say \xe2\r\r\x7fok") == "say ok"
    assert decode_line(b"say \xc3\rber\x15say Ueber") == "say Ueber"


def test_erasing_mends_a_line_that_was_not_utf_8() -> None:
    """Who erases what could not be read is not told of it."""
    assert decode_line(b"say \xe9\x7fe") == "say e"


def test_other_controls_are_left_in_place() -> None:
    """Controls that edit nothing reach the cleaning of texts and break nothing before it."""
    assert decode_line(b"a\0b\x1b[31mc\td\x04") == "a\0b\x1b[31mc\td\x04"


@given(st.binary())
def test_any_line_is_text_or_refused(raw: bytes) -> None:
    """No line whatever raises anything but the two errors."""
    try:
        decode_line(raw.replace(b"\n", b""))
    except (DamagedLine, BadEncoding) as error:
        assert error.message
