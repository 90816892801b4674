"""Who came and went, and those in the room have not been told yet.

Telling takes a delivery to everybody here, so in a room where many are here, telling each coming
on its own costs the most just when many come at once: 5,000 who come back after a fault would be 25
million deliveries. The rule:

* Where fewer than AT_ONCE_BELOW are here, everything is told at once.
* Where more are, what happens in a window is told together at its end. The window opens with the
  first who comes or goes, and lasts as many milliseconds as people are here, at the most
  MOST_SECONDS. (A delivery takes 10 to 17 us, most of it the kernel's; so this is at most 2 % of a
  core for a room up to 2,000, and a newcomer has its answer before anybody hears of it.)
* Who came and went within a window is not told of at all, nor who went and came back; nor is who
  was away for less.
* A message of somebody who came, and a renaming that is to be shown, end the window before: they
  go to everybody anyway, and in the same write.

So there are two lists of a room's people: who is in it, and who is as far as those here were told.
Somebody who comes is given the second, and is told with the others what changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from disroom.chat.events import Joined, Left, MarkedAway, Member
from disroom.chat.names import RoomName

AT_ONCE_BELOW = 50
SECONDS_EACH = 0.001
MOST_SECONDS = 2.0


def window(audience: int) -> float:
    """For how many seconds comings and goings are gathered where so many are here."""
    return 0.0 if audience < AT_ONCE_BELOW else min(audience * SECONDS_EACH, MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody who went, as those here know it."""

    member: Member
    at: float
    reason: str


class Moves:
    """What is still to be told, in the order in which it happened.

    Attributes:
        coming: The sessions that came, and when; who they are by now, the room knows.
        going: Those who went, by session; nobody is in both.
    """

    def __init__(self) -> None:
        self.coming: dict[str, float] = {}
        self.going: dict[str, Gone] = {}
        self._marked: dict[str, tuple[bool, float]] = {}  # what is known here, and since when not

    def __bool__(self) -> bool:
        return bool(self.coming or self.going or self._marked)

    def came(self, member: Member, at: float) -> bool:
        """Take note of somebody who was not in the room; False if its going must be told first.

        That is so where it comes back under another name than it is known by.
        """
        gone = self.going.get(member.session)
        if gone is None:
            self.coming[member.session] = at
        elif gone.member.nick.display == member.nick.display:
            del self.going[member.session]
            self.marked(gone.member, member, at)
        else:
            return False
        return True

    def went(self, member: Member, at: float, reason: str) -> None:
        """Take note of somebody who was in the room and is not any more."""
        if self.coming.pop(member.session, None) is None:
            self.going[member.session] = Gone(self.as_known(member), at, reason)
            self._marked.pop(member.session, None)

    def marked(self, old: Member, new: Member, at: float) -> None:
        """Take note of somebody who may have gone away, or come back."""
        if old.away != new.away:
            known, _ = self._marked.setdefault(new.session, (old.away, at))
            if known == new.away:
                del self._marked[new.session]

    def as_known(self, member: Member) -> Member:
        """Somebody in the room, with the mark that those here were told of."""
        known, _ = self._marked.get(member.session, (member.away, 0.0))
        return member if known == member.away else replace(member, away=known)

    def told(
        self, room: RoomName, members: dict[str, Member]
    ) -> Iterator[Joined | Left | MarkedAway]:
        """Give what is to be told, and forget it: goings first, those for one reason together.

        Each has the time of its last member, so that it stands in its place among the messages.

        Args:
            room: Its name.
            members: Who is in the room, by session.
        """
        coming, going, marked = self.coming, self.going, self._marked
        self.coming, self.going, self._marked = {}, {}, {}
        reasons: dict[str, list[Gone]] = {}
        for gone in going.values():
            reasons.setdefault(gone.reason, []).append(gone)
        for reason, some in reasons.items():
            at = max(gone.at for gone in some)
            yield Left(room, at, tuple(gone.member for gone in some), reason)
        if coming:
            came = tuple(members[session] for session in coming)
            yield Joined(room, max(coming.values()), came)
        if marked:
            at = max(at for _, at in marked.values())
            yield MarkedAway(room, at, tuple(members[session] for session in marked))
