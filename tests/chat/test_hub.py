"""Several instances as one chat: who sees what, and which rooms an instance follows."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred

from disroom.chat.errors import (
    ChatError,
    NoSession,
    NotStored,
    PresenceUnavailable,
    StoreUnavailable,
)
from disroom.chat.events import (
    Delayed,
    Draft,
    Event,
    Failed,
    Gap,
    Joined,
    Left,
    MarkedAway,
    Member,
    Message,
    PrivateReceived,
    Renamed,
    StoredAfterAll,
)
from disroom.chat.limits import Limits
from disroom.chat.names import Nick, RoomName
from disroom.chat.replies import Entered
from disroom.chat.rooms import COMPARE_SECONDS
from disroom.chat.session import Session
from disroom.chat.tokens import Seen, Token
from tests.chat.world import Client, Instance, User, World, in_words, outcome, run

TEA = RoomName.parse("tea")


# One chat on two instances.


def test_everybody_sees_the_same_wherever_they_are(world: World) -> None:
    """Comings, messages, names and goings appear on all instances, in the same order."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    cat = world.two.user("cat", "tea")
    outcome(ann.say("hi"))
    outcome(cat.say("hello"))
    outcome(cat.name("kitty"))
    outcome(cat.leave())
    seen = ["#tea +cat", "#tea ann: hi", "#tea cat: hello", "#tea cat>kitty", "#tea -kitty"]
    assert ann.story() == seen
    assert bob.story() == seen


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(
    "step", ["follow", "follow answer", "topics", "topics answer", "join", "join answer"]
)
def test_who_joins_sees_nothing_twice_and_misses_nothing(
    world: World, step: str, opened: bool
) -> None:
    """The backlog on joining and what follows it are one sequence, while others talk on."""
    talker = world.one.user("talker", "tea")
    if opened:
        world.two.user("witness", "tea")
    outcome(talker.say("1"))
    user = world.two.user("late")
    world.two.gate.hold(step)
    joining = user.join("tea")
    outcome(talker.say("2"))
    outcome(talker.say("3"))
    world.two.gate.release()
    backlog = outcome(joining).backlog
    outcome(talker.say("4"))
    live = [event.text for event in user.client.shown if isinstance(event, Message)]
    assert [*(message.text for message in backlog.page.messages), *live] == ["1", "2", "3", "4"]
    assert live[-1] == "4"


def test_a_room_that_is_open_and_one_that_is_not_are_joined_alike(world: World) -> None:
    """The last messages are the same whether somebody of the instance was in the room before."""
    talker = world.one.user("talker", "tea")
    for number in range(15):
        outcome(talker.say(f"{number}"))
    for instance in world.instances:
        entered = outcome(instance.user(f"late-{id(instance)}").join("tea"))
        assert [in_words(m)[-2:].strip() for m in entered.backlog.page.messages] == [
            *(str(number) for number in range(5, 15))
        ]
        assert entered.backlog.page.older


@pytest.mark.parametrize("count", [9, 10, 11])
def test_nothing_older_is_promised_that_is_not_there(world: World, count: int) -> None:
    """``older: history 10 before N`` is shown on joining where that would show something."""
    talker = world.one.user("talker", "tea")
    for number in range(count):
        outcome(talker.say(f"{number}"))
    for instance in world.instances:
        user = instance.user(f"late-{id(instance)}")
        backlog = outcome(user.join("tea")).backlog
        first = backlog.page.messages[0].seq
        page = outcome(user.session.history(backlog.asked, first)).page
        assert backlog.page.older == bool(page.messages)


def test_a_topic_set_while_a_room_is_opened_is_the_one_shown(world: World) -> None:
    """Who joins just as the topic changes is not shown the old one from then on."""
    ann = world.one.user("ann", "tea")
    outcome(ann.session.set_topic("old"))
    for _ in range(20):
        outcome(ann.say("x"))
    for new in ("new", None):
        bob = world.two.user("bob")
        world.two.gate.hold("topics answer")
        joining = bob.join("tea")
        if new:
            outcome(ann.session.set_topic(new))
        else:
            draft = Draft("t", "topic", Nick.parse("ann"), ann.session.id, "")
            outcome(world.one.log.append(TEA, draft))
        world.two.gate.release()
        topic = outcome(joining).topic
        assert (topic.text if topic else None) == new
        bob.session.close("")
        for _ in range(20):
            outcome(ann.say("x"))


def test_a_dead_instances_users_leave_together(world: World) -> None:
    """When an instance dies its users are shown as gone, in one line, with the reason."""
    ann = world.one.user("ann", "tea")
    for nick in ("bob", "cat"):
        world.two.user(nick, "tea")
    ann.story()
    world.two.presence.end("server lost")
    assert ann.story() == ["#tea -bob,cat (server lost)"]
    assert ann.users() == ["ann"]


