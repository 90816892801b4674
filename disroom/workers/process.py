"""A worker process, as its parent sees it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from disroom.children import Child, Guard, inherited_environment, spawn
from disroom.workers.dealing import DEALS, Deal, give
from disroom.workers.messages import (
    CONTROL,
    Begin,
    Came,
    CannotStart,
    Channel,
    ChannelFactory,
    Gone,
    Health,
    Located,
    Ready,
    Refuse,
    Report,
    Took,
)
from disroom.workers.tally import Key, Tally, Verdict

COMMAND = [sys.executable, "-P", "-m", "disroom.worker"]

SILENT_SECONDS = 5.0
"""Without a report of its health for so long, a worker is taken for one that stands still."""

LONGEST_LOG_LINE = 1 << 16
NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS")

_LEVELS = {level.name: level for level in LogLevel.iterconstants()}


class WorkerError(Exception):
    """A worker did not start; the message is one line."""


class WorkerProcess(Child):
    """A running, or ended, worker.

    Args:
        name: The instance's.
        tally: Of all workers; what was dealt to this one is counted out as it goes, or with it.
        left_over: Called, when it has ended, with each connection that it had not taken yet.

    Attributes:
        keys: Of its connections that are open: those dealt to it, and clients that came by others.
        latest: The key that it was dealt last.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        tally: Tally,
        left_over: Callable[[socket.socket, Deal], None],
    ) -> None:
        super().__init__(reactor, name)
        self._left_over = left_over
        self._under_way: dict[int, tuple[socket.socket, Deal]] = {}
        self.name = name
        self._adopt = reactor.adoptStreamConnection
        self.keys: set[int] = set()
        self.latest = 0
        self._tally = tally
        self._health: Mapping[str, bool] = {}
        self._heard_at = 0.0
        self._begun: Deferred[None] | None = Deferred()
        self._ready = False
        self._log_rest = b""
        self._deals, self._far_deals = socket.socketpair()
        self._control, self._far_control = socket.socketpair()
        self._channel = Channel(Report, self._heard, self._channel_ended)
        self._channel_open = False

    async def begin(self, order: Begin, guard: Guard) -> None:
        """Start the process, and return when connections can be dealt to it.

        Raises:
            WorkerError: It ended before that, or could not be started at all.
        """
        begun = self._begun
        assert begun is not None, "a worker begins once"
        try:
            self._spawn(guard)
        except OSError as error:
            self._begun = None
            for end in (self._deals, self._control):
                end.close()
            raise WorkerError(f"no process can be started: {error.strerror}") from error
        self._channel.tell(order)
        await begun

    @property
    def serving(self) -> bool:
        """Whether connections can be dealt to it: it is ready, and has not fallen silent."""
        return self._ready and self._reactor.seconds() - self._heard_at < SILENT_SECONDS

    @property
    def health(self) -> Mapping[str, bool] | None:
        """What it needs, and whether it is there; None while it does not serve."""
        return self._health if self.serving else None

    def give(self, connection: socket.socket, deal: Deal) -> bool:
        """Deal a connection to it, to be closed here by it; False where it cannot take one now."""
        if not give(self._deals, connection, deal):
            return False
        self._under_way[deal.key] = connection, deal
        self.keys.add(deal.key)
        self.latest = deal.key
        return True

    def _spawn(self, guard: Guard) -> None:
        for end in (self._deals, self._far_deals, self._control, self._far_control):
            end.setblocking(False)
        with self._far_deals, self._far_control:
            # What is imported there is what is imported here, wherever that is from.
            environment = inherited_environment()
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
            for variable in NOT_INHERITED:
                environment.pop(variable, None)
            spawn(
                self._reactor,
                self,
                COMMAND,
                descriptors={
                    CONTROL: self._far_control.fileno(),
                    DEALS: self._far_deals.fileno(),
                },
                guard=guard,
                env=environment,
            )
        self._channel_open = True
        with self._control:
            self._adopt(self._control.fileno(), socket.AF_UNIX, ChannelFactory(self._channel))

    def _heard(self, report: Report) -> None:
        self._heard_at = self._reactor.seconds()
        match report:
            case Ready():
                self._ready = True
                self._tell_begun(None)
            case CannotStart(reason):
                self._tell_begun(WorkerError(reason))
            case Health(there):
                self._health = there
            case Took(key):
                connection, _ = self._under_way.pop(key)
                connection.close()
            case Came(key):
                self.keys.add(key)
                if self._tally.admit(self._counted(key), None) is Verdict.FULL:
                    self._channel.tell(Refuse(key, full=True))
            case Located(key, host):
                if key in self.keys and not self._tally.locate(self._counted(key), host):
                    self._channel.tell(Refuse(key, full=False))
            case Gone(key):
                self.keys.discard(key)
                self._tally.forget(self._counted(key))

    def _counted(self, key: int) -> Key:
        """The key by which all workers' connections are counted."""
        return key if key > 0 else (self.name, key)

    def _channel_ended(self) -> None:
        """What it told before it ended may be read after the end itself is seen."""
        self._channel_open = False
        if self.exit is not None:
            self._finish()

    def _finish(self) -> None:
        """Count its connections out, and tell all who wait."""
        for key in self.keys - self._under_way.keys():
            self._tally.forget(self._counted(key))
        self.keys.clear()
        while self._under_way:
            self._left_over(*self._under_way.popitem()[1])
        last_words = f": {self.tail[-1]}" if self.tail else ""
        self._tell_begun(WorkerError(f"it {self.exit}{last_words}"))

    def _tell_begun(self, error: WorkerError | None) -> None:
        begun, self._begun = self._begun, None
        if begun is not None and not begun.called:
            begun.callback(None) if error is None else begun.errback(Failure(error))

    def outReceived(self, data: bytes) -> None:
        """Pass what it logs on to our own log."""
        *lines, self._log_rest = (self._log_rest + data).split(b"\n")
        for line in lines:
            self._relay(line)
        if len(self._log_rest) > LONGEST_LOG_LINE:
            self._relay(self._log_rest)
            self._log_rest = b""

    def errReceived(self, data: bytes) -> None:
        """Log what went so wrong that its own log did not get it."""
        super().outReceived(data)
        for line in data.decode(errors="replace").splitlines():
            self._log.error("{worker}: {log_line}", worker=self.name, log_line=line)

    def _relay(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = {"text": line.decode(errors="replace").strip()}
        text = "\n".join(str(event[key]) for key in ("text", "traceback") if event.get(key))
        if text:
            log = Logger(namespace=str(event.get("from") or "disroom.worker"))
            level = _LEVELS.get(event.get("level", ""), LogLevel.info)
            log.emit(level, "{worker}: {log_text}", worker=self.name, log_text=text)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Deal nothing more to it."""
        self._ready = False
        self._deals.close()
        super().processEnded(reason)
        if not self._channel_open:
            self._finish()
