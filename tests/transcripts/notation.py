r"""How a transcript writes bytes down: text as it is, times as examples, the rest with backslashes.

``\r \n \t \0 \e`` are control characters, ``\x7f`` is a byte, ``\u202e`` a character, ``\\`` a
backslash, ``\[300 x]`` 300 times ``x``; a backslash at the very end says that no line end follows.
``<first token>`` is a word that cannot be known beforehand: any where it is first received, and the
same from then on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

_ESCAPE = re.compile(
    r"\\(?:x(?P<byte>[0-9a-f]{2})"
    r"|u(?P<character>[0-9a-f]{4})"
    r"|\[(?P<times>\d+) (?P<repeated>[^]]*)\]"
    r"|(?P<short>[rnt0e\\])"
    r"|(?P<wrong>.?))"
)
_SHORT = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "e": "\x1b", "\\": "\\"}
_SHOWN = {character: f"\\{name}" for name, character in _SHORT.items()}

_TIME = re.compile(r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d")
_TOKEN = re.compile(r"<[a-z]+ token>")
_OPEN = re.compile(f"{_TIME.pattern}|{_TOKEN.pattern}")
_DATED = "%Y-%m-%d %H:%M:%S"
_DAY_SECONDS = 86400

SLACK_SECONDS = 2.0
"""Times are shown in whole seconds, cut off; the rest is for clocks read one after the other."""


def parse_text(text: str) -> tuple[bytes, bool]:
    """Return the bytes that a text stands for, and whether a line end follows them.

    Raises:
        ValueError: It has a backslash that means nothing.
    """
    backslashes = len(text) - len(text.rstrip("\\"))
    if backslashes % 2:
        return _bytes(text[:-1]), False
    return _bytes(text), True


def parse_hex(text: str) -> bytes:
    """Return the bytes of ``ff f4 (IAC IP)``: what is in brackets is for people.

    Raises:
        ValueError: It is not hexadecimal.
    """
    return bytes.fromhex(re.sub(r"\([^)]*\)", "", text))


def show(data: bytes) -> str:
    """Write bytes down as a transcript would."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(map(_shown, text))


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is to be received; a time in it stands for any while the conversation lasts.

    Attributes:
        text: As it is written in the transcript.
        ended: Whether a line end follows.
    """

    text: str
    ended: bool
    _pattern: re.Pattern[bytes]
    _open: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Line:
        """Read one; raises ValueError as `parse_text` does."""
        _, ended = parse_text(text)
        written = text if ended else text[:-1]
        pattern, at, left_open = b"", 0, []
        for found in _OPEN.finditer(written):
            pattern += re.escape(_bytes(written[at : found.start()]))
            example = rb"\S+" if _TOKEN.fullmatch(found[0]) else found[0].encode()
            pattern += b"(%s)" % re.sub(rb"\d", rb"\\d", example)
            left_open.append(found[0])
            at = found.end()
        pattern += re.escape(_bytes(written[at:]))
        return cls(text, ended, re.compile(pattern), tuple(left_open))

    @property
    def size(self) -> int:
        """How many bytes it has, without its end."""
        return len(parse_text(self.text)[0])

    def matches(self, data: bytes, began: float, tokens: dict[str, str]) -> bool:
        """Whether these bytes, without a line end, are it.

        Args:
            data: What was received.
            began: When the conversation began, Unix seconds.
            tokens: Those received so far, by the names that the transcript gives them; added to.
        """
        found = self._pattern.fullmatch(data)
        if found is None:
            return False
        words = [word.decode() for word in found.groups()]
        for name, word in zip(self._open, words, strict=True):
            if _TOKEN.fullmatch(name):
                if tokens.setdefault(name, word) != word:
                    return False
            elif not _lies_within(word, began):
                return False
        return True


def with_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """Put tokens in the place of their names; raises ValueError where one was not received yet."""

    def token(name: re.Match[str]) -> str:
        if name[0] not in tokens:
            raise ValueError(f"{name[0]} was not received yet")
        return tokens[name[0]]

    return _TOKEN.sub(token, text)


def _bytes(text: str) -> bytes:
    return _ESCAPE.sub(_unescaped, text).encode("utf-8", "surrogateescape")


def _unescaped(escape: re.Match[str]) -> str:
    if escape["byte"]:
        return bytes.fromhex(escape["byte"]).decode("utf-8", "surrogateescape")
    if escape["character"]:
        return chr(int(escape["character"], 16))
    if escape["times"]:
        return int(escape["times"]) * _ESCAPE.sub(_unescaped, escape["repeated"])
    if escape["short"]:
        return _SHORT[escape["short"]]
    raise ValueError(f"{escape[0]} means nothing; a backslash is written \\\\")


def _shown(character: str) -> str:
    if character in _SHOWN:
        return _SHOWN[character]
    if character.isprintable():
        return character
    raw = character.encode("utf-8", "surrogateescape")
    if len(raw) in (1, 4):
        return "".join(f"\\x{byte:02x}" for byte in raw)
    return f"\\u{ord(character):04x}"


def _lies_within(shown: str, began: float) -> bool:
    """Whether a time, UTC, lies between the beginning and now."""
    first, last = began - SLACK_SECONDS, time.time() + SLACK_SECONDS
    if " " in shown:
        return _utc(first, _DATED) <= shown <= _utc(last, _DATED)
    hours, minutes, seconds = map(int, shown.split(":"))
    since = (hours * 3600 + minutes * 60 + seconds - first) % _DAY_SECONDS
    return since <= last - first


def _utc(at: float, form: str) -> str:
    return time.strftime(form, time.gmtime(at))
