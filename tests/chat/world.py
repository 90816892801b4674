"""A whole chat in memory, of several instances, in which every step can be held back or fail."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.adapters.memory.courier import MemoryCourier, MemoryPost
from disroom.adapters.memory.log import MemoryRoomLog, MemoryStream
from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.chat.errors import ChatError, ResumedElsewhere
from disroom.chat.events import (
    Draft,
    Event,
    Gap,
    Joined,
    Left,
    MarkedAway,
    Member,
    Message,
    PrivateReceived,
    Renamed,
)
from disroom.chat.hub import Hub
from disroom.chat.interfaces import IMember, IPresenceWatcher, IRoomFollower, Receipt
from disroom.chat.limits import Limits
from disroom.chat.moves import window
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change, Listing, Resumed, Roster, Whereabouts
from disroom.chat.replies import Restored
from disroom.chat.session import Session
from disroom.chat.stored import Held, Page, Replay, Topic
from disroom.chat.tokens import Seen
from tests.chat.stepped import SteppedRuntime

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run a coroutine as far as it goes."""
    return Deferred.fromCoroutine(work)


def outcome(work: Coroutine[Any, Any, T] | Deferred[T]) -> T:
    """What a coroutine returns or raises, which must be so without waiting for anything."""
    results: list[Any] = []
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    deferred.addBoth(results.append)
    assert results, "it is still waiting"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]  # type: ignore[no-any-return]  # a list of Any


class Gate:
    """Steps that can be held back, and that can fail.

    A step is called as the method, or as the method and `` answer`` for its return.

    Args:
        in_turn: Whether what is asked because something was answered has its own answer later, as
            over a connection, by `go_on`, and not before whoever was answered has done with it.
    """

    def __init__(self, *, in_turn: bool = False) -> None:
        self.in_turn = in_turn
        self._answering = False
        self.taken: list[str] = []
        self.next: deque[Deferred[None]] = deque()
        self._held: dict[str, deque[Deferred[None]]] = {}
        self._failures: defaultdict[str, deque[Exception]] = defaultdict(deque)

    def hold(self, *steps: str) -> None:
        """Let nobody pass these steps."""
        for step in steps:
            self._held.setdefault(step, deque())

    def release(self, *steps: str) -> None:
        """Let all pass these steps, or all steps if none is named."""
        for step in steps or tuple(self._held):
            for waiting in self._held.pop(step, deque()):
                self._answer(waiting)

    def release_one(self, step: str) -> None:
        """Let the first pass who waits; the others go on waiting."""
        self._answer(self._held[step].popleft())

    def go_on(self) -> None:
        """Let those pass who have waited for one before them."""
        while self.next:
            self._answer(self.next.popleft())

    def _answer(self, waiting: Deferred[None]) -> None:
        before, self._answering = self._answering, True
        try:
            waiting.callback(None)
        finally:
            self._answering = before

    def waiting(self, step: str) -> int:
        """How many wait at a step."""
        return len(self._held.get(step, ()))

    def fail(self, step: str, *errors: Exception) -> None:
        """Have the next who pass a step fail, each with one of these."""
        self._failures[step].extend(errors)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._failures.clear()

    @property
    def failing(self) -> bool:
        """Whether a failure still waits for somebody to pass."""
        return any(self._failures.values())

    async def __call__(self, step: str) -> None:
        """Pass a step."""
        self.taken.append(step)
        if self.in_turn and self._answering:
            later: Deferred[None] = Deferred()
            self.next.append(later)
            await later
        if step in self._held:
            waiting: Deferred[None] = Deferred()
            self._held[step].append(waiting)
            await waiting
        if self._failures[step]:
            raise self._failures[step].popleft()

    async def around(self, step: str, work: Awaitable[T]) -> T:
        """Pass a step, do the work, and pass its answer."""
        try:
            await self(step)
        except BaseException:
            if isinstance(work, Coroutine):
                work.close()
            raise
        result = await work
        await self(f"{step} answer")
        return result


