"""What can go wrong for a user, each with a stable code that clients may rely on.

A message says what to do about it. ``docs/protocol.md`` lists the codes, and every one of them has
a transcript under ``tests/transcripts``.
"""

from __future__ import annotations

from typing import ClassVar


class ChatError(Exception):
    """Something a user is told of in one line; the connection goes on unless said otherwise."""

    code: ClassVar[str]

    @property
    def message(self) -> str:
        """The sentence for the user, without the code."""
        return str(self)


class BadName(ChatError):
    """The rule that a name breaks; raised as `BadNick` or `BadRoom`."""


class BadNick(BadName):
    """Not a name for a person."""

    code = "bad-nick"


class BadRoom(BadName):
    """Not a name for a room."""

    code = "bad-room"


class NickTaken(ChatError):
    """Somebody else, on whichever instance, holds the nick."""

    code = "nick-taken"

    def __init__(self, nick: str) -> None:
        super().__init__(f"{nick} is taken")


class NickLost(ChatError):
    """The nick went to somebody else while this instance could not vouch for its users.

    The connection is closed.
    """

    code = "nick-lost"

    def __init__(self, nick: str) -> None:
        super().__init__(
            f"{nick} was given to another while this server was cut off; connect again"
        )


class NoSession(ChatError):
    """There is no such session to resume, or the token is not its own."""

    code = "no-session"

    def __init__(self) -> None:
        super().__init__(
            "that session has ended or the token is wrong; choose a name and join again"
        )


class ResumedElsewhere(ChatError):
    """The user has taken the session up on another connection; this one is closed."""

    code = "resumed-elsewhere"

    def __init__(self) -> None:
        super().__init__("you have taken this session up on another connection")


class NamedAlready(ChatError):
    """A session can be taken up only before a name was chosen."""

    code = "named-already"

    def __init__(self, nick: str) -> None:
        super().__init__(f"you are {nick} here; resume on a new connection, before anything else")


class NoNick(ChatError):
    """The verb needs a name and the user has none yet."""

    code = "no-nick"

    def __init__(self) -> None:
        super().__init__("choose a name first: nick NAME")


class NoRoom(ChatError):
    """The verb needs a current room and the user is in none."""

    code = "no-room"

    def __init__(self) -> None:
        super().__init__("join a room first: join ROOM")


TEXT_OR_ROOM = "join it first, or say the text as it stands: say TEXT"
"""The hint for ``send #word ...`` where ``#word`` is no room of the user's."""


class NotInRoom(ChatError):
    """The room was named, and the user is not in it."""

    code = "not-in-room"

    def __init__(self, room: str, hint: str) -> None:
        super().__init__(f"you are not in #{room}; {hint}")


class NoSuchNick(ChatError):
    """Nobody connected has that nick."""

    code = "no-such-nick"

    def __init__(self, nick: str) -> None:
        super().__init__(f"nobody here is called {nick}; see who is there: users")


class NotDelivered(ChatError):
    """A private message was not acknowledged by the recipient's instance within the bound."""

    code = "not-delivered"

    def __init__(self, nick: str) -> None:
        super().__init__(f"your message to {nick} may not have arrived; try again")


class TooManyRooms(ChatError):
    """The user is in as many rooms as the configuration allows."""

    code = "too-many-rooms"

    def __init__(self, most: int) -> None:
        super().__init__(f"you are in {most} rooms, the most there can be; leave one: leave ROOM")


class TooManyIgnored(ChatError):
    """The user ignores as many nicks as the configuration allows."""

    code = "too-many-ignored"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"you ignore {most} nicks, the most there can be; hear one again: unignore NICK"
        )


class EmptyText(ChatError):
    """Nothing is left of the text once what may not be sent is taken out."""

    code = "empty-text"

    def __init__(self) -> None:
        super().__init__("there is nothing to send; put some text after the verb")


class TextTooLong(ChatError):
    """The text passes the configured length."""

    code = "text-too-long"

    def __init__(self, most: int) -> None:
        super().__init__(f"a text has at most {most} bytes; send it in parts")


class NotStored(ChatError):
    """A message was not acknowledged by the log; ``reason`` says why, where it is known.

    It may yet turn up, when only the acknowledgement was lost, say; its sender is told then.
    """

    code = "not-stored"

    def __init__(self, reason: str = "the message log did not answer") -> None:
        super().__init__(f"your message was not stored: {reason}; send it again")


class StoreUnavailable(ChatError):
    """The message log does not answer, so a room cannot be opened or its history read."""

    code = "store-unavailable"

    def __init__(self) -> None:
        super().__init__("the message log cannot be reached just now; try again in a moment")


class PresenceUnavailable(ChatError):
    """The presence store does not answer, so names and rooms cannot change hands."""

    code = "presence-unavailable"

    def __init__(self) -> None:
        super().__init__("names and rooms cannot be changed just now; try again in a moment")
