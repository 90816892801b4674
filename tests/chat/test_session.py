"""What one user can do, and what becomes of it when the user goes in the middle."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from disroom.chat.errors import (
    ChatError,
    EmptyText,
    NickLost,
    NickTaken,
    NoNick,
    NoRoom,
    NotInRoom,
    NotStored,
    PresenceUnavailable,
    StoreUnavailable,
    TextTooLong,
    TooManyRooms,
)
from disroom.chat.events import Draft, Failed, StoredAfterAll
from disroom.chat.names import Nick, RoomName
from disroom.chat.replies import AwaySet, Departed, Entered, IgnoreSet
from disroom.chat.rooms import TOPIC_SECONDS
from tests.chat.world import User, World, in_words, outcome, run, world_of

TEA, POT = RoomName.parse("tea"), RoomName.parse("pot")
BOB = Nick.parse("bob")


def said_in(entered: Entered) -> list[str]:
    """The backlog, in words."""
    assert entered.backlog is not None
    return [in_words(message) for message in entered.backlog.page.messages]


# Names.


def test_a_verb_that_needs_a_name_says_so(world: World) -> None:
    """Who has no name yet is told to choose one, whatever it tries."""
    user = world.one.connect()
    session = user.session
    verbs: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: session.join(TEA),
        lambda: session.leave(None),
        lambda: session.leave(TEA),
        lambda: session.say("hi"),
        lambda: session.say("hi", TEA),
        lambda: session.act("waves"),
        lambda: session.set_topic("x"),
        lambda: session.whisper(BOB, "hi"),
        lambda: session.users(None),
        lambda: session.topic(),
        lambda: session.history(None, None),
        lambda: session.away("x"),
    ]
    for verb in verbs:
        with pytest.raises(NoNick):
            outcome(verb())
    assert not world.stream.rooms()


def test_what_needs_no_name_works_without_one(world: World) -> None:
    """Looking around and hiding somebody does not take a name."""
    world.two.user("bob", "tea")
    user = world.one.connect()
    assert user.users("tea") == ["bob"]
    assert outcome(user.session.whois(BOB)).whereabouts.rooms == (TEA,)
    assert [r.name for r in outcome(user.session.list_rooms()).rooms] == [TEA]
    assert user.session.ignore(BOB) == IgnoreSet(BOB, True)


def test_a_verb_that_needs_a_room_says_so(world: World) -> None:
    """Who is in no room is told to join one."""
    session = world.one.user("ann").session
    for verb in (
        session.leave(None),
        session.say("hi"),
        session.act("waves"),
        session.set_topic("x"),
        session.users(None),
        session.topic(),
        session.history(None, None),
    ):
        with pytest.raises(NoRoom):
            outcome(verb)


def test_a_name_is_held_by_one_on_all_instances(world: World) -> None:
    """Nobody takes a name that somebody has anywhere, in whichever case, by nick or by renaming."""
    ann = world.one.user("ann")
    other = world.two.connect()
    with pytest.raises(NickTaken):
        outcome(other.name("ANN"))
    assert other.session.nick is None
    outcome(other.name("bob"))
    with pytest.raises(NickTaken):
        outcome(other.name("Ann"))
    assert other.session.nick == BOB
    outcome(ann.name("Ann"))
    assert str(ann.session.nick) == "Ann"
    ann.session.close("")
    outcome(other.name("ann"))


def test_renaming_is_seen_in_every_room_and_waits_for_what_was_sent(world: World) -> None:
    """What was said under the old name appears under it, before the change of name."""
    ann = world.one.user("ann", "tea", "pot")
    bob = world.two.user("bob", "tea", "pot")
    ann.story()
    world.one.gate.hold("append")
    ann.say("old")
    renaming = ann.name("anna")
    ann.say("new")
    assert not renaming.called
    assert str(ann.session.nick) == "ann"
    world.one.gate.release()
    assert renaming.called
    story = bob.story()
    assert story.index("#pot ann: old") < story.index("#pot ann>anna")
    assert "#tea ann>anna" in story
    assert "#tea ann>anna" in ann.story()


def test_away_is_told_to_those_who_ask_or_write(world: World) -> None:
    """Who is away is shown so in lists, by whois and to who sends a private message."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    assert outcome(bob.session.away(" gone\tfishing ")) == AwaySet("gone fishing")
    (_, member) = outcome(ann.session.users(None)).members
    assert member.away
    assert outcome(ann.session.whois(BOB)).whereabouts.away == "gone fishing"
    assert outcome(ann.whisper("bob", "hi")).message.away == "gone fishing"
    assert outcome(bob.session.away(None)) == AwaySet(None)
    assert outcome(ann.whisper("bob", "hi")).message.away is None
    with pytest.raises(TextTooLong):
        outcome(bob.session.away("x" * 501))
    with pytest.raises(EmptyText):
        outcome(bob.session.away("\x00"))