def times(user: User) -> list[tuple[str, float]]:
    """What somebody was shown since this was asked the last time, and of when it is said to be."""
    shown, user.client.shown = user.client.shown, []
    return [
        (in_words(event), event.message.at if isinstance(event, PrivateReceived) else event.at)
        for event in shown
        if isinstance(event, Message | Joined | Left | Renamed | MarkedAway | PrivateReceived)
    ]


def test_no_time_that_is_shown_is_of_an_instances_clock() -> None:
    """Whatever that says, what is said has the log's time, and all else the presence store's."""
    world = World(log_ahead=60, store_ahead=120)
    log, store = world.runtime.time + 60, world.runtime.time + 120
    ann, zoe = world.one.user("ann", "tea"), world.two.user("zoe", "tea")
    bob = world.one.user("bob")
    ann.story()
    token = bob.arm()
    world.one.news.held = True
    outcome(bob.join("tea"))
    outcome(bob.say("hi"))
    world.two.news.held = True
    sent = outcome(bob.whisper("ann", "psst")).message
    outcome(bob.session.away("lunch"))
    bob.drop()
    back = world.two.connect()
    outcome(back.resume(token))
    outcome(back.session.away(None))
    outcome(back.name("rob"))
    outcome(back.leave("tea"))
    for instance in world.instances:
        instance.news.held = False
        instance.news.arrive()
    seen = [
        ("#tea +bob", store),
        ("#tea bob: hi", log),
        ("#tea bob away", store),
        ("#tea bob back", store),
        ("#tea bob>rob", store),
        ("#tea -rob", store),
    ]
    assert times(ann) == [*seen[:2], ("(bob) psst", store), *seen[2:]]
    assert times(zoe) == seen
    assert sent.at == store


@pytest.mark.parametrize(("verb", "shown"), [("join", "#tea +bob"), ("leave", "#tea -bob")])
def test_who_comes_back_while_it_joins_or_leaves_is_told_the_presence_stores_time(
    verb: str, shown: str
) -> None:
    """Where the answer goes nowhere it is an event, which has its time as every other."""
    world = World(store_ahead=120)
    bob = world.one.user("bob", *(["tea"] if verb == "leave" else []))
    token, back = bob.arm(), world.one.connect()
    world.one.gate.hold(f"{verb} answer")
    (bob.join if verb == "join" else bob.leave)("tea")
    resuming = back.resume(token)
    world.one.gate.release()
    outcome(resuming)
    assert (shown, world.runtime.time + 120) in times(back)


def test_what_a_roster_makes_good_has_the_presence_stores_time() -> None:
    """Who came and went while the news was lost is shown with that of the answer that says so."""
    world = World(log_ahead=60, store_ahead=120)
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    world.one.news.held = True
    outcome(bob.leave())
    world.two.user("cat", "tea")
    world.one.news.waiting.clear()
    world.one.news.held = False
    world.one.hub.uncertain()
    assert sorted(times(ann)) == [
        ("#tea +cat", world.runtime.time + 120),
        ("#tea -bob", world.runtime.time + 120),
    ]


# News of presence that is late or lost.


def test_late_news_shows_everybody_once(world: World) -> None:
    """Who joins while news is on its way sees a list and changes that fit together."""
    ann = world.one.user("ann", "tea")
    world.one.news.held = True
    world.two.user("bob", "tea")
    cat = world.one.user("cat")
    entered = outcome(cat.join("tea"))
    assert [m.nick.display for m in entered.users.members] == ["ann", "cat"]
    world.two.user("dan", "tea")
    world.one.news.arrive()
    assert ann.story() == ["#tea +cat", "#tea +bob", "#tea +dan"]
    assert cat.story() == ["#tea +bob", "#tea +dan"]


def test_two_newcomers_ahead_of_the_news_see_each_other(world: World) -> None:
    """Those who join one after the other, ahead of all news, each see the other once."""
    world.one.user("ann", "tea")
    world.one.news.held = True
    cat, dan = world.one.user("cat"), world.one.user("dan")
    outcome(cat.join("tea"))
    world.two.user("eve", "tea")
    outcome(dan.join("tea"))
    world.one.news.arrive()
    assert sorted(",".join(e.partition("+")[2] for e in cat.story()).split(",")) == ["dan", "eve"]
    assert dan.story() == ["#tea +eve"]


def test_of_all_who_come_back_at_once_one_is_told_everybody(world: World) -> None:
    """An instance that starts again costs the store one list a room, not one for each user."""
    for name in ("bob", "cat"):
        world.two.user(name, "tea")
    users = [world.one.user(name) for name in ("ann", "dan", "eve")]
    world.one.gate.hold("join")
    joining = [user.join("tea") for user in users]
    assert world.one.gate.waiting("join") == 1
    world.one.gate.release()
    listed = [[m.nick.display for m in outcome(each).users.members] for each in joining]
    assert listed[0][:3] == ["bob", "cat", "ann"]
    assert listed[2] == ["bob", "cat", "ann", "dan", "eve"]
    assert [bool(version) for version in world.one.presence.knew] == [False, True, True]


