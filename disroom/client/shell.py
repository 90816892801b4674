"""What every shell around the core has: the verbs, and what is known of the user."""

from __future__ import annotations

from disroom.client.calls import Verbs
from disroom.client.core import Core
from disroom.client.rooms import Rooms


class Shell(Verbs):
    """One user of a chat; a subclass connects the core to the network.

    Args:
        core: Of the user.
    """

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core

    @property
    def nick(self) -> str:
        """What the user is called."""
        return self._core.nick

    @property
    def session(self) -> str:
        """The ``session`` of the user's own messages; another after the session was lost."""
        return self._core.session

    @property
    def connected(self) -> bool:
        """Whether there is a connection, and the session is on it."""
        return self._core.connected

    @property
    def rooms(self) -> Rooms:
        """The rooms that the user is in, by name; kept true, not to be changed."""
        return self._core.rooms