# Rooms.


def test_several_rooms_and_the_current_one(world: World) -> None:
    """A user talks in the room joined last, and after leaving it in the one joined before."""
    ann = world.one.user("ann")
    outcome(ann.join("tea"))
    outcome(ann.join("pot"))
    outcome(ann.join("cup"))
    assert [str(room) for room in ann.session.rooms] == ["tea", "pot", "cup"]
    outcome(ann.say("one"))
    outcome(ann.say("two", "tea"))
    assert outcome(ann.leave()) == Departed(RoomName.parse("cup"), POT)
    outcome(ann.join("cup"))
    assert outcome(ann.leave("pot")) == Departed(POT, RoomName.parse("cup"))
    assert outcome(ann.leave()) == Departed(RoomName.parse("cup"), TEA)
    outcome(ann.say("three"))
    assert outcome(ann.leave()) == Departed(TEA, None)
    assert ann.session.memberships.current is None
    assert (world.texts("cup"), world.texts("tea")) == (["one"], ["two", "three"])
    with pytest.raises(NoRoom):
        outcome(ann.say("four"))


def test_joining_a_room_again_makes_it_current(world: World) -> None:
    """``join`` of a room that the user is in shows no backlog and makes no new arrival."""
    ann = world.one.user("ann", "tea", "pot")
    bob = world.two.user("bob", "tea")
    outcome(ann.say("x", "tea"))
    bob.story()
    again = outcome(ann.join("TEA"))
    assert (again.room, again.backlog) == (TEA, None)
    assert again.users.total == 2
    outcome(ann.say("hi"))
    assert bob.story() == ["#tea ann: hi"]


def test_the_number_of_rooms_is_bounded() -> None:
    """A user can be in so many rooms, and in another once it has left one."""
    world = world_of(rooms=2)
    ann = world.one.user("ann", "a", "b")
    with pytest.raises(TooManyRooms):
        outcome(ann.join("c"))
    outcome(ann.join("a"))
    outcome(ann.leave("b"))
    outcome(ann.join("c"))
    assert world.in_room("c") == ["ann"]


def test_joining_shows_the_room_as_it_is(world: World) -> None:
    """Who joins sees who is there, the topic and the last messages, on whichever instance."""
    bob = world.two.user("bob", "tea")
    outcome(bob.say("hello"))
    outcome(bob.session.set_topic("green"))
    for instance in world.instances:
        ann = instance.connect()
        outcome(ann.name("ann"))
        entered = outcome(ann.join("tea"))
        assert [m.nick.display for m in entered.users.members] == ["bob", "ann"]
        assert entered.topic is not None
        assert entered.topic.text == "green"
        assert said_in(entered) == ["#tea bob: hello", "#tea topic bob: green"]
        assert not entered.backlog.page.older
        assert not ann.story()
        outcome(ann.leave())
        ann.session.close("")


def test_a_room_is_called_what_its_first_member_called_it(world: World) -> None:
    """Everybody sees a room's name as it was written first, however they write it."""
    bob = world.two.user("bob", "Tea")
    ann = world.one.user("ann")
    entered = outcome(ann.join("TEA"))
    assert str(entered.room) == str(entered.users.room) == "Tea"
    outcome(ann.say("hi", "tEA"))
    assert ann.story() == ["#Tea ann: hi"]
    assert "#Tea ann: hi" in bob.story()
    assert str(outcome(ann.session.users(RoomName.parse("tea"))).room) == "Tea"
    assert [str(room) for room in ann.session.rooms] == ["Tea"]