def test_who_waits_for_the_first_to_come_in_does_not_depend_on_it(world: World) -> None:
    """Where the first cannot enter a room, the next who waits asks for itself."""
    world.two.user("bob", "tea")
    users = [world.one.user(name) for name in ("ann", "dan", "eve")]
    world.one.gate.hold("join")
    world.one.gate.fail("join", PresenceUnavailable())
    joining = [user.join("tea") for user in users]
    world.one.gate.release()
    with pytest.raises(PresenceUnavailable):
        outcome(joining[0])
    assert [m.nick.display for m in outcome(joining[2]).users.members] == ["bob", "dan", "eve"]


def test_an_own_arrival_is_not_shown_to_oneself(world: World) -> None:
    """However late the news is, nobody is told that they themselves have come."""
    world.one.user("bob", "tea")
    world.one.news.held = True
    ann = world.one.user("ann", "tea")
    world.one.news.arrive()
    assert ann.story() == []
    assert ann.users() == ["bob", "ann"]


def test_lost_news_is_made_good_when_the_next_comes(world: World) -> None:
    """A change of which nothing was heard shows as soon as another follows it."""
    ann = world.one.user("ann", "tea")
    world.one.news.held = True
    world.two.user("bob", "tea")
    world.one.news.waiting.clear()
    world.one.news.held = False
    world.two.user("cat", "tea")
    assert ann.story() == ["#tea +bob,cat"]


def test_lost_news_is_made_good_by_comparing(world: World) -> None:
    """A lost change shows within ten seconds although nothing follows, or at once when asked."""
    ann = world.one.user("ann", "tea")
    waits: list[Callable[[], None]] = [
        lambda: world.pass_time(COMPARE_SECONDS + 1),
        world.one.hub.uncertain,
    ]
    for after in waits:
        world.one.news.held = True
        bob = world.two.user("bob", "tea")
        bob.session.close("")
        world.two.user("cat", "tea").session.close("")
        world.two.user("dan", "tea")
        world.one.news.waiting.clear()
        world.one.news.held = False
        assert not ann.story()
        after()
        assert ann.story() == ["#tea +dan"]
        outcome(next(iter(world.two.hub.sessions.values())).leave(None))
        next(iter(world.two.hub.sessions.values())).close("")
        ann.story()


def test_news_that_comes_while_a_list_is_read_is_not_forgotten(world: World) -> None:
    """What is lost while the list is on its way is found without waiting for the comparison."""
    ann = world.one.user("ann", "tea")
    news = world.one.news
    news.held = True
    for nick in ("bob", "cat"):
        world.two.user(nick, "tea")
    news.waiting.popleft()
    world.one.gate.hold("users answer")
    news.arrive()
    for nick in ("dan", "eve"):
        world.two.user(nick, "tea")
    news.waiting.popleft()
    news.arrive()
    world.one.gate.release()
    shown = ann.story()
    assert ",".join(line.partition("+")[2] for line in shown) == "bob,cat,dan,eve"


def test_news_that_comes_before_a_room_is_open_is_not_forgotten(world: World) -> None:
    """Who comes or goes just as the first of an instance joins is in the list that it is shown."""
    world.two.user("bob", "tea")
    ann = world.one.user("ann")
    world.one.gate.hold("join answer")
    joining = ann.join("tea")
    world.two.user("cat", "tea")
    world.one.gate.release()
    assert [m.nick.display for m in outcome(joining).users.members] == ["bob", "ann", "cat"]
    world.pass_time(0.5)
    assert ann.story() == []


def test_a_list_that_cannot_be_read_is_read_later(world: World) -> None:
    """While presence is away nothing is shown that is not known; afterwards all of it is."""
    ann = world.one.user("ann", "tea")
    world.one.news.held = True
    world.two.user("bob", "tea")
    world.one.news.waiting.clear()
    world.one.news.held = False
    world.one.gate.fail("users", PresenceUnavailable())
    world.one.gate.fail("versions", PresenceUnavailable())
    world.one.hub.uncertain()
    world.one.hub.uncertain()
    assert not ann.story()
    world.pass_time(COMPARE_SECONDS + 1)
    assert ann.story() == ["#tea +bob"]


def test_a_stranger_who_speaks_is_shown_coming_first(world: World) -> None:
    """A message of somebody whose coming was not announced yet is preceded by it, once."""
    ann = world.one.user("ann", "tea")
    world.one.news.held = True
    bob = world.two.user("bob", "tea")
    outcome(bob.say("hi"))
    assert ann.story() == ["#tea +bob", "#tea bob: hi"]
    world.one.news.arrive()
    assert not ann.story()
    bob.session.close("")
    world.one.news.arrive()
    assert ann.story() == ["#tea -bob"]


