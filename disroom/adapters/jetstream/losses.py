"""Finding what the stream has lost, so that it is not shown from memory.

* The stream's last seq less the number of its messages is the number of those it has lost, whatever
  took them. While that stands still nothing was lost.
* What is older than its first seq is gone: each room is told that.
* Only if it has holes behind that (a limit of each room, a purge of one, a deletion by hand) each
  room is asked how many messages it has, as far as they are held here: one request a room, and that
  in two comparisons, since a replica that is asked may lag. Of more than MOST_CHECKED rooms some
  are told that anything may be lost; then these are read again when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping

from disroom.adapters.aio import all_of
from disroom.adapters.jetstream.feed import RoomFeed
from disroom.adapters.jetstream.stream import StreamState

MOST_CHECKED = 2000
CHECKED_AT_ONCE = 20
CHECKED_TIMES = 2


class Losses:
    """Tells feeds what the stream has lost.

    Args:
        feeds: The rooms followed, by token; the caller's, and read whenever needed.
    """

    def __init__(self, feeds: Mapping[str, RoomFeed]) -> None:
        self._feeds = feeds
        self._lost = 0
        self._checks = 0  # still to be made

    def begin(self, state: StreamState) -> None:
        """Take what a stream has lost by now for known, as of one that nothing was read of."""
        self._lost, self._checks = state.lost, 0

    async def look(self, state: StreamState) -> None:
        """Compare; to be called every so often, with the stream as it is.

        Raises:
            NatsError: Not all rooms could be asked; the next call goes on.
        """
        if state.lost > self._lost:
            self._lost = state.lost
            self._checks = CHECKED_TIMES
        if not self._checks:
            return
        feeds = list(self._feeds.values())
        for feed in feeds:
            feed.cut(state.first_seq)
        if state.has_holes:
            for feed in feeds[MOST_CHECKED:]:
                feed.doubt()
            for start in range(0, min(len(feeds), MOST_CHECKED), CHECKED_AT_ONCE):
                some = feeds[start : min(start + CHECKED_AT_ONCE, MOST_CHECKED)]
                await all_of(feed.check() for feed in some)
        self._checks -= 1