def test_leaving_waits_for_what_was_sent(world: World) -> None:
    """What a user said before leaving is shown to it and to the room before it is gone."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    world.one.gate.hold("append")
    ann.say("bye")
    leaving = ann.leave()
    assert not leaving.called
    world.one.gate.release()
    assert leaving.called
    assert ann.story() == ["#tea ann: bye"]
    assert bob.story()[-2:] == ["#tea ann: bye", "#tea -ann"]


def test_a_room_that_was_not_left_is_still_there(world: World) -> None:
    """Where leaving fails the user is told, and is in the room as before."""
    ann = world.one.user("ann", "tea")
    world.one.gate.fail("leave", PresenceUnavailable())
    with pytest.raises(PresenceUnavailable):
        outcome(ann.leave())
    outcome(ann.say("hi"))
    assert ann.story() == ["#tea ann: hi"]
    with pytest.raises(NotInRoom):
        outcome(ann.leave("pot"))


@pytest.mark.parametrize("step", ["follow", "follow answer", "topics", "join", "join answer"])
def test_a_join_that_fails_can_be_done_again(world: World, step: str) -> None:
    """Where joining fails the user is told; it is not in the room, and may try once more."""
    ann = world.one.user("ann")
    error = PresenceUnavailable() if "join" in step else StoreUnavailable()
    world.one.gate.fail(step, error)
    with pytest.raises(type(error)):
        outcome(ann.join("tea"))
    assert ann.session.memberships.current is None
    assert not ann.session.rooms
    assert not world.one.log.followed
    entered = outcome(ann.join("tea"))
    assert [m.nick.display for m in entered.users.members] == ["ann"]
    outcome(ann.say("hi"))
    assert ann.story() == ["#tea ann: hi"]


def test_two_who_open_a_room_at_once_both_fail_or_both_are_in(world: World) -> None:
    """Who waits for another to open a room is told as well where that fails."""
    users = [world.one.user(nick) for nick in ("ann", "bob")]
    world.one.gate.fail("follow", StoreUnavailable())
    world.one.gate.hold("follow")
    joins = [user.join("tea") for user in users]
    assert world.one.gate.waiting("follow") == 1
    world.one.gate.release()
    for join in joins:
        with pytest.raises(StoreUnavailable):
            outcome(join)
    world.one.gate.hold("follow")
    joins = [user.join("tea") for user in users]
    world.one.gate.release()
    for join in joins:
        assert outcome(join).room == TEA
    assert world.one.gate.taken.count("follow") == 2
    assert sorted(world.in_room("tea")) == ["ann", "bob"]


def test_users_are_those_of_all_instances(world: World) -> None:
    """``users`` tells the truth of the whole cluster, also of a room that one is not in."""
    ann = world.one.user("ann", "tea")
    world.two.user("bob", "tea")
    world.two.user("cat", "pot")
    assert ann.users() == ["ann", "bob"]
    assert ann.users("pot") == ["cat"]
    assert ann.users("cup") == []


def test_users_are_shown_as_last_known_while_presence_is_away(world: World) -> None:
    """Where presence cannot be asked, the list is what was seen last, and says so."""
    ann = world.one.user("ann", "tea")
    world.two.user("bob", "tea")
    world.store.cut()
    stale = outcome(ann.session.users(None))
    assert ([m.nick.display for m in stale.members], stale.stale) == (["ann", "bob"], True)
    again = outcome(ann.join("tea"))
    assert again.users.stale
    with pytest.raises(PresenceUnavailable):
        ann.users("pot")
    world.store.restore()
    assert not outcome(ann.session.users(None)).stale


def test_who_joins_again_among_many_is_given_the_list_that_fits_what_follows() -> None:
    """Where comings and goings are told later, the list is of those whom one was told of."""
    world = World(window=lambda audience: 1.0 if audience > 1 else 0.0)
    ann = world.one.user("ann", "tea")
    bob, cat = world.one.user("bob", "tea"), world.one.user("cat", "tea")

    def listed() -> list[str]:
        users = outcome(ann.join("tea")).users
        assert users.total == len(users.members)
        return [f"{m.nick} away" if m.away else m.nick.display for m in users.members]

    world.pass_time(2)
    ann.story()
    outcome(cat.leave("tea"))
    outcome(bob.session.away("lunch"))
    outcome(ann.session.away("lunch"))
    assert ann.users() == ["ann", "bob"]
    assert listed() == ["ann", "bob", "cat"]
    outcome(cat.join("tea"))
    world.pass_time(2)
    assert ann.story() == ["#tea bob away, ann away"]
    assert listed() == ["ann away", "bob away", "cat"]
    outcome(cat.leave("tea"))
    dan = world.one.user("dan", "tea")
    assert listed() == ["ann away", "bob away", "cat"]
    again = outcome(dan.join("tea"))
    assert [m.nick.display for m in again.users.members] == ["ann", "bob", "dan", "cat"]
    world.pass_time(2)
    assert ann.story() == ["#tea -cat", "#tea +dan"]
    assert listed() == ["ann away", "bob away", "dan"]


def test_long_lists_are_cut_and_counted() -> None:
    """A list names as many as are listed at the most, and counts all."""
    world = world_of(listed=2)
    for nick in ("ann", "bob", "cat"):
        user = world.one.user(nick, "tea", f"room-{nick}")
    users = outcome(user.session.users(TEA))
    assert ([m.nick.display for m in users.members], users.total) == (["ann", "bob"], 3)
    rooms = outcome(user.session.list_rooms())
    fullest, *others = rooms.rooms
    assert (str(fullest.name), fullest.members, len(others), rooms.total) == ("tea", 3, 1, 4)
    late = world.one.user("dan")
    entered = outcome(late.join("tea"))
    assert (len(entered.users.members), entered.users.total) == (2, 4)


def test_rooms_are_listed_without_topics_while_the_log_is_away(world: World) -> None:
    """``rooms`` needs presence alone."""
    ann = world.one.user("ann", "tea")
    outcome(ann.session.set_topic("green"))
    (listed,) = outcome(ann.session.list_rooms()).rooms
    assert listed.topic is not None
    assert listed.topic.text == "green"
    world.stream.available = False
    (listed,) = outcome(world.two.user("bob").session.list_rooms()).rooms
    assert listed.topic is None


def test_history_is_read_in_pages(world: World) -> None:
    """Reading back page by page shows every message once, and says when there is no more."""
    ann = world.one.user("ann", "tea")
    for number in range(7):
        outcome(ann.say(f"{number}"))
    before: int | None = None
    read: list[str] = []
    for _ in range(3):
        reply = outcome(ann.session.history(3, before))
        read[:0] = [message.text for message in reply.page.messages]
        before = reply.page.messages[0].seq
    assert read == ["0", "1", "2", "3", "4", "5", "6"]
    assert not reply.page.older
    assert not outcome(ann.session.history(3, before)).page.messages


def test_history_has_its_usual_and_its_greatest_length() -> None:
    """``history`` shows the usual number; who asks for too many gets the most there can be."""
    world = world_of(history=2, history_most=3)
    ann = world.one.user("ann", "tea")
    for number in range(5):
        outcome(ann.say(f"{number}"))
    usual = outcome(ann.session.history(None, None))
    assert (usual.asked, len(usual.page.messages)) == (2, 2)
    most = outcome(ann.session.history(10**18, None))
    assert (most.asked, [m.text for m in most.page.messages]) == (3, ["2", "3", "4"])


# What is sent.


def test_a_message_comes_back_as_the_receipt(world: World) -> None:
    """The sender sees its own line as everybody does, once it is stored."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    outcome(ann.say("hi"))
    outcome(ann.session.act("waves"))
    outcome(ann.session.set_topic("green"))
    seen = ["#tea ann: hi", "#tea * ann waves", "#tea topic ann: green"]
    assert ann.story() == seen
    assert bob.story() == seen
    topic = outcome(bob.session.topic()).topic
    assert topic is not None
    assert (topic.text, str(topic.nick)) == ("green", "ann")


