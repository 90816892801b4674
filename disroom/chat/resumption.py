"""What lets a user who lost its connection go on where it was.

A session with a token outlives its connection: for a while its nick is kept, others see it away,
and whoever shows the token, on whichever instance, is given the nick and the rooms back and then
whatever was missed. The token names the session and proves it with a secret, of which only the hash
is stored; each use makes a new one, and the one before is good until the new one has been used, so
that an answer which was lost strands nobody.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from zope.interface import implementer

from disroom.chat.errors import ChatError, NoSession
from disroom.chat.events import Event, Failed, Gap, Message, RoomEvent, StoredAfterAll
from disroom.chat.interfaces import IMember, Replay
from disroom.chat.names import RoomName

MOST_REPLAYED = 1000
"""Messages of a room that are made up for; before those there is a gap."""

MOST_HELD = 1000
"""Events of a room that wait while it is made up for; the oldest are dropped above it, as a gap."""

MOST_KEPT = 100
"""Events for the user alone that wait for it; the oldest are dropped above it."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a user shows to take a session up again; unguessable, and written as one word."""

    session: str
    secret: str

    def __str__(self) -> str:
        return f"{self.session}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token; raises `NoSession` where it is none."""
        session, dot, secret = text.partition(".")
        if not (session and dot and secret and text.isascii()):
            raise NoSession
        return cls(session, secret)

    @property
    def key(self) -> str:
        """What is stored of it: SHA-256, hexadecimal."""
        return hashlib.sha256(str(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client that comes back has already.

    Attributes:
        log: The identity of the log that it was told; empty for whichever is there.
        seqs: The last seq that it has of each room it knows of.
    """

    log: str = ""
    seqs: Mapping[RoomName, int] = field(default_factory=dict)


@implementer(IMember)
class Absent:
    """Stands in for the client of a session that has none: keeps what concerns the user alone.

    What happens in rooms is read again from the log when the user is back.
    """

    def __init__(self) -> None:
        self.kept: deque[Event] = deque(maxlen=MOST_KEPT)

    def deliver(self, event: Event) -> None:
        """Keep news of the user's own messages."""
        if isinstance(event, Failed | StoredAfterAll):
            self.kept.append(event)

    def close(self, error: ChatError | None) -> None:
        """There is nobody to tell."""


class CatchUp:
    """One room of a session that is being made up for: holds back what comes meanwhile.

    Args:
        room: The room.
        after: The seq of the last message that the user has; None where that is not known.
        anew: Whether the log is another one than the user knows, so that seqs tell nothing.
    """

    def __init__(self, room: RoomName, after: int | None, *, anew: bool = False) -> None:
        self.after = None if anew else after
        self.anew = anew
        self._room = room
        self._held: deque[RoomEvent] = deque()
        self._dropped = 0

    def hold(self, event: RoomEvent) -> None:
        """Take an event that must not be shown yet."""
        self._held.append(event)
        if len(self._held) > MOST_HELD:
            oldest = self._held.popleft()
            if isinstance(oldest, Message):
                self._dropped = oldest.seq

    def release(self, replay: Replay, position: int) -> Iterator[RoomEvent]:
        """What to show now, in order, each message once.

        Args:
            replay: What came after ``after``.
            position: Up to this seq the room has been given everything; what is newer than that
                will come, or is held.
        """
        if self.anew:
            yield Gap(self._room, None, None)
        last = self.after or 0
        if replay.lost:
            yield Gap(self._room, *replay.lost)
            last = replay.lost[1]
        for message in replay.messages:
            if message.seq > position:
                break
            yield message
            last = message.seq
        if self._dropped > last:
            yield Gap(self._room, last + 1, self._dropped)
            last = self._dropped
        for event in self._held:
            if isinstance(event, Gap) and event.first is None:
                last = 0  # another log, which counts from 1 again
            elif isinstance(event, Message):
                if event.seq <= last:
                    continue
                last = event.seq
            yield event


class Resumption:
    """That a session can be resumed, and how far that is.

    Attributes:
        key: To the token that the client was told last.
        ends_at: When the session ends, monotonic seconds; None while it has a client.
        unsettled: Whether the token before the last one is still good.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.ends_at: float | None = None
        self.unsettled = False
        self._kept: Iterable[Event] = ()
        self._positions: dict[RoomName, int] = {}
        self._catching_up: dict[RoomName, CatchUp] = {}

    def lose(self, ends_at: float, positions: Mapping[RoomName, int]) -> None:
        """Take note that the client is gone, and up to which seq it was given each room."""
        self.ends_at = ends_at
        for name, position in positions.items():
            unfinished = self._catching_up.get(name)
            if unfinished is None:
                self._positions[name] = position
            elif unfinished.after is not None:
                self._positions[name] = unfinished.after
        self._catching_up.clear()

    def begin(self, room: RoomName, seqs: Mapping[RoomName, int], *, anew: bool) -> CatchUp:
        """Hold a room back until `finish`, from what the client has, or was given, of it."""
        after = seqs.get(room, self._positions.get(room))
        catch_up = self._catching_up[room] = CatchUp(room, after, anew=anew)
        return catch_up

    def resumed(self, kept: Iterable[Event]) -> None:
        """Take note that there is a client again, for which these events were kept."""
        self._kept = kept
        self.ends_at = None
        self.unsettled = True
        self._positions.clear()

    def take_kept(self) -> Iterable[Event]:
        """What was kept for the client; the second time, nothing."""
        kept, self._kept = self._kept, ()
        return kept

    def unfinished(self) -> tuple[tuple[RoomName, CatchUp], ...]:
        """The rooms that are held back."""
        return tuple(self._catching_up.items())

    def finish(self, room: RoomName, catch_up: CatchUp) -> bool:
        """Hold a room back no longer; False if something else has ended that already."""
        if self._catching_up.get(room) is not catch_up:
            return False
        del self._catching_up[room]
        return True

    def hold(self, event: RoomEvent) -> bool:
        """Take an event of a room that is held back; False if it is not."""
        catch_up = self._catching_up.get(event.room)
        if catch_up is None:
            return False
        catch_up.hold(event)
        return True
