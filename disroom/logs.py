"""The log: twistd's text, or JSON for machines that collect it; where twistd would have put it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from typing import IO, Any

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from disroom.config import ConfigError


@implementer(ILogObserver)
class JsonLogObserver:
    """Writes ``{"at", "level", "from", "text", "traceback"?}`` and the event's plain fields."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
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
        for key, value in line.items():
            if isinstance(value, str):  # a file's name may hold what is no UTF-8
                line[key] = value.encode(errors="backslashreplace").decode()
        self._out.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
        self._out.flush()


def log_observer(format_: str, twistd: Mapping[str, Any], reactor: Any) -> ILogObserver | None:
    """Make what twistd is to log with; None where only twistd can (--syslog), or will refuse to.

    Debugging events are left out: an outage of a broker has several a second. The file is twistd's
    own kind: it is rotated at 1 MB, and on SIGUSR1.

    Args:
        format_: ``text`` or ``json``.
        twistd: Its options.
        reactor: Woken up by the signal.

    Raises:
        ConfigError: The file cannot be written.
    """
    path, foreground = twistd.get("logfile"), twistd.get("nodaemon")
    if twistd.get("syslog") or (path == "-" and not foreground):
        return None
    out: Any = sys.stdout
    if path != "-" and (path or not foreground):
        out = _rotated(path or "twistd.log", reactor)
    observer = JsonLogObserver(out) if format_ == "json" else textFileLogObserver(out)
    return FilteringLogObserver(observer, [LogLevelFilterPredicate(LogLevel.info)])


def _rotated(path: str, reactor: Any) -> LogFile:
    try:
        file: LogFile = LogFile.fromFullPath(path)
    except OSError as error:
        raise ConfigError(f"cannot write --logfile {path}: {error.strerror}") from error
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(file.rotate))
    return file