def test_a_topic_can_be_taken_away(world: World) -> None:
    """The room sees who did it, and from then on nobody is shown the topic, on any instance."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    outcome(ann.session.set_topic("green"))
    ann.story(), bob.story()
    outcome(bob.session.set_topic(""))
    for user in (ann, bob):
        assert user.story() == ["#tea topic bob: "]
        assert outcome(user.session.topic()).topic is None
        assert outcome(user.session.list_rooms()).rooms[0].topic is None
    late = world.one.user("late")
    assert outcome(late.join("tea")).topic is None


def test_a_topic_that_was_just_taken_away_is_not_shown_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the room has seen last counts, also before the topic is no longer stored as one."""
    ann = world.one.user("ann", "tea")
    outcome(ann.session.set_topic("green"))
    stored = outcome(world.one.log.topics([TEA]))
    monkeypatch.setattr(world.one.log, "topics", lambda _: succeed(stored))  # a replica that lags
    world.pass_time(1)
    outcome(ann.session.set_topic(""))
    assert outcome(ann.session.topic()).topic is None
    outcome(ann.session.set_topic("black"))
    told = outcome(ann.session.topic()).topic
    assert told is not None and told.text == "black"


def test_a_topic_that_was_seen_needs_no_log(world: World) -> None:
    """Who asks for the topic that the room has seen is told it while the log is away."""
    ann = world.one.user("ann", "tea")
    outcome(ann.session.set_topic("green"))
    world.stream.available = False
    told = outcome(ann.session.topic()).topic
    assert told is not None and told.text == "green"


