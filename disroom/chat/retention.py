"""``interest`` retention: what is said in a room is kept while people come there.

JetStream's own interest policy is no help, since without consumers it stores nothing. So this is
DisRoom's: once a room has been empty on all instances for a while, it is purged up to the newest
message that it had when it was found empty. What came later, from people who came back, stays.
Nothing is purged while the presence store cannot be reached or is settling.
"""

from __future__ import annotations

from disroom.chat.errors import PresenceUnavailable, StoreUnavailable
from disroom.chat.interfaces import IPresence, IRoomLog

SWEEP_EVERY = 60
"""Rounds between two looks for rooms in the log of which presence has no trace, as after a restart
of the presence store."""


class InterestRetention:
    """Purges rooms that nobody has been in for a while. Any number of instances may run it.

    Args:
        log: Where the messages are.
        presence: Says which rooms are empty; it must have been told to keep track of that.
        grace: Seconds that a room stays untouched once it is empty.
    """

    def __init__(self, *, log: IRoomLog, presence: IPresence, grace: float) -> None:
        self._log = log
        self._presence = presence
        self._grace = grace
        self._rounds = 0

    async def run(self) -> None:
        """Do one round: note the rooms that are newly empty, purge those that are long empty."""
        try:
            if self._rounds % SWEEP_EVERY == 0:
                await self._sweep()
            self._rounds += 1
            for room, (seconds, noted) in (await self._presence.emptied()).items():
                if noted is None:
                    await self._presence.note_empty(room, await self._log.last_seq(room))
                elif seconds >= self._grace and await self._presence.forget_empty(room, noted):
                    await self._log.purge(room, noted)
        except (PresenceUnavailable, StoreUnavailable):
            return  # the next round tries again

    async def _sweep(self) -> None:
        stored = await self._log.stored_rooms()
        tracked = await self._presence.emptied()
        versions = await self._presence.versions(stored)
        for room in stored:
            if versions.get(room) == 0 and room not in tracked:
                await self._presence.note_empty(room, await self._log.last_seq(room))