def test_who_is_away_and_joins_is_marked_however_late_the_news_is(world: World) -> None:
    """Neither the answer to its joining nor what it says at once hides that it is away."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    cat = world.one.user("cat")
    outcome(cat.session.away("tea is ready"))
    ann.story()
    for instance in world.instances:
        instance.news.held = True
    outcome(cat.join("tea"))
    outcome(cat.say("hi"))
    (joined,) = (event for event in ann.client.shown if isinstance(event, Joined))
    assert joined.members == (Member(cat.session.id, Nick.parse("cat"), away=True),)
    for instance in world.instances:
        instance.news.arrive()
    assert ann.story() == ["#tea +cat", "#tea cat: hi"]
    assert bob.story() == ["#tea +cat", "#tea cat: hi", "#tea cat away"]


def test_a_late_message_of_somebody_long_gone_leaves_no_ghost(world: World) -> None:
    """Somebody who is shown because of a message that was under way at the end is shown gone."""
    bob = world.two.user("bob", "tea")
    world.two.user("cat", "tea")
    world.two.gate.hold("append")
    bob.say("last words")
    bob.session.close("")
    ann = world.one.user("ann", "tea")
    world.two.gate.release()
    assert ann.story() == ["#tea +bob", "#tea bob: last words"]
    world.pass_time(2 * COMPARE_SECONDS + 1)
    assert ann.story() == ["#tea -bob"]


# Which rooms are followed.


def test_a_room_is_followed_while_somebody_is_in_it(world: World) -> None:
    """An instance reads only rooms in which it has somebody, and each only once."""
    ann, bob = world.one.user("ann", "tea", "pot"), world.one.user("bob", "tea")
    assert world.one.log.followed == {TEA, RoomName.parse("pot")}
    assert world.two.log.followed == set()
    outcome(ann.leave("tea"))
    assert TEA in world.one.log.followed
    bob.session.close("")
    assert world.one.log.followed == {RoomName.parse("pot")}
    assert world.one.gate.taken.count("follow") == 2
    outcome(ann.join("tea"))
    outcome(ann.say("hi"))
    assert ann.story()[-1] == "#tea ann: hi"


def test_a_room_stays_open_for_who_is_just_joining(world: World) -> None:
    """When the last one leaves as another joins, the other is in and misses nothing."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob")
    for step in ("join", "join answer"):
        world.one.gate.hold(step)
        joining = bob.join("tea")
        outcome(ann.leave())
        assert world.one.log.followed == {TEA}
        world.one.gate.release()
        assert [m.nick.display for m in outcome(joining).users.members] == ["bob"]
        outcome(bob.say("hi"))
        assert bob.story()[-1] == "#tea bob: hi"
        outcome(ann.join("tea"))
        outcome(bob.leave())
    assert world.one.gate.taken.count("follow") == 1


def test_a_room_that_could_not_be_entered_is_not_followed(world: World) -> None:
    """Where joining fails, the instance does not go on reading the room for nobody."""
    ann = world.one.user("ann")
    for step, error in (("follow", StoreUnavailable()), ("join", PresenceUnavailable())):
        world.one.gate.fail(step, error)
        with pytest.raises(type(error)):
            outcome(ann.join("tea"))
        assert not world.one.log.followed
        assert world.one.hub.room(TEA) is None


@pytest.mark.parametrize("step", ["follow", "follow answer", "topics"])
def test_a_room_that_nobody_has_foreseen_to_fail_is_opened_anew(world: World, step: str) -> None:
    """Who waits for it is told so, and who comes later is in a room that hears."""
    ann, bob = world.one.user("ann"), world.one.user("bob")
    world.one.gate.hold("follow")
    world.one.gate.fail(step, ValueError("strange"))
    first, second = ann.join("tea"), bob.join("tea")
    world.one.gate.release()
    with pytest.raises(ValueError, match="strange"):
        outcome(first)
    with pytest.raises(StoreUnavailable):
        outcome(second)
    assert not world.one.log.followed
    assert world.one.hub.room(TEA) is None
    outcome(ann.join("tea"))
    outcome(ann.say("hi"))
    assert ann.story()[-1] == "#tea ann: hi"