@implementer(IRoomFollower)
class LateFeed:
    """What the log brings of a room, on the way to it: at once, or when it is let through.

    Args:
        follower: The room.
        late: Whether what comes now waits.
    """

    def __init__(self, follower: IRoomFollower, late: Callable[[], bool]) -> None:
        self.waiting: deque[Message | Gap] = deque()
        self._follower = follower
        self._late = late

    def received(self, event: Message | Gap) -> None:
        """Take what is next."""
        self.waiting.append(event)
        if not self._late():
            self.arrive()

    def arrive(self, count: int | None = None) -> None:
        """Let the first of what waits through, or all."""
        most = len(self.waiting)
        for _ in range(most if count is None else min(count, most)):
            self._follower.received(self.waiting.popleft())

    def held(self) -> Held | None:
        """What is held of the past."""
        return self._follower.held()

    def removed(self, first: int | None) -> None:
        """Pass it on."""
        self._follower.removed(first)


class GatedLog(MemoryRoomLog):
    """The log in memory, with a gate.

    Attributes:
        late: While True, what the log brings waits.
        feeds: The rooms that are followed, as the log brings them.
        followed: The rooms that are.
        given: The texts that it was given to store at once, for each time.
    """

    def __init__(self, stream: MemoryStream, gate: Gate) -> None:
        super().__init__(stream)
        self.late = False
        self.feeds: dict[RoomName, LateFeed] = {}
        self.followed: set[RoomName] = set()
        self.given: list[list[str]] = []
        self._gate = gate

    def store(self, room: RoomName, drafts: Sequence[Draft], receipt: Receipt) -> None:
        """Store."""
        self.given.append([draft.text for draft in drafts])
        super().store(room, drafts, receipt)

    async def append(self, room: RoomName, draft: Draft) -> int:
        """Append."""
        return await self._gate.around("append", super().append(room, draft))

    async def follow(self, room: RoomName, follower: IRoomFollower, recent: int) -> None:
        """Follow; the answer may come after the follower is live."""
        await self._gate("follow")
        feed = LateFeed(follower, lambda: self.late and room in self.feeds)
        await super().follow(room, feed, recent)
        self.feeds[room] = feed
        self.followed.add(room)
        await self._gate("follow answer")

    def unfollow(self, room: RoomName) -> None:
        """Stop following."""
        self.followed.discard(room)
        self.feeds.pop(room, None)
        super().unfollow(room)

    def arrive(self, count: int | None = None) -> None:
        """Let the first of what waits of each room through, or all, and nothing wait then."""
        self.late = count is not None
        for feed in tuple(self.feeds.values()):
            feed.arrive(count)

    def position(self, room: RoomName) -> int:
        """Up to where a room was given everything."""
        feed = self.feeds.get(room)
        if feed is None or not feed.waiting:
            return super().position(room)
        first = feed.waiting[0]
        return (first.seq if isinstance(first, Message) else first.first or 1) - 1

    async def reached(self, seq: int) -> bool:
        """Tell how far the log is."""
        return await self._gate.around("reached", super().reached(seq))

    async def history(self, room: RoomName, count: int, before: int | None) -> Page:
        """Read history."""
        return await self._gate.around("history", super().history(room, count, before))

    async def since(self, room: RoomName, after: int, most: int) -> Replay:
        """Read what was missed."""
        return await self._gate.around("since", super().since(room, after, most))

    async def topics(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, Topic]:
        """Read topics."""
        return await self._gate.around("topics", super().topics(rooms))

    async def last_seq(self, room: RoomName) -> int:
        """Read a seq."""
        return await self._gate.around("last_seq", super().last_seq(room))

    async def purge(self, room: RoomName, upto: int) -> None:
        """Purge."""
        await self._gate.around("purge", super().purge(room, upto))


