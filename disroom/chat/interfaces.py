"""The ports of the domain: what it asks of the world (driven) and what it offers to it (driving).

An adapter translates every failure of its library into a `ChatError`, as each method names it; no
other exception passes a port on purpose. Awaitables are whatever the running reactor awaits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from zope.interface import Attribute, Interface

from disroom.chat.errors import ChatError
from disroom.chat.events import Draft, Event, Gap, Message, PrivateMessage
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change, Listing, Resumed, RoomSummary, Roster, Whereabouts
from disroom.chat.stored import Held, Page, Replay, Topic


class IRoomFollower(Interface):
    """Receives a room's messages. Provided by the domain's Room."""

    def received(event: Message | Gap) -> None:
        """Take the room's next message, or the news that some cannot be had.

        Called in the order of ``seq``, once for each message; does not raise.
        """

    def held() -> Held | None:
        """What is held of the past messages; None for nothing."""

    def removed(first: int | None) -> None:
        """Take note that the log has lost messages, whatever the reason.

        Called within 10 s of it, as long as the log can be reached; an implementation that knows
        that nothing of the room was lost need not call it.

        Args:
            first: All with a lesser seq are gone, and nothing was said of the others; None: any of
                those that were delivered may be gone.
        """


Receipt: TypeAlias = Callable[[int | ChatError], None]
"""Takes the seq of a message once it is stored, or why it was not; does not raise."""


class IRoomLog(Interface):
    """The durable, ordered messages of every room."""

    identity = Attribute(
        "Which log it is: a str that changes when the log was lost and begun anew, so that seqs "
        "from before mean nothing."
    )

    def now() -> float:
        """The log's time, Unix seconds, as `Message.at` has it: what is older than so much is gone.

        No clock of this machine that can be set has a part in it. Never ahead of the log's by more
        than that was put back within the last 10 s, and late by no more than an answer of the log
        was; while the log cannot be reached it goes on.
        """

    def store(room: RoomName, drafts: Sequence[Draft], receipt: Receipt) -> None:
        """Store one user's next messages, in this order; idempotent by ``draft.id``.

        The text of one of kind ``topic`` is the room's topic from then on, an empty one takes the
        topic away: the room's newest such message decides. See `topics`.

        Whatever becomes of each, none is stored before one that precedes it here, unless that one
        was reported as not stored. Tries for about 15 s. The messages reach followers by
        `IRoomFollower.received`, on this instance too, before or after the receipt is told. A
        callback and no awaitable, since every message passes here, and awaiting costs more than
        all the rest of it.

        Args:
            room: Where they go.
            drafts: The messages, one at least; the caller adds none of this user's until all have
                been told.
            receipt: Told once for each, in their order, maybe before this returns: the seq, once
                the message is durable; `NotStored`, where it was refused or nobody acknowledged it
                in time, and it may yet turn up; `TextTooLong`, where the store takes no message of
                this size.
        """

    def follow(room: RoomName, follower: IRoomFollower, recent: int) -> Awaitable[None]:
        """Give a follower the room's last ``recent`` messages and then, without a seam, what comes.

        When this returns the follower has received the recent ones, oldest first, and is live. One
        follower a room; a room already followed must be unfollowed first.

        Raises:
            StoreUnavailable: The store does not answer; nothing is followed then.
        """

    def unfollow(room: RoomName) -> None:
        """Stop following. The follower receives nothing more from now on. Idempotent."""

    def position(room: RoomName) -> int:
        """The seq up to which the follower of a room has been given everything; 0 for none."""

    def since(room: RoomName, after: int, most: int) -> Awaitable[Replay]:
        """Read what came after a seq, as far as `position` at least; the last ``most`` of it.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def reached(seq: int) -> Awaitable[bool]:
        """Tell whether the log has come as far as a seq, of whatever room.

        If so, what is stored later has a greater one; so had the seqs of all that was shown on any
        instance before this is called.

        Raises:
            StoreUnavailable: The store does not answer, and it is not known without.
        """

    def history(room: RoomName, count: int, before: int | None) -> Awaitable[Page]:
        """Read the last ``count`` messages, or the last ones with a seq less than ``before``.

        Complete as far as this instance has acknowledged or delivered messages: what a member has
        seen is there, unless retention took it.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def topics(rooms: Iterable[RoomName]) -> Awaitable[Mapping[RoomName, Topic]]:
        """Read the topics of these rooms; one without a topic is left out.

        One that was set just now may be told a moment later, and where the store is partly away,
        some seconds after it is back. It is told never only if all instances that have seen its
        message end before that, and the room is opened next when others have followed it.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def last_seq(room: RoomName) -> Awaitable[int]:
        """The seq of the room's newest message, 0 if it has none.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def stored_rooms() -> Awaitable[tuple[RoomName, ...]]:
        """The rooms that have stored messages.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def purge(room: RoomName, upto: int) -> Awaitable[None]:
        """Remove the room's messages with a seq of at most ``upto``. Idempotent.

        Raises:
            StoreUnavailable: The store does not answer.
        """


