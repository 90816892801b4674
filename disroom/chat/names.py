"""Names of people and rooms: parsed once, so that nothing downstream validates again.

The base rule is PRECIS (RFC 8265): ``UsernameCasePreserved`` gives the form that is shown,
``UsernameCaseMapped`` the form that is compared. PRECIS alone admits ``*``, ``-->``, ``bob:`` and a
Cyrillic letter in ``alice``, any of which could pass for something that the server says, so DisRoom
is narrower: letters, digits, marks, ``-``, ``_`` and ``.``; a letter or a digit first; one script
beside what all scripts share (UTS #39, "single script", with the Japanese and Korean mixtures
that it allows); at most two marks on a base.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from precis_i18n import get_profile

from disroom.chat.errors import BadName, BadNick, BadRoom

MAX_NICK_CHARACTERS = 32
MAX_ROOM_CHARACTERS = 64
MAX_BYTES_PER_CHARACTER = 4
MAX_MARKS_ON_A_BASE = 2
RESERVED = frozenset({"disroom", "error", "system"})

_shown_form = get_profile("UsernameCasePreserved").enforce
_compared_form = get_profile("UsernameCaseMapped").enforce

_PUNCTUATION = frozenset("-_.")
_TOKEN_LITERALS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")

# unicodedata has no script property, but the first word of a letter's name is its script.
_SHARED = frozenset({"COMBINING", "DIGIT"})
_HAN = frozenset({"CJK", "IDEOGRAPHIC"})
_MIXTURES = (
    _HAN | {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    _HAN | {"HANGUL"},
    _HAN | {"BOPOMOFO"},
    {"ARABIC", "ARABIC-INDIC"},  # its digits
    {"ARABIC", "EXTENDED"},  # its digits in Persian and Urdu: EXTENDED ARABIC-INDIC
)


@dataclass(frozen=True, slots=True)
class Name:
    """A valid name; equal to another when their compared forms are.

    Attributes:
        key: The compared form: case-mapped, NFC.
        display: The form that people see: case preserved, NFC.
    """

    key: str
    display: str = field(compare=False)

    def __str__(self) -> str:
        return self.display

    @property
    def token(self) -> str:
        """The key as one NATS subject token or part of a Redis key.

        ASCII letters, digits, ``-`` and ``_`` stand for themselves, any other byte of the UTF-8
        form is ``=`` and two hexadecimal digits: a token never holds ``.``, ``*``, ``>``, a space
        or a control character. Injective, and undone by `from_token`.
        """
        return _token(self.key)

    @classmethod
    @lru_cache(maxsize=8192)  # asked for with each message
    def trusted(cls, display: str) -> Self:
        """The name for a display form that was valid when another instance stored it."""
        return cls(_key(display), display)

    @classmethod
    def from_token(cls, token: str) -> Self:
        """The name behind a token; what was shown is gone, so the key is shown."""
        head, *rest = token.split("=")
        raw = head.encode("ascii")
        for part in rest:
            raw += bytes.fromhex(part[:2]) + part[2:].encode("ascii")
        key = raw.decode("utf-8")
        return cls(key, key)


class Nick(Name):
    """The name of a person: at most 32 characters and 128 bytes."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Nick:
        """Read a nick that somebody typed.

        Raises:
            BadNick: It breaks one of the rules of this module; the message says which.
        """
        return cls(*_checked(text, MAX_NICK_CHARACTERS, BadNick))


class RoomName(Name):
    """The name of a room: at most 64 characters and 256 bytes, shown without its ``#``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> RoomName:
        """Read a room name that somebody typed, with or without a leading ``#``.

        Raises:
            BadRoom: It breaks one of the rules of this module; the message says which.
        """
        return cls(*_checked(text.removeprefix("#"), MAX_ROOM_CHARACTERS, BadRoom))


def _key(display: str) -> str:
    """The compared form of a shown one.

    Of what ``UsernameCaseMapped`` does, only this is left to do to a form that is shown. It is a
    hundredth of the work, and entering a room of thousands does it for each member.
    """
    return unicodedata.normalize("NFC", display.lower())


@lru_cache(maxsize=8192)
def _token(key: str) -> str:
    return "".join(
        chr(byte) if chr(byte) in _TOKEN_LITERALS else f"={byte:02x}" for byte in key.encode()
    )


@lru_cache(maxsize=8192)  # of valid ones: a program names its room with each message
def _checked(text: str, most: int, error: type[BadName]) -> tuple[str, str]:
    """Return the compared and the shown form of a valid name."""
    if not text:
        raise error("a name cannot be empty")
    if len(text) > most or len(text.encode("utf-8", "replace")) > most * MAX_BYTES_PER_CHARACTER:
        raise error(f"a name has at most {most} characters")
    if any(character.isspace() for character in text):
        raise error("a name cannot contain spaces")
    try:
        display, key = str(_shown_form(text)), str(_compared_form(text))
    except UnicodeEncodeError as refused:
        raise error("a name has letters, digits, marks, - _ and . only") from refused
    for form in (display, key):
        _check_characters(form, error)
        if len(form) > most or len(form.encode()) > most * MAX_BYTES_PER_CHARACTER:
            raise error(f"a name has at most {most} characters")
    if key in RESERVED:
        raise error(f"{key} is reserved")
    return key, display


def _check_characters(form: str, error: type[BadName]) -> None:
    scripts: set[str] = set()
    marks = 0
    for position, character in enumerate(form):
        major = unicodedata.category(character)[0]
        if position == 0 and major not in "LN":
            raise error("a name starts with a letter or a digit")
        if major == "M":
            marks += 1
            if marks > MAX_MARKS_ON_A_BASE:
                raise error(f"a letter of a name has at most {MAX_MARKS_ON_A_BASE} marks")
        elif major in "LN":
            marks = 0
        elif character in _PUNCTUATION:
            marks = 0
            continue
        else:
            raise error("a name has letters, digits, marks, - _ and . only")
        scripts.add(unicodedata.name(character, "UNKNOWN").partition(" ")[0])
    scripts -= _SHARED
    if len(scripts) > 1 and not any(scripts <= mixture for mixture in _MIXTURES):
        raise error("a name keeps to the letters of one script")