class GatedPresence(MemoryPresence):
    """Presence in memory, with a gate.

    Attributes:
        knew: The versions that were known at each joining.
    """

    def __init__(self, store: MemoryPresenceStore, gate: Gate, name: str, fresh_id: Any) -> None:
        super().__init__(store, instance_name=name, fresh_id=fresh_id)
        self.knew: list[int] = []
        self._gate = gate
        self._turns: dict[str, Deferred[None]] = {}

    async def claim(self, session: str, nick: Nick, key: str = "") -> None:
        """Take a nick."""
        await self._in_turn(session, "claim", super().claim(session, nick, key))

    async def arm(self, session: str, key: str) -> None:
        """Make a session resumable."""
        await self._in_turn(session, "arm", super().arm(session, key))

    async def suspend(self, session: str, grace: float, given: str = "") -> None:
        """Keep a session without a connection."""
        await self._in_turn(session, "suspend", super().suspend(session, grace, given))

    async def resume(self, session: str, presented: str, key: str) -> Resumed:
        """Take a session over, unless there is news by then that it has moved on."""
        resumed = await self._in_turn(session, "resume", super().resume(session, presented, key))
        held = self._store.sessions.get(session)
        if held is not None and held.holder is not self:
            raise ResumedElsewhere
        return resumed

    async def settle(self, session: str) -> None:
        """Forget a key."""
        await self._in_turn(session, "settle", super().settle(session))

    async def _in_turn(self, session: str, step: str, work: Coroutine[Any, Any, T]) -> T:
        """Pass a step after those of the session before it.

        On its one connection a store is asked and answers in order.
        """
        if not self._gate.in_turn:
            return await self._gate.around(step, work)
        before, mine = self._turns.get(session), Deferred[None]()
        self._turns[session] = mine
        try:
            try:
                if before is not None:
                    await before
            except BaseException:
                work.close()
                raise
            return await self._gate.around(step, work)
        finally:
            if self._turns.get(session) is mine:
                del self._turns[session]
            else:  # once whoever asked for this has gone on
                self._gate.next.append(mine)

    async def rename(self, session: str, nick: Nick) -> None:
        """Exchange a nick."""
        await self._in_turn(session, "rename", super().rename(session, nick))

    async def join(self, session: str, room: RoomName, known: int) -> Roster:
        """Enter a room."""
        self.knew.append(known)
        return await self._in_turn(session, "join", super().join(session, room, known))

    async def leave(self, session: str, room: RoomName, reason: str) -> float:
        """Leave a room."""
        return await self._in_turn(session, "leave", super().leave(session, room, reason))

    async def release(self, session: str, reason: str) -> None:
        """End a session."""
        await self._in_turn(session, "release", super().release(session, reason))

    async def users(self, room: RoomName) -> Roster:
        """Read who is in a room."""
        return await self._gate.around("users", super().users(room))

    async def listing(self, room: RoomName, most: int, known: int) -> Listing:
        """Read who came first into a room."""
        return await self._gate.around("listing", super().listing(room, most, known))

    async def versions(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, int]:
        """Read versions."""
        return await self._gate.around("versions", super().versions(rooms))

    async def emptied(self) -> Mapping[RoomName, tuple[float, int | None]]:
        """Read the rooms that are empty."""
        return await self._gate.around("emptied", super().emptied())

    async def forget_empty(self, room: RoomName, seq: int) -> bool:
        """Strike a room off."""
        return await self._gate.around("forget_empty", super().forget_empty(room, seq))

    async def locate(self, nick: Nick) -> Whereabouts | None:
        """Find somebody."""
        return await self._gate.around("locate", super().locate(nick))


@implementer(IPresenceWatcher)
class LateNews:
    """News of presence on the way to a hub: at once, or when it is let through, or never.

    Attributes:
        held: While True, news waits.
        waiting: What waits.
    """

    def __init__(self, watcher: IPresenceWatcher) -> None:
        self.held = False
        self.waiting: deque[Change] = deque()
        self._watcher = watcher

    def changed(self, change: Change) -> None:
        """Take a change."""
        self.waiting.append(change)
        if not self.held:
            self.arrive()

    def arrive(self, count: int | None = None) -> None:
        """Let the first of what waits through, or all."""
        for _ in range(len(self.waiting) if count is None else count):
            self._watcher.changed(self.waiting.popleft())

    def uncertain(self) -> None:
        """Pass it on."""
        self._watcher.uncertain()

    def lost(self, session: str) -> None:
        """Pass it on."""
        self._watcher.lost(session)

    def moved(self, session: str) -> None:
        """Pass it on."""
        self._watcher.moved(session)


