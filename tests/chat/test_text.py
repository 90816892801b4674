"""What one user can and cannot put on another's screen."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from disroom.chat.errors import EmptyText, TextTooLong
from disroom.chat.text import MAX_MARKS_ON_A_BASE, clean, sendable

BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"

nasty = st.lists(
    st.one_of(
        st.text(),
        st.text(st.characters(categories=["Cc", "Cf", "Cn", "Mn", "Me", "Zl", "Zp"])),
        st.sampled_from("\x1b\x9b\x9d\x90\x07\x9c[]PX^_\\;031mh \u0301\u200d\ufe0f"),
        st.sampled_from(["\x1b[", "\x1b]", "\x1b\\", "\u0301" * 9, "\ud800", "\r\n"]),
    )
).map("".join)
"""Texts in which everything that is taken out is frequent."""


def is_forbidden(character: str) -> bool:
    """Say by the Unicode database whether a character could harm a screen or cannot be seen."""
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character)
        in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        or (ord(character) & 0xFFFE) == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
        or 0xE0000 <= ord(character) <= 0xE007F
        or character in "\u00ad\u061c\u180e\u200b\u200e\u200f\u2060\ufeff\ufff9\ufffa\ufffb"
    )


@given(nasty)
@example("\x1b\x1b[0m[31m")
@example("a" + "\u0301\u200d" * 20)
@example("a\u0301\u0301\u0301\u0301\u0301\u200b\u0301\u0301\u0301\u0301\u0301")
def test_nothing_harmful_is_left_and_cleaning_again_changes_nothing(text: str) -> None:
    """Nobody's screen is changed by a message, and a text that was cleaned once stays as it is."""
    cleaned = clean(text)
    assert not [hex(ord(c)) for c in cleaned if is_forbidden(c)]
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_every_single_character_is_kept_or_taken_by_the_rule() -> None:
    """No character in all of Unicode slips through, and no visible one is lost."""
    for code in range(0x110000):
        character = chr(code)
        cleaned = clean(f"ä{character}é")
        if is_forbidden(character):
            assert cleaned in {"äé", "ä é"}, hex(code)
        elif unicodedata.category(character)[0] in "LMNPS" and character not in BLANK_LETTERS:
            assert cleaned == f"ä{character}é", hex(code)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_ascii_is_untouched(text: str) -> None:
    """Ordinary English, code and ASCII art arrive as they were typed."""
    assert clean(text) is text


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, Šárka, Ελληνικά, Привет",
        "日本語 한국어 中文\u3000全角",
        "שלום עולם, مرحبا",
        "می\u200cخواهم",  # noqa: RUF001 (Persian)
        "क्\u200dष नमस्ते",
        "ཧཱུྃ",
        "👩\u200d❤\ufe0f\u200d💋\u200d👨 👍🏽 🇩🇪 1\ufe0f\u20e3",
        "🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉",
        "Việt Nam e\u0302\u0301",
        "葛\U000e0100",
        "…“”—⟨⟩→←↑↓",
        "\ue0b0 powerline",
    ],
)
def test_what_people_write_is_untouched(text: str) -> None:
    """Every script and every emoji arrives as it was typed."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;5;196;1mred\x1b[m", "red"),
        ("\x1b[?25l\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\x\x1bXsos\x1b\\y\x1b^pm\x1b\\z\x1b_apc\x1b\\", "xyz"),
        ("\x1b(Bplain\x1b7\x1b8\x1bc", "plain"),
        ("\x1b]0;no end", "0;no end"),
        ("cut\x1b[3", "cut"),
        ("left\x1b[D\x1b[Dright", "leftright"),
        ("bell\x07 back\x08space\x7f", "bell backspace"),
        ("end\x1b", "end"),
    ],
)
def test_a_control_sequence_goes_whole(text: str, cleaned: str) -> None:
    """Nobody can colour, clear or retitle another's terminal, and no litter is left of the try."""
    assert clean(text) == cleaned


@pytest.mark.parametrize("gap", ["\t", "\n", "\r\n", "\v", "\f", "\r", "\x85", "\u2028", "\u2029"])
def test_words_stay_apart(gap: str) -> None:
    """A text of several lines, from a client that can send one, is one line, its words apart."""
    assert clean(f"one{gap}two") == "one two"


def test_nobody_can_reverse_anothers_screen() -> None:
    """Overrides, embeddings, isolates and marks of direction are gone; the letters stay."""
    controls = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\u200e\u200f"
    assert clean("a".join(controls)) == "a" * (len(controls) - 1)


@pytest.mark.parametrize("hidden", ["\u200b", "\u2060", "\ufeff", "\u180e", "\u00ad", "\U000e0041"])
def test_nothing_is_hidden_between_letters(hidden: str) -> None:
    """Two texts that look the same are the same."""
    assert clean(f"pay{hidden}pal") == "paypal"


def test_a_pile_of_marks_is_cut() -> None:
    """A letter with a tower of marks does not cover the lines above; its first eight stay."""
    tower = "\u0301\u0302\u0303\u20dd" * 10
    kept = tower[:MAX_MARKS_ON_A_BASE]
    assert clean(f"Z{tower}o{tower}!") == f"Z{kept}o{kept}!"
    assert clean(tower) == kept
    assert clean("Z" + tower[: MAX_MARKS_ON_A_BASE + 1]) == f"Z{kept}"
    assert clean(f"❤{kept}❤{kept}") == f"❤{kept}❤{kept}"
    assert clean("Z" + "\u0301\u200d" * 50) == "Z" + "\u0301\u200d" * (MAX_MARKS_ON_A_BASE // 2)


def test_what_counts_of_a_text_is_what_is_left_of_it() -> None:
    """What is taken out makes no text too long, and is none by itself."""
    assert sendable(" \x1b[31mé\u200bé \n", 4) == "éé"
    with pytest.raises(TextTooLong):
        sendable("ééé", 5)
    with pytest.raises(EmptyText):
        sendable(" \x1b[31m\u200b\n", 4)