def test_a_topic_that_the_log_told_late_is_shown_to_who_joins_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that opened the room too early does not keep an old topic for good."""
    bob = world.two.user("bob", "tea")
    outcome(bob.session.set_topic("green"))
    for number in range(20):
        outcome(bob.say(f"{number}"))
    with monkeypatch.context() as late:
        late.setattr(world.one.log, "topics", lambda _: succeed({}))
        assert outcome(world.one.user("ann").join("tea")).topic is None
    world.pass_time(TOPIC_SECONDS)
    world.stream.available = False
    assert outcome(world.one.user("cat").join("tea")).topic is None
    world.stream.available = True
    world.pass_time(TOPIC_SECONDS)
    topic = outcome(world.one.user("dan").join("tea")).topic
    assert topic is not None and topic.text == "green"


def test_every_verb_can_name_its_room(world: World) -> None:
    """A program talks in several rooms at once, whichever is the current one."""
    ann = world.one.user("ann", "tea", "pot")
    outcome(ann.session.act("waves", TEA))
    outcome(ann.session.set_topic("green", TEA))
    assert ann.story() == ["#tea * ann waves", "#tea topic ann: green"]
    assert outcome(ann.session.topic()).topic is None
    assert outcome(ann.session.topic(TEA)).topic is not None
    page = outcome(ann.session.history(None, None, TEA)).page
    assert [message.text for message in page.messages] == ["waves", "green"]


def test_what_is_said_again_under_the_same_key_is_stored_once(world: World) -> None:
    """A client that does not know whether it was heard says it again without harm."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    receipts: list[int | ChatError] = []
    for _ in range(2):
        outcome(ann.session.say("hi", TEA, key="1", receipt=receipts.append))
    outcome(bob.session.say("hi", TEA, key="1", receipt=receipts.append))
    assert world.texts("tea") == ["hi", "hi"]
    assert receipts[0] == receipts[1] != receipts[2]


def test_a_text_goes_to_a_room_of_the_users_or_nowhere(world: World) -> None:
    """``send #room`` where the user is not in that room points to ``say``, and sends nothing."""
    ann = world.one.user("ann", "tea")
    with pytest.raises(NotInRoom, match="say TEXT"):
        outcome(ann.say("hi", "pot"))
    assert not world.texts("pot")
    assert not world.texts("tea")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyText),
        (" \t\u200b\x00 ", EmptyText),
        ("x" * 11, TextTooLong),
        ("é" * 6, TextTooLong),
    ],
)
def test_a_text_has_something_in_it_and_a_bound(text: str, error: type[ChatError]) -> None:
    """An empty text, or one that is too long in bytes, is refused before it is queued."""
    world = world_of(text_bytes=10, topic_bytes=10)
    ann = world.one.user("ann", "tea")
    world.one.user("bob")
    for verb in (
        ann.session.say(text),
        ann.session.act(text),
        ann.session.set_topic(text or " "),  # an empty one takes the topic away
        ann.session.whisper(BOB, text),
    ):
        with pytest.raises(error):
            outcome(verb)
    assert not world.texts("tea")