@implementer(IMember)
class Client:
    """A connected client, and what it was shown.

    Attributes:
        shown: The events, oldest first.
        closed: The errors with which it was closed.
        late: The events that came after that.
    """

    def __init__(self) -> None:
        self.late: list[Event] = []
        self.shown: list[Event] = []
        self.closed: list[ChatError | None] = []

    def deliver(self, event: Event) -> None:
        """Take an event."""
        (self.late if self.closed else self.shown).append(event)

    def close(self, error: ChatError | None) -> None:
        """Take note."""
        self.closed.append(error)

    def story(self) -> list[str]:
        """What was shown since this was asked the last time, in words."""
        shown, self.shown = self.shown, []
        return [in_words(event) for event in shown]


def in_words(event: Event) -> str:
    """An event, briefly."""
    match event:
        case Message(kind="said"):
            return f"#{event.room} {event.nick}: {event.text}"
        case Message(kind="did"):
            return f"#{event.room} * {event.nick} {event.text}"
        case Message():
            return f"#{event.room} topic {event.nick}: {event.text}"
        case Joined():
            return f"#{event.room} +{_nicks(event.members)}"
        case Left():
            reason = f" ({event.reason})" if event.reason else ""
            return f"#{event.room} -{_nicks(event.members)}{reason}"
        case Renamed():
            return f"#{event.room} {event.old}>{event.new}"
        case Gap():
            return f"#{event.room} gap {event.first}..{event.last}"
        case MarkedAway(members=members):
            marks = (f"{m.nick} {'away' if m.away else 'back'}" for m in members)
            return f"#{event.room} {', '.join(marks)}"
        case PrivateReceived(message=message):
            return f"({message.sender}) {message.text}"
        case _:
            return type(event).__name__.lower()


def _nicks(members: Iterable[Member]) -> str:
    return ",".join(member.nick.display for member in members)


class User:
    """Somebody at a client: its session with names for rooms and people as text."""

    def __init__(self, hub: Hub) -> None:
        self.client = Client()
        self.hub = hub
        self.session: Session = hub.connect(self.client)

    def story(self) -> list[str]:
        """What was shown since this was asked the last time, in words."""
        return self.client.story()

    def arm(self) -> str:
        """Ask for a token."""
        return outcome(self.session.arm()).token

    def drop(self) -> None:
        """Lose the connection."""
        self.session.disconnected(self.client)

    def resume(self, token: str, seen: Seen | None = None) -> Deferred[Restored]:
        """Take a session up again, and show what was missed."""

        async def work() -> Restored:
            self.session, restored = await self.hub.resume(self.client, token, seen or Seen())
            self.session.catch_up()
            return restored

        return run(work())

    def name(self, nick: str) -> Deferred[Any]:
        """Take a nick."""
        return run(self.session.name(Nick.parse(nick)))

    def join(self, room: str) -> Deferred[Any]:
        """Join a room."""
        return run(self.session.join(RoomName.parse(room)))

    def leave(self, room: str | None = None) -> Deferred[Any]:
        """Leave a room."""
        return run(self.session.leave(RoomName.parse(room) if room else None))

    def say(self, text: str, room: str | None = None) -> Deferred[Any]:
        """Say something."""
        return run(self.session.say(text, RoomName.parse(room) if room else None))

    def users(self, room: str | None = None) -> list[str]:
        """Who is in a room."""
        answer = outcome(self.session.users(RoomName.parse(room) if room else None))
        return [member.nick.display for member in answer.members]

    def whisper(self, nick: str, text: str) -> Deferred[Any]:
        """Send a private message."""
        return run(self.session.whisper(Nick.parse(nick), text))


