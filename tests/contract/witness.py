"""What an instance heard of presence, for tests."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest_twisted
from zope.interface import implementer

from disroom.chat.interfaces import IPresenceWatcher
from disroom.chat.names import RoomName
from disroom.chat.presence import Change
from tests.eventually import eventually


def promise(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine on the reactor; `pytest_twisted.ensureDeferred` with types."""
    return cast(Callable[..., None], pytest_twisted.ensureDeferred(test))


@implementer(IPresenceWatcher)
class Witness:
    """Records what it is told.

    Attributes:
        changes: All changes, in the order in which they came.
        uncertainties: How often it was told to compare.
        lost_sessions: The sessions that lost their nick.
        moved_sessions: The sessions that were resumed elsewhere.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.uncertainties = 0
        self.lost_sessions: list[str] = []
        self.moved_sessions: list[str] = []

    def changed(self, change: Change) -> None:
        """Record a change."""
        self.changes.append(change)

    def uncertain(self) -> None:
        """Count."""
        self.uncertainties += 1

    def lost(self, session: str) -> None:
        """Record a session."""
        self.lost_sessions.append(session)

    def moved(self, session: str) -> None:
        """Record a session."""
        self.moved_sessions.append(session)

    def of(self, room: RoomName) -> list[Change]:
        """The changes of one room."""
        return [change for change in self.changes if change.room == room]

    def story(self, room: RoomName) -> list[str]:
        """The changes of one room in words: ``+alice``, ``-alice (reason)``, ``alice>bob``.

        People who came or went in one change are joined by commas.
        """
        return [
            " ".join(
                part
                for part in (
                    ",".join(f"+{member.nick}" for member in change.joined),
                    ",".join(f"-{member.nick}" for member in change.left),
                    ",".join(f"{old.nick}>{new.nick}" for old, new in change.renamed),
                    f"({change.reason})" if change.reason else "",
                )
                if part
            )
            for change in self.of(room)
        ]

    async def heard(self, room: RoomName, *story: str) -> list[Change]:
        """Wait until the story of the room is this, and return its changes."""
        await eventually(
            lambda: self.story(room) == list(story), message=lambda: repr(self.story(room))
        )
        return self.of(room)

    async def until(self, condition: Callable[["Witness"], object]) -> None:
        """Wait for something to be so."""
        await eventually(lambda: condition(self), message=lambda: repr(self.changes))
