"""The bounds that the domain keeps, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask for.

    Attributes:
        rooms: Rooms that a session can be in at once.
        ignored: Nicks that a session can hide at once.
        text_bytes: A message's text, UTF-8.
        topic_bytes: A topic's text, UTF-8.
        unsent: Messages of a session that wait for the log; above it, its commands wait.
        backlog: Messages shown on joining.
        history: Messages that ``history`` shows when it is not told how many.
        history_most: Messages that ``history`` shows at the most.
        listed: Members and rooms named in one list; the others are counted.
        give_up: Seconds after which a message that waits behind one that failed fails as well.
        grace: Seconds for which a session with a token is kept when its connection is lost.
        suspended: So many are kept on an instance; above it a session ends with its connection, so
            that whoever connects over and over does not fill memory and take all names.
    """

    rooms: int = 50
    ignored: int = 1000
    text_bytes: int = 4000
    topic_bytes: int = 500
    unsent: int = 64
    backlog: int = 10
    history: int = 100
    history_most: int = 1000
    listed: int = 200
    give_up: float = 15.0
    grace: float = 30.0
    suspended: int = 20_000