def test_a_text_is_cleaned_for_everybody(world: World) -> None:
    """Nobody's screen is changed by what another sends, in rooms, topics or in private."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    outcome(ann.say("\x1b[31mred\x07\u202e!"))
    outcome(ann.session.set_topic("a\x1b[2Jb"))
    assert outcome(ann.whisper("bob", "x\x9b1my")).message.text == "xy"
    assert world.texts("tea") == ["red!", "ab"]
    assert bob.story()[-1] == "(ann) xy"


def test_a_full_queue_holds_up_the_next_send() -> None:
    """A user who sends faster than the log stores waits, and loses nothing."""
    world = world_of(unsent=3)
    ann = world.one.user("ann", "tea")
    world.one.gate.hold("append")
    sends = [ann.say(f"{number}") for number in range(4)]
    assert [send.called for send in sends] == [True, True, True, False]
    assert ann.users() == ["ann"]
    world.one.gate.release()
    assert sends[3].called
    assert world.texts("tea") == ["0", "1", "2", "3"]


def test_order_holds_when_a_send_fails(world: World) -> None:
    """After a message that is refused, those behind it follow in order, and the user knows."""
    ann = world.one.user("ann", "tea")
    world.one.gate.fail("append", NotStored())
    for text in "abc":
        outcome(ann.say(text))
    assert ann.story() == ["failed", "#tea ann: b", "#tea ann: c"]


def test_a_slow_log_is_told_of(world: World) -> None:
    """After a second the user reads that its message is delayed, and then sees it."""
    ann = world.one.user("ann", "tea")
    world.one.gate.hold("append")
    ann.say("hi")
    world.pass_time(3)
    world.one.gate.release()
    assert ann.story() == ["delayed", "#tea ann: hi"]


def test_what_failed_may_turn_up(world: World) -> None:
    """A message reported as not stored that is in the room after all is announced to its sender."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    world.one.gate.fail("append", NotStored())
    outcome(ann.say("hi"))
    (failed,) = ann.client.shown
    assert isinstance(failed, Failed)
    id_ = f"id-{world.runtime._ids}"
    draft = Draft(id_, "said", Nick.parse("ann"), ann.session.id, "hi")
    outcome(world.stream.append(TEA, draft))
    assert isinstance(ann.client.shown[1], StoredAfterAll)
    assert ann.story()[2:] == ["#tea ann: hi"]
    assert bob.story() == ["#tea ann: hi"]


def test_who_saw_its_message_is_not_told_to_send_it_again(world: World) -> None:
    """A message that came back but whose acknowledgement was lost is not reported as failed."""
    ann = world.one.user("ann", "tea")
    world.one.gate.fail("append answer", NotStored())
    outcome(ann.say("hi"))
    assert ann.story() == ["#tea ann: hi"]


# The end.


def test_closing_gives_up_everything_at_once(world: World) -> None:
    """Who is gone has left every room, for the reason given, and its name is free."""
    ann, bob = world.one.user("ann", "tea", "pot"), world.two.user("bob", "tea")
    ann.session.close("connection lost")
    ann.session.close("twice")
    assert bob.story()[-1] == "#tea -ann (connection lost)"
    assert world.in_room("pot") == []
    assert not world.one.log.followed
    assert not world.one.hub.sessions
    outcome(bob.name("ann"))


def test_what_was_not_sent_yet_is_dropped_by_closing(world: World) -> None:
    """Of what a user had sent when its connection broke, only the message under way is stored."""
    ann = world.one.user("ann", "tea")
    world.one.gate.hold("append")
    for text in "abc":
        ann.say(text)
    ann.session.close("connection lost")
    world.one.gate.release()
    assert world.texts("tea") == ["a"]