def test_a_room_is_not_kept_for_who_fails_to_enter_for_a_reason_that_nobody_has_foreseen(
    world: World,
) -> None:
    """Once the last one has left, the instance does not go on reading the room for nobody."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob")
    outcome(ann.say("hi"))
    room = world.one.hub.room(TEA)
    assert room is not None
    room.removed(None)
    world.one.gate.fail("history", ValueError("strange"))
    with pytest.raises(ValueError, match="strange"):
        outcome(bob.join("tea"))
    assert world.one.log.followed == {TEA}
    outcome(ann.leave())
    assert not world.one.log.followed


class Broken(Client):
    """A client that fails at whatever it is told."""

    def deliver(self, event: Event) -> None:
        """Fail."""
        raise ZeroDivisionError


def test_one_session_that_fails_keeps_nobody_else_waiting(world: World) -> None:
    """What time brings to the others comes in the same round; that one fails is not hidden."""
    bad = world.one.user("bad", "tea")
    bad.session.member = Broken()
    ann = world.one.user("ann", "pot")
    world.one.gate.hold("append")
    outcome(bad.say("hi"))
    outcome(ann.say("hi"))
    with pytest.raises(ZeroDivisionError):
        world.pass_time(2)
    assert ann.story() == ["delayed"]


def test_many_sessions_and_ticks_do_no_harm_without_rooms() -> None:
    """An instance that nobody uses is quiet."""
    world = World()
    world.one.connect()
    world.pass_time(60)
    world.check()
    assert set(world.one.gate.taken) <= {"versions", "versions answer"}


# Everything at once.

GRACE = 3.0
NICKS = ["ann", "Ann", "bob", "cat", "dan"]
ROOMS = ["tea", "pot", "cup"]
STEPS = [
    *("claim", "claim answer", "rename", "rename answer", "join", "join answer", "leave"),
    *("leave answer", "follow", "follow answer", "topics", "users", "users answer", "append"),
    *("append answer", "release", "versions answer", "arm", "suspend", "resume"),
    *("resume answer", "settle", "since", "since answer", "reached", "reached answer"),
]
VERBS = st.sampled_from(
    ["nick", "join", "leave", "say", "send", "msg", "users", "topic", "history", "away", "back"]
)


def listed_in(entered: Entered) -> dict[str, tuple[str, bool]]:
    """Who is in a room by an answer: the nick, and whether it is away."""
    return {m.session: (m.nick.display, m.away) for m in entered.users.members}


class Visitor:
    """A user whose verbs are carried out one after the other, as a transport does it.

    Attributes:
        tracks: Whether it knows the seqs of what it has seen, and tells them on coming back.
        lost: Whether it has no connection.
        gone: Whether it will have none any more.
        disputed: Whether it tried to come back twice at once, so that a late first attempt may have
            made the token of the second void.
        former: The sessions and clients that it had before.
        lists: Who is in its rooms: the nick, and whether it is away; None where it was not told.
        seen: The ids of the messages of a room that it was shown, or told to be lost.
        last: The seq of the last of them.
    """

    def __init__(self, world: World, instance: Instance, *, tracks: bool) -> None:
        self.world = world
        self.instance = instance
        self.tracks = tracks
        self.user: User = instance.connect()
        self.token = ""
        self.lost = self.gone = self.disputed = False
        self.former: list[tuple[Session, Client]] = []
        self.doing: Deferred[Any] | None = None
        self.failures: list[BaseException] = []
        self.lists: dict[RoomName, dict[str, tuple[str, bool]] | None] = {}
        self.seen: dict[RoomName, list[str]] = {}
        self.last: dict[RoomName, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a verb is under way."""
        return self.doing is not None and not self.doing.called

    def do(self, verb: str, nick: str, room: str, text: str) -> None:
        """Begin a verb."""
        session, name = self.user.session, RoomName.parse(room)
        works: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "nick": lambda: session.name(Nick.parse(nick)),
            "join": lambda: self.join(name),
            "leave": lambda: self.leave(name),
            "say": lambda: session.say(text),
            "send": lambda: session.say(text, name),
            "msg": lambda: session.whisper(Nick.parse(nick), text),
            "users": lambda: session.users(name),
            "topic": lambda: session.set_topic(text),
            "history": lambda: session.history(3, None),
            "away": lambda: session.away(text),
            "back": lambda: session.away(None),
            "arm": self.arm,
        }
        session.heard()
        self.begin(works[verb]())

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin to do something."""
        self.doing = run(work)
        self.doing.addErrback(self.failed)

    def failed(self, failure: Any) -> None:
        """Keep what is no user's error."""
        if not failure.check(ChatError):
            self.failures.append(failure.value)

    async def join(self, name: RoomName) -> None:
        """Join, and take the list and the backlog from the answer."""
        user = self.user
        entered = await user.session.join(name)
        if not self.lost and self.user is user:
            self.look()
            if entered.backlog is None:  # it was in the room: the list is the one that it has
                assert self.lists[name] in (None, listed_in(entered))
            self.entered(entered)

    def entered(self, entered: Entered) -> None:
        """Take the list, and the backlog if there is one, from an answer."""
        name, users = entered.room, entered.users
        listed = listed_in(entered)
        assert len(listed) == len(users.members) == users.total
        assert self.user.session.id in listed
        self.lists[name] = listed
        if entered.backlog is not None:
            self.seen[name] = [m.id for m in entered.backlog.page.messages]
            self.last[name] = entered.position

    async def leave(self, name: RoomName) -> None:
        """Leave."""
        user = self.user
        await user.session.leave(name)
        if not self.lost and self.user is user:
            self.look()
            self.lists.pop(name, None)

    # Losing the connection, and coming back.

    async def arm(self) -> None:
        """Have the session outlive the connection."""
        user = self.user
        token = (await user.session.arm()).token
        if not self.lost and self.user is user:
            self.token = token

    def lose(self) -> None:
        """Lose the connection, after the last was read."""
        self.look()
        self.lost = True
        self.former.append((self.user.session, self.user.client))
        self.user.drop()
        self.user.client.close(None)

    def vanish(self) -> None:
        """Lose every connection for good."""
        self.gone = True
        for session, client in (*self.former, (self.user.session, self.user.client)):
            session.close("connection lost", by=client)

    def resume(self, instance: Instance) -> None:
        """Come back, also where the server does not know yet that the connection is lost."""
        if not self.lost:
            self.look()
            self.former.append((self.user.session, self.user.client))
        self.disputed = self.disputed or (self.lost and self.busy)
        self.lost, self.instance, self.user = True, instance, instance.connect()
        self.begin(self.come_back(self.user))

    async def come_back(self, user: User) -> None:
        """Show the token and what was seen, and take the answer."""
        seqs = {name: self.last[name] for name in self.lists} if self.tracks else {}
        seen = Seen(user.hub.log.identity if self.tracks else "", seqs)
        try:
            session, restored = await user.hub.resume(user.client, self.token, seen)
        except NoSession:
            held = self.world.store.sessions.get(Token.parse(self.token).session)
            ended = held is None or (held.ends is not None and held.ends <= self.world.runtime.time)
            assert ended or self.disputed
            raise
        assert not user.client.shown
        if self.gone or self.user is not user:  # it has lost patience
            self.former.append((session, user.client))
            session.disconnected(user.client)
            return
        self.lost, self.token, user.session = False, restored.token, session
        former, self.lists = self.lists, {}
        for entered in restored.rooms:
            known = entered.room in (seqs if self.tracks else former)
            assert (entered.backlog is None) if self.tracks and known else True
            assert known or entered.backlog is not None
            self.entered(entered)
        session.catch_up()

    # What is shown.

    def look(self) -> None:
        """Follow what is shown."""
        assert all(not client.late for _, client in self.former)
        shown, self.user.client.shown = self.user.client.shown, []
        for event in shown:
            match event:
                case Message(room=room, id=id_):
                    assert id_ not in self.seen[room]
                    assert event.seq > self.last[room]
                    self.seen[room].append(id_)
                    self.last[room] = event.seq
                case Gap(room=room, first=first, last=last):
                    assert first is not None and last is not None
                    assert first > self.last[room] - 1
                    lost = (m for m in self.world.stream.messages(room) if first <= m.seq <= last)
                    self.seen[room] += [m.id for m in lost]
                    self.last[room] = last
                case Joined(room=room, members=members):
                    self.joined(room, members)
                case Left(room=room, members=members):
                    self.left(room, members, event.reason)
                case Renamed(room=room, session=session, old=old, new=new):
                    if (listed := self.lists[room]) is not None:
                        nick, away = listed[session]
                        assert nick == old.display
                        listed[session] = (new.display, away)
                case MarkedAway(room=room, members=members):
                    if (listed := self.lists[room]) is not None:
                        for member in members:
                            assert listed[member.session][0] == member.nick.display
                            listed[member.session] = (member.nick.display, member.away)
                case PrivateReceived() | Delayed() | Failed() | StoredAfterAll():
                    pass
                case _:
                    raise AssertionError(event)

    def joined(self, room: RoomName, members: Iterable[Member]) -> None:
        """Put people on the list; one that was joined before the connection was lost begins."""
        for member in members:
            if member.session == self.user.session.id:
                self.lists[room], self.seen[room] = None, []
                self.last[room] = 0
            elif (listed := self.lists[room]) is not None:
                assert member.session not in listed
                listed[member.session] = (member.nick.display, member.away)

    def left(self, room: RoomName, members: Iterable[Member], reason: str) -> None:
        """Take people off the list."""
        for member in members:
            if reason == "connection lost":
                assert member.session not in self.world.store.sessions
            if member.session == self.user.session.id:
                self.lists.pop(room, None)
            elif (listed := self.lists[room]) is not None:
                assert listed.pop(member.session)[0] == member.nick.display


