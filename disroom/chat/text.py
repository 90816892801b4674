"""What one user may put on another's screen.

- Terminal control sequences go as a whole (ECMA-48: control sequences, control strings, escape
  sequences; opened by ESC or by a C1 control), so that no ``[31m`` is left of a colour. Of a string
  without its end only the opening goes: nothing that is readable is lost to it.
- Tabs, line ends, and the line and paragraph separators become a space, and other controls go.
- What has no glyph goes: Unicode's Default_Ignorable_Code_Point, with it the bidirectional
  controls. The marks LRM, RLM and ALM go too: they reorder the punctuation next to them, and make
  two texts that look the same differ. ZWJ, ZWNJ and the variation selectors stay, since emoji,
  Persian and Mongolian are written with them; tag characters go, so a regional flag becomes black.
- Surrogates and noncharacters go; private use and unassigned characters stay.
- At most 8 marks stay on a base, joiners and variation selectors among them: a writing
  system has no use for more, and a pile of them covers the lines above and below.
"""

import re
import unicodedata

from disroom.chat.errors import EmptyText, TextTooLong

MAX_MARKS_ON_A_BASE = 8
"""Of names it is less: see `disroom.chat.names`."""

_CONTROL_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
_CONTROL_STRING = r"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
_ESCAPE_SEQUENCE = r"\x1b[ -/]*[0-~]"
_SEQUENCE = re.compile(f"{_CONTROL_SEQUENCE}|{_CONTROL_STRING}|{_ESCAPE_SEQUENCE}")

_BREAK = re.compile(r"\r\n|[\t-\r\x85\u2028\u2029]")

_IGNORABLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_NONCHARACTERS = r"\ufdd0-\ufdef" + "".join(
    rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(17)
)
_UNSEEN = re.compile(rf"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_IGNORABLE}{_NONCHARACTERS}]")

# No mark and no joiner is a word character to `re`, nor in ASCII: this finds at a glance the few
# stretches where there could be too many.
_MAYBE_CROWDED = re.compile(rf"[^\w\s!-~]{{{MAX_MARKS_ON_A_BASE + 1},}}")
_JOINERS = frozenset("\u200c\u200d")


def clean(text: str) -> str:
    """Return the text as others may see it; cleaning it again changes nothing.

    The text may begin or end with spaces, and may be empty though it was not.
    """
    if text.isascii() and text.isprintable():
        return text
    if not text.isprintable():
        text = _BREAK.sub(" ", _SEQUENCE.sub("", text))
    return _MAYBE_CROWDED.sub(_thinned, _UNSEEN.sub("", text))


def sendable(text: str, most: int) -> str:
    """Return a text as it is sent: clean, and without blanks around it.

    Args:
        text: As its sender wrote it.
        most: Bytes that it may have, in UTF-8.

    Raises:
        EmptyText: Nothing is left of it.
        TextTooLong: Too much is.
    """
    text = clean(text).strip()
    if not text:
        raise EmptyText
    if len(text.encode()) > most:
        raise TextTooLong(most)
    return text


def _thinned(stretch: re.Match[str]) -> str:
    kept = []
    marks = 0
    for character in stretch[0]:
        if unicodedata.category(character)[0] == "M" or character in _JOINERS:
            marks += 1
            if marks > MAX_MARKS_ON_A_BASE:
                continue
        else:
            marks = 0
        kept.append(character)
    return "".join(kept)
