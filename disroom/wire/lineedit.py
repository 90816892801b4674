"""One raw line to text: edited as a terminal would have, checked for damage, decoded.

Some terminals are raw and send the keys that edit a line (the names are those of termios). Any
control character that is not named here stays, for whoever cleans the text.

- ERASE, 08 or 7F: drops the last code point with all its bytes, as a terminal with IUTF8 does, so
  a combining mark goes before its base.
- KILL, 15 (Ctrl-U): drops the line so far. WERASE, 17 (Ctrl-W): its last word and the blanks after.
- DAMAGE, 0D, is no key: it stands for one byte of a letter that a telnet client lost. It cannot
  occur otherwise, since it ends a line. Who erases the letter mends the line.
"""

import re

from disroom.wire.errors import BadEncoding, DamagedLine

ERASE = b"\x08"
KILL = b"\x15"
DAMAGE = b"\r"

_ERASING = frozenset(b"\x08\x7f")
_WERASE = 0x17
_EDITING = re.compile(rb"[\x08\x17\x7f]")
_BLANKS = b" \t"
_INNER_BYTES = frozenset(range(0x80, 0xC0)) | frozenset(DAMAGE)
"""What follows the first byte of a UTF-8 character."""


def decode_line(raw: bytes) -> str:
    """Return the text that a line, given without its end, was meant to be.

    Raises:
        DamagedLine: After editing it lacks bytes that a telnet client lost.
        BadEncoding: After editing it is not UTF-8, which has no overlong forms and no surrogates.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        pass
    else:
        # No key and no damage is printable.
        if text.isprintable():
            return text
    meant = _edited(raw.rpartition(KILL)[2])
    if DAMAGE in meant:
        raise DamagedLine
    try:
        return meant.decode()
    except UnicodeDecodeError as error:
        raise BadEncoding from error


def _edited(typed: bytes) -> bytes:
    if not _EDITING.search(typed):
        return typed
    kept = bytearray()
    for byte in typed:
        if byte in _ERASING:
            while kept and kept[-1] in _INNER_BYTES:
                kept.pop()
            del kept[-1:]
        elif byte == _WERASE:
            kept = kept.rstrip(_BLANKS)
            del kept[max(map(kept.rfind, (b" ", b"\t"))) + 1 :]
        else:
            kept.append(byte)
    return bytes(kept)
