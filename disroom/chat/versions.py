"""The order of a room's changes of presence, each of which makes the version after the one before.

News of them may be late, come in another order, more than once, or never. What follows what is
held can be applied. What comes after a gap waits until that is closed, by the changes that are
missing or by a roster, which is the room at some version.
"""

from __future__ import annotations

from disroom.chat.presence import Change

MOST_AHEAD = 1000
"""Changes that wait for a roster; above it the oldest is dropped, so that another is needed."""


class Versions:
    """Which version is held, and what there is beyond it.

    Attributes:
        held: The version; 0 before the first roster, when nothing can be applied yet.
    """

    __slots__ = ("_ahead", "_newest", "held")

    def __init__(self) -> None:
        self.held = 0
        self._newest = 0
        self._ahead: dict[int, Change] = {}

    @property
    def behind(self) -> bool:
        """Whether a newer version is known of, and not what leads to it."""
        return self._newest > self.held

    def heard(self, version: int) -> None:
        """Take note that there is this version."""
        self._newest = max(self._newest, version)

    def take(self, change: Change) -> list[Change]:
        """Take a change; return those that follow what is held, in order, which is theirs then."""
        self.heard(change.version)
        if change.version <= self.held:
            return []
        self._ahead[change.version] = change
        following = self._follow()
        if len(self._ahead) > MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        return following

    def reach(self, version: int) -> list[Change]:
        """Hold a version of which a roster has told; return what follows it, as `take`."""
        self.held = version
        for known in [known for known in self._ahead if known <= version]:
            del self._ahead[known]
        return self._follow()

    def _follow(self) -> list[Change]:
        following = []
        while self.held and (change := self._ahead.pop(self.held + 1, None)):
            self.held = change.version
            following.append(change)
        return following