class IPresenceWatcher(Interface):
    """Hears of presence. Provided by the domain's Hub. Its methods do not raise."""

    def changed(change: Change) -> None:
        """Take a change made on any instance, this one too; changes of a room come in order."""

    def uncertain() -> None:
        """Changes may have been missed (a reconnection, a rebuilt store): compare every room."""

    def lost(session: str) -> None:
        """A session of this instance no longer holds its nick: another was given it meanwhile."""

    def moved(session: str) -> None:
        """A session of this instance has been resumed on another: nothing is to be released."""


class IPresence(Interface):
    """Who is in which room under which nick, on all instances.

    An implementation vouches for the sessions that its own instance has claimed for as long as the
    instance lives: it renews the lease, and asserts them again when the store lost them. Every
    method that changes or reads raises `PresenceUnavailable` within a second when the store cannot
    be reached; while the store settles, `claim`, `rename`, `resume` and `join` wait for it, with a
    bound.

    A session with a *key*, the SHA-256 in hexadecimal of a secret that its client was told, can be
    resumed, on any instance and also while another holds it. It outlives its connection
    (`suspend`) and its instance: when that stops or dies the session is held by none, is shown as
    away, and is kept until its grace is over, which begins then unless it had begun before. If it
    was not resumed by then it has left, with the reason ``connection lost``. A store that lost
    everything has lost the sessions that no instance held.
    """

    lapsed = Attribute(
        "Whether this process stood still for so long that others may have taken its sessions out, "
        "and what they did is not known yet: bool. `confirm` before anything is done for a session."
    )

    def confirm() -> Awaitable[None]:
        """Find out what others did while this process stood still; at once unless `lapsed`.

        When this returns, `IPresenceWatcher.lost` has been called for who lost a nick. Does not
        raise; where the store cannot be reached it returns after a few seconds all the same.
        """

    def watch(watcher: IPresenceWatcher) -> None:
        """Say whom to tell of changes. Once, before anything else."""

    def claim(session: str, nick: Nick, key: str = "") -> Awaitable[None]:
        """Take a nick for a new session, atomically across instances.

        Args:
            session: Its id.
            nick: To take.
            key: Makes it resumable; empty: it is not.

        Raises:
            NickTaken: Another session holds it.
        """

    def rename(session: str, nick: Nick) -> Awaitable[None]:
        """Exchange the session's nick for another, in all its rooms at once.

        Raises:
            NickTaken: Another session holds the new one; the old one is kept.
        """

    def arm(session: str, key: str) -> Awaitable[None]:
        """Make a session that has a nick resumable by this key.

        One that it had is good as well until `settle`: the answer that told of the new one may
        be lost.
        """

    def suspend(session: str, grace: float, given: str = "") -> Awaitable[None]:
        """Keep a session whose connection is lost; its rooms see it away. Idempotent.

        It remains this instance's, to be released when the grace is over unless it was resumed.
        While the store cannot be reached this raises `PresenceUnavailable`, and is made good when
        the store is back. Not to be called while a `resume` of the session is under way here, since
        it would suspend what that has given.

        Args:
            session: It has a nick.
            grace: For how many seconds it can be resumed, from now.
            given: What its client has been given, for whoever resumes it; opaque.
        """

    def resume(session: str, presented: str, key: str) -> Awaitable[Resumed]:
        """Take a session over to this instance, from whichever holds it or from none.

        Whoever held it hears `IPresenceWatcher.moved`; who takes back what had moved, before this
        returns. The rooms hear if the away mark changes. The
        key before the current one is good as well until `settle`, since the answer that told of the
        current one may have been lost.

        Args:
            session: Its id.
            presented: The key to the secret that was shown.
            key: The new one.

        Raises:
            NoSession: It has ended, its grace is over, or that is not its key.
            ResumedElsewhere: News that it went on from here has come before the answer.
        """

    def settle(session: str) -> Awaitable[None]:
        """Forget the key before the current one; idempotent."""

    def set_away(session: str, text: str | None) -> Awaitable[None]:
        """Leave an away text, or take it back with None; its rooms hear if the mark changes."""

    def join(session: str, room: RoomName, known: int) -> Awaitable[Roster]:
        """Enter a room; idempotent. Exactly one round trip.

        Args:
            session: It has claimed a nick.
            room: Where to.
            known: The version of the room's presence that the caller holds, 0 for none. If there is
                one, the roster comes without its members: the changes since then, this joining too,
                are told to `IPresenceWatcher.changed`, before or after this returns. They come all
                the same where it is not of this life of the room, or changes are not heard of.

        Returns:
            The roster, the session itself among the members.
        """

    def leave(session: str, room: RoomName, reason: str) -> Awaitable[float]:
        """Leave a room; idempotent. Exactly one round trip.

        Returns:
            When that was, by the store's clock, Unix seconds.
        """

    def release(session: str, reason: str) -> Awaitable[None]:
        """End a session: its nick is free and it has left every room when this returns.

        While the store cannot be reached this raises `PresenceUnavailable`, and the release is made
        good when the store is back. Idempotent.
        """

    def users(room: RoomName) -> Awaitable[Roster]:
        """Read who is in a room: everybody. Exactly one round trip."""

    def listing(room: RoomName, most: int, known: int) -> Awaitable[Listing]:
        """Read the first members of a room, at most ``most``; its cost does not grow with the room.

        Exactly one round trip.

        Args:
            room: Of which.
            most: How many.
            known: The version that the caller holds, 0 for none; if it is the newest, the listing
                comes without members.
        """

    def rooms(most: int) -> Awaitable[tuple[tuple[RoomSummary, ...], int]]:
        """Read the rooms with people, fullest first, at most ``most``, and how many there are."""

    def versions(rooms: Iterable[RoomName]) -> Awaitable[Mapping[RoomName, int]]:
        """Read the current versions of these rooms, 0 for an empty one; empty while settling."""

    def locate(nick: Nick) -> Awaitable[Whereabouts | None]:
        """Find who holds a nick."""

    def emptied() -> Awaitable[Mapping[RoomName, tuple[float, int | None]]]:
        """Read the rooms that have been left by everybody and not been forgotten since.

        Returns:
            For each, the seconds since its last member left and the seq noted then, if any.
            Nothing while the store settles.
        """

    def note_empty(room: RoomName, seq: int) -> Awaitable[None]:
        """Note the newest seq of a room, starting its time anew; not if somebody is in it."""

    def forget_empty(room: RoomName, seq: int) -> Awaitable[bool]:
        """Strike a room off `emptied`; True if it was still there, empty, with that seq noted.

        True is given to one caller only: that one may purge the room up to the seq.
        """


