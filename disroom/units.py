"""Durations and sizes, as people write them: numbers with a unit."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

LONGEST_DURATION = 100 * 365 * 86400.0
LARGEST_SIZE = (1 << 63) - 1
"""JetStream counts nanoseconds and bytes in 64 bits."""


class Duration(float):
    """Seconds, written as a number or as ``7d``, ``12h``, ``30m``, ``10s``, ``250ms``."""

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Read a duration; raises ValueError where it is none."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw]?)", str(value).strip())
        seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value
        if not 0 <= seconds <= LONGEST_DURATION:
            raise ValueError("a duration such as 7d, 12h, 30m, 10s or 250ms was expected")
        return cls(seconds)


class Size(int):
    """Bytes, written as a number or as ``512KiB``, ``64MiB``, ``10GiB``."""

    @classmethod
    def parse(cls, value: object) -> Size:
        """Read a size; raises ValueError where it is none."""
        match = re.fullmatch(r"(\d{1,19})\s*([KMGT]iB|B?)", str(value).strip())
        size = int(match[1]) * _SIZES[match[2]] if match else -1
        if not 0 <= size <= LARGEST_SIZE:
            raise ValueError("a size such as 512KiB, 64MiB or 10GiB was expected")
        return cls(size)


def decode_unit(kind: type, value: object) -> object:
    """Read one of these, as msgspec's ``dec_hook``."""
    if issubclass(kind, Duration | Size):
        return kind.parse(value)
    raise NotImplementedError(kind)


def encode_unit(value: object) -> object:
    """Write one of these as a plain number, as msgspec's ``enc_hook``."""
    if isinstance(value, Duration):
        return float(value)
    if isinstance(value, Size):
        return int(value)
    raise NotImplementedError(type(value))