class Chat(RuleBasedStateMachine):
    """Users of two instances who do anything at any time, while steps wait, fail and are lost."""

    @initialize(seconds=st.sampled_from([0.0, 0.7]))
    def open(self, seconds: float) -> None:
        """Nobody is there yet. Two in a room are many, perhaps."""
        self.world = World(
            limits=Limits(rooms=2, unsent=2, backlog=2, history=4, grace=GRACE),
            window=lambda audience: seconds if audience > 1 else 0.0,
            in_turn=True,
        )
        self.world.store.grace = GRACE
        self.visitors: list[Visitor] = []
        self.leaving: list[tuple[Instance, Deferred[None]]] = []
        self.texts = 0
        for number, tracks in enumerate((True, False)):
            visitor = Visitor(self.world, self.world.instances[number], tracks=tracks)
            self.visitors.append(visitor)
            for verb in ("nick", "arm", "join"):
                visitor.do(verb, f"first{number}", "tea", "")

    @precondition(lambda self: len(self.visitors) < 6)
    @rule(where=st.integers(0, 1), tracks=st.booleans())
    def come(self, where: int, tracks: bool) -> None:
        """Somebody connects."""
        visitor = Visitor(self.world, self.world.instances[where], tracks=tracks)
        self.visitors.append(visitor)

    def idle(self) -> list[Visitor]:
        """Those who can do something."""
        return [v for v in self.visitors if not v.lost and not v.busy and not v.user.client.closed]

    def armed(self) -> list[Visitor]:
        """Those who can come back."""
        return [v for v in self.visitors if (v.token and v.user.session.nick) or v.lost]

    @precondition(lambda self: self.idle())
    @rule(
        data=st.data(),
        verb=VERBS,
        nick=st.sampled_from(NICKS),
        room=st.sampled_from(ROOMS),
    )
    def do(self, data: st.DataObject, verb: str, nick: str, room: str) -> None:
        """Somebody does something."""
        self.texts += 1
        data.draw(st.sampled_from(self.idle())).do(verb, nick, room, f"text {self.texts}")

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), room=st.sampled_from(ROOMS), count=st.integers(1, 3))
    def settle_in(self, data: st.DataObject, room: str, count: int) -> None:
        """Somebody takes a name and joins, so that there is always somebody in a room."""
        visitor = data.draw(st.sampled_from(self.idle()))
        self.texts += 1
        for verb in ("nick", "arm", "join", *["say"] * count):
            if not visitor.busy:
                visitor.do(verb, f"n{self.texts}", room, f"text {self.texts}")

    @precondition(lambda self: self.visitors)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """Somebody's connection breaks."""
        visitor = data.draw(st.sampled_from(self.visitors))
        self.visitors.remove(visitor)
        visitor.vanish()

    @precondition(lambda self: self.idle())
    @rule(data=st.data())
    def arm(self, data: st.DataObject) -> None:
        """Somebody asks for a token."""
        data.draw(st.sampled_from(self.idle())).do("arm", "x", "x", "")

    @precondition(lambda self: self.armed())
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """The connection breaks of somebody who can come back."""
        visitor = data.draw(st.sampled_from(self.armed()))
        if not visitor.lost:
            visitor.lose()

    @precondition(lambda self: self.armed())
    @rule(data=st.data(), where=st.integers(0, 1))
    def resume(self, data: st.DataObject, where: int) -> None:
        """Somebody comes back, on either instance, perhaps while it is being let in already."""
        data.draw(st.sampled_from(self.armed())).resume(self.world.instances[where])

    @precondition(lambda self: self.armed())
    @rule(
        data=st.data(),
        where=st.integers(0, 1),
        count=st.integers(0, 4),
        step=st.sampled_from(["", "since", "since answer", *STEPS]),
    )
    def miss(self, data: st.DataObject, where: int, count: int, step: str) -> None:
        """Somebody is away while the others talk, and they talk on when it comes back."""
        away = data.draw(st.sampled_from(self.armed()))
        if not away.lost:
            away.lose()
        self.talk(count)
        gate = self.world.instances[where].gate
        if step:
            gate.hold(step)
        away.resume(self.world.instances[where])
        self.talk(count // 2)
        if data.draw(st.booleans()):
            gate.release()

    def talk(self, count: int) -> None:
        """Let all who can say something everywhere."""
        for visitor in self.idle():
            for room in [room for room in visitor.lists for _ in range(count)]:
                self.texts += 1
                if not visitor.busy:
                    visitor.do("send", "x", room.display, f"text {self.texts}")

    @precondition(lambda self: self.armed())
    @rule(where=st.integers(0, 1))
    def die(self, where: int) -> None:
        """An instance dies, and another takes its place."""
        instance = self.world.instances[where]
        self.leaving = [(of, leaving) for of, leaving in self.leaving if of is not instance]
        for visitor in [v for v in self.visitors if v.instance is instance]:
            visitor.look()
            if not visitor.token:
                self.visitors.remove(visitor)
            elif not visitor.lost:
                visitor.lost = True
                visitor.user.client = Client()
        self.world.replace(where)

    @precondition(lambda self: self.idle())
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        """Somebody says goodbye, and waits for what it has sent."""
        visitor = data.draw(st.sampled_from(self.idle()))
        self.visitors.remove(visitor)
        for session, client in visitor.former:
            session.disconnected(client)
        leaving = run(visitor.user.session.exit(by=visitor.user.client))
        self.leaving.append((visitor.instance, leaving))

    @rule(where=st.integers(0, 1), step=st.sampled_from(STEPS))
    def hold(self, where: int, step: str) -> None:
        """Something takes long from now on."""
        self.world.instances[where].gate.hold(step)

    @rule(where=st.integers(0, 1))
    def release(self, where: int) -> None:
        """Everything goes on."""
        self.world.instances[where].gate.release()

    @rule(where=st.integers(0, 1), step=st.sampled_from(["append", "append answer"]))
    def not_stored(self, where: int, step: str) -> None:
        """A message is not stored, or only its acknowledgement is lost."""
        self.world.instances[where].gate.fail(step, NotStored())

    @rule(
        where=st.integers(0, 1),
        step=st.sampled_from(["join", "leave", "users", "versions", "claim", "rename", "resume"]),
    )
    def refuse(self, where: int, step: str) -> None:
        """Presence does not answer once."""
        self.world.instances[where].gate.fail(step, PresenceUnavailable())

    @rule(
        where=st.integers(0, 1),
        step=st.sampled_from(["follow", "follow answer", "topics", "since", "reached"]),
    )
    def shut(self, where: int, step: str) -> None:
        """The log does not answer once."""
        self.world.instances[where].gate.fail(step, StoreUnavailable())

    @rule(where=st.integers(0, 1), held=st.booleans())
    def delay(self, where: int, held: bool) -> None:
        """News of presence is late, or comes."""
        news = self.world.instances[where].news
        news.held = held
        if not held:
            news.arrive()

    @rule(where=st.integers(0, 1), late=st.booleans())
    def lag(self, where: int, late: bool) -> None:
        """What the log brings is late, or comes."""
        log = self.world.instances[where].log
        log.late = late
        if not late:
            log.arrive()

    @precondition(lambda self: any(i.log.late for i in self.world.instances))
    @rule(count=st.integers(1, 3))
    def some_messages(self, count: int) -> None:
        """The next that the log brings come."""
        for instance in self.world.instances:
            if instance.log.late:
                instance.log.arrive(count)

    @precondition(lambda self: any(i.news.waiting for i in self.world.instances))
    @rule(data=st.data())
    def some_news(self, data: st.DataObject) -> None:
        """The next news comes, or is lost."""
        news = next(i.news for i in self.world.instances if i.news.waiting)
        if data.draw(st.booleans()):
            news.arrive(1)
        else:
            news.waiting.popleft()

    @precondition(lambda self: any(i.news.waiting for i in self.world.instances))
    @rule()
    def lose_news(self) -> None:
        """An instance is cut off from all news that is under way."""
        for instance in self.world.instances:
            instance.news.waiting.clear()

    @rule()
    def time(self) -> None:
        """Time goes by."""
        self.world.pass_time(1.0)

    @invariant()
    def look(self) -> None:
        """Nobody sees anything twice, out of nowhere, or of a room that it is not in."""
        if hasattr(self, "world"):
            for instance in self.world.instances:
                instance.gate.go_on()
            for visitor in self.visitors:
                visitor.look()
                assert not visitor.failures
                assert visitor.lost or not visitor.user.client.closed or visitor.disputed
            self.world.check()
            for instance in self.world.instances:
                occupied = {name for s in instance.hub.sessions.values() for name in s.rooms}
                assert occupied <= instance.log.followed

    def teardown(self) -> None:
        """Once all is quiet, users, presence and the rooms followed say the same."""
        if not hasattr(self, "world"):
            return
        for instance in self.world.instances:
            instance.news.held = False
            instance.news.arrive()
            instance.log.arrive()
            instance.gate.heal()
            instance.gate.release()
            instance.gate.go_on()
        for visitor in self.visitors:  # what was half dead is dead in the end
            for session, client in visitor.former:
                session.disconnected(client)
        self.world.pass_time(3 * COMPARE_SECONDS)
        self.look()
        store = self.world.store
        self.visitors = [v for v in self.visitors if not v.lost and not v.user.client.closed]
        for visitor in self.visitors:
            session = visitor.user.session
            assert not visitor.busy
            held = store.sessions.get(session.id)
            assert (held.nick if held else None) == session.nick
            assert held is None or held.ends is None
            assert set(session.rooms) == set(visitor.lists)
            assert set(held.rooms if held else ()) == set(session.rooms)
            for name, listed in visitor.lists.items():
                members = [store.member(s) for s in store.rooms[name].members]
                if listed is not None:
                    own = listed[session.id]  # its mark it knows from its own answers
                    truth = {m.session: (m.nick.display, m.away) for m in members}
                    assert own[0] == truth.pop(session.id)[0]
                    assert {s: m for s, m in listed.items() if s != session.id} == truth
                stored = [message.id for message in self.world.stream.messages(name)]
                seen = visitor.seen[name]
                assert seen == (stored[-len(seen) :] if seen else [])
        assert all(leaving.called for _, leaving in self.leaving)
        ids = {visitor.user.session.id for visitor in self.visitors}
        assert set(store.sessions) <= ids
        for instance in self.world.instances:
            occupied = {name for s in instance.hub.sessions.values() for name in s.rooms}
            assert instance.log.followed == occupied


TestChat: Any = Chat.TestCase
TestChat.settings = settings(max_examples=150, stateful_step_count=40)