class ICourier(Interface):
    """Carries private messages between instances."""

    def serve(receive: Callable[[PrivateMessage], bool]) -> None:
        """Say who takes messages for sessions of this instance: True if the session is here."""

    def send(instance: str, message: PrivateMessage) -> Awaitable[bool]:
        """Hand a message to the instance that holds the recipient; False: the session is gone.

        Raises:
            NotDelivered: The instance did not answer within two seconds.
        """


class IMember(Interface):
    """One connected client, as the domain sees it. Provided by a transport."""

    def deliver(event: Event) -> None:
        """Send an event to the client: synchronous, does not wait and does not raise."""

    def close(error: ChatError | None) -> None:
        """Say goodbye, with the reason if there is one, and close. Idempotent."""


class ISignal(Interface):
    """Something that happens once and can be waited for by any number of coroutines."""

    fired = Attribute("Whether it has happened: bool.")

    def fire() -> None:
        """Let it happen. Idempotent."""

    def wait() -> Awaitable[None]:
        """Return when it has happened."""


class IRuntime(Interface):
    """What the domain needs of the event loop around it.

    The time of day is not among it: all times that are shown are the log's or the presence store's,
    so that the clocks of instances need not agree.
    """

    def monotonic() -> float:
        """Seconds that only grow, for measuring waits."""

    def after(seconds: float, do: Callable[[], None]) -> None:
        """Call something once, so many seconds from now, and not within this call."""

    def spawn(work: Coroutine[Any, Any, None], what: str) -> None:
        """Run a coroutine on the side; a failure is logged with ``what`` it was doing."""

    def signal() -> ISignal:
        """Make a signal that has not fired."""

    def fresh_id() -> str:
        """Make an id that nobody can guess and that occurs once: 22 URL-safe characters."""
