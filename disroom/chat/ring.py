"""The last messages of a room in memory, from which joining and ``history`` are answered.

They came from the log in order, so nothing is missing in between; what is older, the log knows. The
log loses messages, too, and what it has lost must not be shown much longer from here:

* by age: known from the time alone, which is the log's own (`IRoomLog.now`), never this machine's;
* beyond so many a room: known from counting;
* whatever else (the size of the whole, a purge, a deletion by hand): the log's adapter looks every
  few seconds and says so (`IRoomFollower.removed`): either up to where, or that something is
  missing, and then this is not used until a page of the log has been put in its place.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from dataclasses import dataclass

from disroom.chat.events import Gap, Message
from disroom.chat.stored import Held, Page, Replay


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a ring was when a page was asked of the log."""

    upheavals: int
    last: int


class Ring:
    """The last messages of one room.

    Args:
        small: How many it holds at first. As many are given at the opening: where there are fewer,
            the log has none that are older.
        log_seconds: For how long the log keeps a message.
        log_most: How many of a room the log keeps, 0 for any number.

    Attributes:
        most: How many it holds.
        last: Up to this seq there is nothing to come.
        doubtful: Whether some that are here may be gone from the log.
    """

    def __init__(self, small: int, *, log_seconds: float = math.inf, log_most: int = 0) -> None:
        self.most = small
        self.last = 0
        self.doubtful = False
        self._small = small
        self._log_seconds = log_seconds
        self._log_most = log_most or math.inf
        self._messages: deque[Message] = deque()
        self._opening = True
        self._complete = True  # the log has none that are older
        self._first = 0  # the log has none before this seq
        self._dropped = 0  # the newest that was here and the log may still have
        self._upheavals = 0

    def resize(self, most: int | None) -> None:
        """Hold as many from now on; None: as at first."""
        self.most = self._small if most is None else max(most, self._small)
        self._trim()

    # What comes.

    def add(self, message: Message) -> None:
        """Take the next message."""
        self.last = message.seq
        self._messages.append(message)
        if self._opening and len(self._messages) >= self._small:
            self._opening = self._complete = False
        self._trim()

    def _trim(self) -> None:
        while len(self._messages) > self.most:
            self._dropped = self._messages.popleft().seq
            self._complete = False
        while len(self._messages) > self._log_most:
            self._messages.popleft()
        if len(self._messages) == self._log_most:
            self._begins_here()

    def _begins_here(self) -> None:
        self._complete = True
        self._opening = False

    def broken(self, gap: Gap) -> None:
        """Take note that messages will not come."""
        self._messages.clear()
        self._opening = self._complete = False
        self._upheavals += 1
        self.last = gap.last or 0
        if gap.first is None:
            self._first = self._dropped = 0

    def removed(self, first: int | None) -> None:
        """Take note that messages are gone from the log; see `IRoomFollower.removed`."""
        if first is None:
            self.doubtful = True
            self._upheavals += 1
            return
        self._first = max(self._first, first)
        while self._messages and self._messages[0].seq < first:
            self._messages.popleft()
            self._begins_here()

    def begin(self) -> Mark:
        """Before the log is asked for the room's last messages, to be `put` here."""
        return Mark(self._upheavals, self.last)

    def put(self, page: Page, mark: Mark) -> None:
        """Put the room's last messages as the log has them in place of those here.

        Dropped where messages were lost meanwhile, or are here no more that came after them. What
        has not come yet will, and is left out.
        """
        newest = max(mark.last, page.messages[-1].seq if page.messages else 0)
        if mark.upheavals != self._upheavals or self._dropped > newest:
            return
        since = [message for message in self._messages if message.seq > newest]
        messages = [m for m in page.messages if self._first <= m.seq <= self.last]
        cut = bool(page.messages) and page.messages[0].seq < self._first
        self._messages = deque(messages + since)
        self._opening = False
        self._complete = cut or not page.older
        self.doubtful = False
        self._trim()

    # What is asked for.

    def held(self, now: float) -> Held | None:
        """What the log should still have; None for nothing, or if that is known to be wrong."""
        self._expire(now)
        if self.doubtful or not self._messages:
            return None
        return Held(self._messages[0].seq, len(self._messages))

    def backlog(self, count: int, now: float) -> Page:
        """The last ``count`` messages, as far as they are here."""
        self._expire(now)
        beyond = max(0, len(self._messages) - count)
        return Page(tuple(self._messages)[beyond:], beyond > 0 or not self._complete)

    def page(self, count: int, before: int | None, now: float) -> Page | None:
        """A page as the log would give it; None where that cannot be told from here.

        The first message here answers for nothing but that there is an older one.
        """
        self._expire(now)
        messages = tuple(self._messages)
        end = len(messages)
        if before is not None:
            end = bisect.bisect_left(messages, before, key=lambda message: message.seq)
        start = max(0, end - count)
        if self.doubtful or not (start or self._complete):
            return None
        return Page(messages[start:end], start > 0)

    def since(self, after: int, most: int, now: float) -> Replay | None:
        """What came after a seq, at most so much; None where that cannot be told from here.

        It can where a message that is not newer than that is here: all after it are here, too.
        """
        self._expire(now)
        messages = tuple(self._messages)
        start = bisect.bisect_right(messages, after, key=lambda message: message.seq)
        if self.doubtful or not start or len(messages) - start > most:
            return None
        return Replay(messages[start:])

    def _expire(self, now: float) -> None:
        oldest = now - self._log_seconds
        while self._messages and self._messages[0].at < oldest:
            self._messages.popleft()
            self._begins_here()