def test_a_release_that_cannot_be_done_is_made_good(world: World) -> None:
    """Who goes while presence is away is gone when it is back."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    world.store.cut()
    ann.session.close("")
    world.store.restore()
    assert world.in_room("tea") == ["bob"]
    assert bob.story()[-1] == "#tea -ann"


def test_who_loses_its_nick_is_told_and_closed(world: World) -> None:
    """Whose nick went to another while the instance was cut off is told why this ends."""
    ann = world.one.user("ann", "tea")
    nameless = world.one.connect()
    for session in (ann.session.id, nameless.session.id, "no such session"):
        world.one.hub.lost(session)
    (error,) = ann.client.closed
    assert isinstance(error, NickLost)
    assert not nameless.client.closed
    assert world.in_room("tea") == []
    assert not world.one.log.followed


UNDER_WAY: dict[str, tuple[str, ...]] = {
    "naming": ("claim", "claim answer"),
    "joining": ("follow", "follow answer", "topics", "join", "join answer"),
    "joining another": ("join", "join answer"),
    "renaming": ("append", "append answer", "rename", "rename answer"),
    "leaving": ("append", "leave", "leave answer"),
    "saying": ("append", "append answer"),
    "asking for users": ("users", "users answer"),
    "whispering": ("locate", "locate answer"),
}


@pytest.mark.parametrize(
    ("doing", "step"), [(d, s) for d, steps in UNDER_WAY.items() for s in steps]
)
@pytest.mark.parametrize("releasing_first", [True, False])
def test_nothing_is_left_of_who_goes_in_the_middle(
    world: World, doing: str, step: str, releasing_first: bool
) -> None:
    """Whatever a user was doing when its connection broke, no name and no membership stays."""
    gate = world.one.gate
    user: User = world.one.connect() if doing == "naming" else world.one.user("ann")
    if doing not in ("naming", "joining"):
        outcome(user.join("pot"))
    if doing == "joining another":
        world.one.user("cat", "tea")
    gate.hold(step, *(() if releasing_first else ("release",)))
    if doing in ("renaming", "leaving"):
        user.say("x")
    doings: dict[str, Callable[[], Deferred[Any]]] = {
        "naming": lambda: user.name("ann"),
        "joining": lambda: user.join("tea"),
        "joining another": lambda: user.join("tea"),
        "renaming": lambda: user.name("anna"),
        "leaving": lambda: user.leave(),
        "saying": lambda: user.say("x"),
        "asking for users": lambda: run(user.session.users(None)),
        "whispering": lambda: user.whisper("ann", "x"),
    }
    work = doings[doing]()
    assert gate.waiting(step) == 1
    user.session.close("connection lost")
    asked_before = len(gate.taken)
    gate.release(step)
    gate.release()
    assert work.called
    assert not {"claim", "rename", "join"} & set(gate.taken[asked_before:])
    work.addErrback(lambda failure: failure.trap(ChatError))
    assert "ann" not in [*world.in_room("tea"), *world.in_room("pot")]
    assert world.in_room("tea") == (["cat"] if doing == "joining another" else [])
    assert not [nick for nick in ("ann", "anna") if Nick.parse(nick) in world.store.holders]
    assert user.session.id not in world.store.sessions
    assert world.one.log.followed == ({TEA} if doing == "joining another" else set())
    after = world.one.user("ann", "tea")
    outcome(after.say("hi"))
    assert after.story()[-1] == "#tea ann: hi"
    assert not user.client.closed


def test_a_closed_session_takes_no_more_verbs(world: World) -> None:
    """What is asked after the end changes nothing for anybody."""
    ann = world.one.user("ann", "tea")
    session = ann.session
    session.close("")
    for verb in (
        session.name(BOB),
        session.join(TEA),
        session.say("x"),
        session.away("x"),
        session.leave(TEA),
    ):
        with pytest.raises(ChatError):
            outcome(verb)
    assert not world.store.sessions
    assert not world.texts("tea")