class Instance:
    """One instance: a hub on adapters that the world's other instances share."""

    def __init__(
        self,
        world: World,
        name: str,
        limits: Limits,
        window: Callable[[int], float],
        log_seconds: float,
        log_most: int,
    ) -> None:
        self.gate = Gate(in_turn=world.in_turn)
        self.log = GatedLog(world.stream, self.gate)
        self.presence = GatedPresence(world.store, self.gate, name, world.runtime.fresh_id)
        self.hub = Hub(
            log=self.log,
            presence=self.presence,
            courier=MemoryCourier(world.post, self.presence.incarnation),
            runtime=world.runtime,
            limits=limits,
            log_seconds=log_seconds,
            log_most=log_most,
            window=window,
        )
        self.news = LateNews(self.hub)
        self.presence.watch(self.news)
        outcome(self.presence.start())

    def connect(self) -> User:
        """Let somebody in who has no name yet."""
        return User(self.hub)

    def user(self, nick: str, *rooms: str) -> User:
        """Let somebody in with a name, who joins rooms."""
        user = self.connect()
        outcome(user.name(nick))
        for room in rooms:
            outcome(user.join(room))
        user.story()
        return user


class World:
    """Instances on one stream and one presence store.

    Args:
        limits: Of every session.
        instances: How many.
        window: As in `Room`.
        log_seconds: As in `Ring`.
        log_most: As in `Ring`.
        log_ahead: By how many seconds the log's clock is ahead of the instances'.
        store_ahead: The same of the presence store's.
        in_turn: Whether presence answers a session in the order in which it was asked, as it does
            on a store's one connection; what has waited goes on by `Gate.go_on`.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        instances: int = 2,
        window: Callable[[int], float] = window,
        log_seconds: float = math.inf,
        log_most: int = 0,
        log_ahead: float = 0.0,
        store_ahead: float = 0.0,
        in_turn: bool = False,
    ) -> None:
        self.in_turn = in_turn
        self.runtime = SteppedRuntime()
        self.stream = MemoryStream(lambda: self.runtime.time + log_ahead)
        self.store = MemoryPresenceStore(now=lambda: self.runtime.time + store_ahead)
        self.post = MemoryPost()
        self._started = 0
        self._limits = limits or Limits()
        self._window = window
        self._log_seconds = log_seconds
        self._log_most = log_most
        self.instances = [self._start() for _ in range(instances)]

    def _start(self) -> Instance:
        self._started += 1
        name = f"srv-{self._started}"
        return Instance(self, name, self._limits, self._window, self._log_seconds, self._log_most)

    def replace(self, number: int) -> None:
        """Let an instance die, and start another in its place."""
        self.instances[number].presence.end("server lost")
        self.instances[number] = self._start()

    @property
    def one(self) -> Instance:
        """The first instance."""
        return self.instances[0]

    @property
    def two(self) -> Instance:
        """The second instance."""
        return self.instances[1]

    def texts(self, room: str) -> list[str]:
        """What is stored of a room."""
        return [message.text for message in self.stream.messages(RoomName.parse(room))]

    def in_room(self, room: str) -> list[str]:
        """The nicks in a room, as the store has it."""
        held = self.store.rooms.get(RoomName.parse(room))
        return [self.store.member(s).nick.display for s in held.members] if held else []

    def pass_time(self, seconds: float, *, step: float = 0.5) -> None:
        """Let time go by, with the hubs' ticks."""
        until = self.runtime.time + seconds
        while self.runtime.time < until:
            self.runtime.pass_time(min(step, until - self.runtime.time))
            self.store.tick()
            for instance in self.instances:
                instance.hub.tick()

    def check(self) -> None:
        """Look that nothing failed on the side."""
        assert not self.runtime.failures, self.runtime.failures[0].getTraceback()


def world_of(**arguments: Any) -> World:
    """A chat with these limits."""
    return World(limits=Limits(**arguments))
