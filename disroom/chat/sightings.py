"""Who was seen in a room though presence has not told of it, and who seems to be.

Messages and presence come by different ways, so somebody may speak, or enter here, before the news
of its coming is there: it has been sighted, and the news must confirm it. And a message may come
after the news of its sender's leaving, though it was sent before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from disroom.chat.events import Message
from disroom.chat.interfaces import IRuntime

JUST_LEFT_SECONDS = 10.0
"""How long a message of somebody who left may be a straggler, and no new arrival."""

CLOCKS_SECONDS = 1.0
"""By how much the clocks of the log and of the presence store may differ. A message that is timed
later than this after its sender left is of one who has come back. Where they differ by more, some
comings are shown late, or a straggler as a coming until a roster says better."""

FRESH_SECONDS = 5.0
"""How old a message may be to say that its sender must be in the room; and how long a sighting may
wait for the news that confirms it."""


class Sightings:
    """Those of one room. Times of sightings and leavings are Unix seconds.

    Args:
        runtime: Measures waits.
        log_now: The log's time; see `IRoomLog.now`.
    """

    __slots__ = ("_just_left", "_log_now", "_runtime", "_unconfirmed")

    def __init__(self, runtime: IRuntime, log_now: Callable[[], float]) -> None:
        self._runtime = runtime
        self._log_now = log_now
        self._just_left: dict[str, tuple[float, float]] = {}  # until when, and when it was
        self._unconfirmed: dict[str, tuple[float, float]] = {}  # the same, of its being seen

    @property
    def unconfirmed(self) -> Collection[str]:
        """The sessions that were seen, and of which presence has not told."""
        return self._unconfirmed.keys()

    def shows_arrival(self, message: Message) -> bool:
        """Whether a message shows that its sender, who is not known to be here, has come."""
        if self._log_now() - message.at >= FRESH_SECONDS:
            return False
        if message.session not in self._just_left:
            return True
        _, left_at = self._just_left[message.session]
        return message.at > left_at + CLOCKS_SECONDS

    def seen(self, session: str, at: float) -> None:
        """Take note of somebody who is here, though the news of its coming is not."""
        self._unconfirmed[session] = self._runtime.monotonic() + FRESH_SECONDS, at

    def confirmed(self, session: str) -> float | None:
        """Take note that presence has told of somebody's coming; when it had been seen, if so."""
        seen = self._unconfirmed.pop(session, None)
        return seen[1] if seen else None

    def left(self, sessions: Iterable[str], at: float) -> None:
        """Take note that presence has told of somebody's leaving."""
        until = self._runtime.monotonic() + JUST_LEFT_SECONDS
        for session in sessions:
            self._unconfirmed.pop(session, None)
            self._just_left[session] = until, at

    def expire(self) -> bool:
        """Forget what was a while ago; whether somebody was seen whom nothing has confirmed."""
        now = self._runtime.monotonic()
        for session in [s for s, (until, _) in self._just_left.items() if until < now]:
            del self._just_left[session]
        overdue = [s for s, (until, _) in self._unconfirmed.items() if until < now]
        for session in overdue:
            del self._unconfirmed[session]
        return bool(overdue)
