"""The log as JSON, a line an event, for machines that collect it."""

from __future__ import annotations

import sys
from typing import IO, Any

import msgspec
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer


@implementer(ILogObserver)
class JsonLogObserver:
    """Writes ``{"at", "level", "from", "text", "traceback"?}`` and the event's plain fields."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def __call__(self, event: LogEvent) -> None:
        """Write one event; an event that cannot be written is not worth dying for."""
        line: dict[str, Any] = {
            "at": event.get("log_time"),
            "level": getattr(event.get("log_level"), "name", "info"),
            "from": event.get("log_namespace", ""),
            "text": formatEvent(event),
        }
        if event.get("log_failure") is not None:
            line["traceback"] = event["log_failure"].getTraceback()
        for key, value in event.items():
            if isinstance(value, str | int | float | bool) and not key.startswith(("log_", "is")):
                line.setdefault(key, value)
        self._out.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
        self._out.flush()


def open_log(path: str | None) -> IO[str]:
    """Open what ``twistd --logfile`` names; standard output where that is nothing or ``-``."""
    return sys.stdout if path in (None, "", "-") else open(path, "a")
