"""What those in a room see, however presence and messages overtake each other."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from disroom.chat.events import Gap, Joined, Left, MarkedAway, Member, Message, Renamed, RoomEvent
from disroom.chat.moves import MOST_SECONDS
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change, Roster
from disroom.chat.room import Room
from disroom.chat.sightings import CLOCKS_SECONDS, FRESH_SECONDS, JUST_LEFT_SECONDS
from disroom.chat.stored import Topic
from disroom.chat.versions import MOST_AHEAD
from tests.chat.stepped import SteppedRuntime

TEA = RoomName.parse("Tea")
LISTED = 1000


def person(session: str, nick: str | None = None, *, away: bool = False) -> Member:
    """Somebody, called as the session unless told otherwise."""
    return Member(session, Nick.parse(nick or session), away)


@dataclass
class Seat:
    """A session of this instance, and what it was shown."""

    id: str
    shown: list[RoomEvent] = field(default_factory=list)

    def receive(self, event: RoomEvent, own: bool = False) -> None:
        """Take an event."""
        self.shown.append(event)

    def take(self) -> list[RoomEvent]:
        """What was shown since this was asked the last time."""
        shown, self.shown = self.shown, []
        return shown


class Tearoom:
    """A room under test, at version 10 with bob in it elsewhere and ann's session here.

    Args:
        backlog: As in `Room`.
        log_ahead: By how many seconds the log's clock is ahead of this instance's.
        arguments: More for `Room`.
    """

    def __init__(self, *, backlog: int = 10, log_ahead: float = 0.0, **arguments: Any) -> None:
        self.runtime = SteppedRuntime()
        self.log_ahead = log_ahead
        self.room = Room(
            TEA, runtime=self.runtime, log_now=self.log_now, backlog=backlog, **arguments
        )
        self.ann = Seat("ann")
        self.seqs = 0
        self.listed = self.enter(self.ann, self.roster(10, (person("bob"), person("ann"))))

    def log_now(self) -> float:
        """The log's time."""
        return self.runtime.time + self.log_ahead

    def roster(
        self, version: int, members: tuple[Member, ...] | None, *, settled: bool = True
    ) -> Roster:
        """Who the presence store says is here now."""
        return Roster(TEA, version, self.runtime.time, members, settled)

    def enter(self, seat: Seat, roster: Roster) -> list[str]:
        """Let a session in; return the sessions that it was told are there."""
        self.room.admit(seat, person(seat.id), roster)
        users = self.room.listed(self.room.members[seat.id], LISTED)
        assert users.total == len(users.members)
        return [m.session for m in users.members]

    def say(self, session: str, *, age: float = 0.0, **fields: Any) -> Message:
        """Bring a message."""
        self.seqs += 1
        values: dict[str, Any] = {
            "room": TEA,
            "seq": self.seqs,
            "at": self.log_now() - age,
            "id": f"m{self.seqs}",
            "kind": "said",
            "nick": Nick.parse(session),
            "session": session,
            "text": "hi",
        }
        message = Message(**{**values, **fields})
        self.room.received(message)
        return message

    def change(self, version: int, **fields: Any) -> None:
        """Bring a change of presence."""
        self.room.changed(Change(TEA, version, self.runtime.time, **fields))

    def joined(self, *sessions: str) -> Joined:
        """The event that shows people coming in now."""
        return Joined(TEA, self.runtime.time, tuple(person(session) for session in sessions))

    def left(self, *sessions: str, reason: str = "") -> Left:
        """The event that shows people going now."""
        return Left(TEA, self.runtime.time, tuple(person(session) for session in sessions), reason)


# Messages.


def test_a_message_reaches_everybody_here_in_order() -> None:
    """Who is in a room sees every message once, in the log's order."""
    tea = Tearoom()
    guest = Seat("guest")
    tea.enter(guest, tea.roster(11, (person("bob"), person("ann"), person("guest"))))
    tea.ann.take()
    messages = [tea.say("bob"), tea.say("ann"), tea.say("bob", kind="did")]
    assert tea.ann.take() == messages
    assert guest.take() == messages


def test_who_left_sees_nothing_more() -> None:
    """Nobody reads a room from outside."""
    tea = Tearoom()
    assert tea.room.occupied
    tea.room.remove(tea.ann)
    tea.room.remove(tea.ann)
    tea.say("bob")
    tea.change(11, joined=(person("cat"),))
    assert not tea.ann.shown
    assert not tea.room.occupied


def test_a_newcomer_gets_the_backlog_and_then_what_follows() -> None:
    """Between the last messages shown on joining and what comes, nothing is missing or twice."""
    tea = Tearoom(backlog=2)
    before = [tea.say("bob") for _ in range(3)]
    guest = Seat("guest")
    tea.enter(guest, tea.roster(11, (person("bob"), person("ann"), person("guest"))))
    page = tea.room.backlog()
    after = tea.say("bob")
    assert [*page.messages, *guest.take()] == [*before[1:], after]
    assert page.older


@pytest.mark.parametrize(
    ("count", "backlog", "older"), [(0, 2, False), (2, 2, False), (3, 2, True)]
)
def test_the_backlog_says_whether_there_is_more(count: int, backlog: int, older: bool) -> None:
    """Who joins is told of older messages if there are some, and only then."""
    tea = Tearoom(backlog=backlog)
    messages = [tea.say("bob") for _ in range(count)]
    page = tea.room.backlog()
    assert list(page.messages) == messages[-backlog:]
    assert page.older is older


@pytest.mark.parametrize("count", [0, 1])
def test_no_backlog_may_be_shown(count: int) -> None:
    """With ``limits.backlog = 0`` nothing is shown on joining."""
    tea = Tearoom(backlog=0)
    for _ in range(count):
        tea.say("bob")
    assert tea.room.backlog().messages == ()
    assert tea.room.backlog().older is bool(count)


@pytest.mark.parametrize("log_ahead", [-7200, 0, 7200])
def test_the_backlog_does_not_outlive_the_retention(log_ahead: float) -> None:
    """What the log has forgotten by age is not shown from memory, and what it has is shown.

    Whatever the clock of the instance says.
    """
    tea = Tearoom(log_seconds=60, log_ahead=log_ahead)
    tea.say("bob")
    tea.runtime.time += 50
    young = tea.say("bob")
    tea.runtime.time += 20
    page = tea.room.backlog()
    assert page.messages == (young,)
    assert not page.older


def test_the_backlog_has_no_more_than_a_room_may_have() -> None:
    """What the log has dropped to keep a room within its number is not shown from memory."""
    tea = Tearoom(log_most=3)
    messages = [tea.say("bob") for _ in range(5)]
    page = tea.room.backlog()
    assert list(page.messages) == messages[2:]
    assert not page.older


def test_a_room_has_one_spelling_here() -> None:
    """However those on other instances write a room's name, those here see it as they know it."""
    tea = Tearoom()
    tea.say("bob", room=RoomName.parse("TEA"))
    tea.room.received(Gap(RoomName.parse("TEA"), 2, 3))
    tea.say("bob")
    assert [event.room.display for event in tea.ann.take()] == ["Tea"] * 3


def test_a_gap_is_told_and_ends_the_backlog() -> None:
    """Who is there hears of a gap; who joins later is not shown a backlog with a hole in it."""
    tea = Tearoom()
    tea.say("bob")
    gap = Gap(TEA, 2, 7)
    tea.room.received(gap)
    after = tea.say("bob", seq=8)
    assert gap in tea.ann.take()
    page = tea.room.backlog()
    assert page.messages == (after,)
    assert page.older


def test_the_topic_follows_the_log() -> None:
    """Who joins is shown the topic that was set last, or none once it was taken away."""
    tea = Tearoom()
    tea.say("bob", kind="topic", text="green")
    assert tea.room.topic == Topic("green", Nick.parse("bob"), tea.runtime.time)
    tea.say("bob", text="black")
    assert tea.room.topic is not None
    assert tea.room.topic.text == "green"
    tea.say("bob", kind="topic", text="")
    assert tea.room.topic is None


# Presence.


def test_comings_and_goings_are_shown_once() -> None:
    """Everybody sees who comes, goes and is renamed; what is announced twice is shown once."""
    tea = Tearoom()
    for _ in range(2):
        tea.change(11, joined=(person("cat"), person("dan")))
        tea.change(12, left=(person("bob"),), reason="connection lost")
        tea.change(13, renamed=((person("cat"), person("cat", "kitty")),))
    assert tea.ann.take() == [
        tea.joined("cat", "dan"),
        tea.left("bob", reason="connection lost"),
        Renamed(TEA, tea.runtime.time, "cat", Nick.parse("cat"), Nick.parse("kitty")),
    ]
    assert list(tea.room.members) == ["ann", "cat", "dan"]
    assert not tea.room.needs_roster


def test_a_change_of_capitals_is_shown() -> None:
    """Who only changes the case of a letter is shown under the new name everywhere."""
    tea = Tearoom()
    tea.change(11, renamed=((person("bob"), person("bob", "Bob")),))
    (event,) = tea.ann.take()
    assert isinstance(event, Renamed)
    assert (str(event.old), str(event.new)) == ("bob", "Bob")
    assert str(tea.room.members["bob"].nick) == "Bob"


def test_who_is_away_or_back_is_marked_once() -> None:
    """A client can keep its list of members true without asking for it again."""
    tea = Tearoom()
    tea.change(11, renamed=((person("bob"), person("bob", away=True)),))
    tea.change(12, renamed=((person("bob", away=True), person("bob", away=True)),))
    (event,) = tea.ann.take()
    assert isinstance(event, MarkedAway)
    assert event.members == (tea.room.members["bob"],) == (person("bob", away=True),)


def test_who_was_shown_under_a_former_nick_is_renamed_by_the_news_of_its_coming() -> None:
    """A message can be older than a renaming of which the news was never needed."""
    tea = Tearoom()
    tea.say("cat", age=1.0)
    tea.ann.take()
    tea.change(11, joined=(person("cat", "tom"),))
    (event,) = tea.ann.take()
    assert isinstance(event, Renamed)
    assert (str(event.old), str(event.new)) == ("cat", "tom")
    tea.say("dog")
    tea.runtime.time -= 1.0
    tea.ann.take()
    tea.change(12, joined=(person("dog", "rex"),))
    assert not tea.ann.take()


@pytest.mark.parametrize("ahead", [0.0, CLOCKS_SECONDS / 2])
def test_a_clock_that_is_a_little_ahead_keeps_nobody_under_a_former_nick(ahead: float) -> None:
    """Who speaks, is renamed, leaves and comes back at once has the nick that it came back with."""
    tea = Tearoom()
    tea.say("cat", age=-ahead)
    tea.change(11, joined=(person("cat", "tom"),))
    assert str(tea.room.members["cat"].nick) == "tom"


def test_a_user_list_is_in_the_order_of_joining() -> None:
    """Lists keep their order when somebody is renamed, so that people find each other."""
    tea = Tearoom()
    tea.change(11, joined=(person("abe"),))
    tea.change(12, renamed=((person("bob"), person("bob", "zed")),))
    assert list(tea.room.members) == ["bob", "ann", "abe"]
    tea.change(13, left=(person("abe"), person("bob")))
    assert tea.ann.take()[-1] == Left(TEA, tea.runtime.time, (person("bob", "zed"), person("abe")))


def test_who_asks_is_listed_with_the_mark_that_it_has_by_now() -> None:
    """Who goes away and asks at once who is there is marked, though the news is on its way."""
    tea = Tearoom()
    listed = tea.room.listed(person("ann", away=True), LISTED)
    assert listed.members == (person("bob"), person("ann", away=True))


def test_what_was_missed_is_made_good_by_a_roster() -> None:
    """After a skipped change all see what differs; a nick is given up before it is taken."""
    tea = Tearoom()
    tea.change(12, joined=(person("dan"),))
    assert tea.room.needs_roster
    assert not tea.ann.shown
    members = (person("ann"), person("dan"), person("eve", "bob"), person("bob", "bobby"))
    roster = tea.roster(13, members)
    tea.room.adopt(roster)
    assert not tea.room.needs_roster
    assert tea.ann.take() == [
        Renamed(TEA, tea.runtime.time, "bob", Nick.parse("bob"), Nick.parse("bobby")),
        Joined(TEA, tea.runtime.time, (person("dan"), person("eve", "bob"))),
    ]
    assert list(tea.room.members) == ["ann", "dan", "eve", "bob"]
    tea.change(13, left=(person("ann"),))
    tea.room.adopt(tea.roster(14, (person("ann"), person("eve", "bob"))))
    (left,) = tea.ann.take()
    assert isinstance(left, Left)
    assert {m.session for m in left.members} == {"bob", "dan"}


def test_a_roster_older_than_what_is_known_changes_nothing() -> None:
    """A late answer of the presence store does not bring back who has left."""
    tea = Tearoom()
    tea.change(11, left=(person("bob"),))
    tea.ann.take()
    tea.room.adopt(tea.roster(10, (person("bob"), person("ann"))))
    assert not tea.ann.take()
    assert "bob" not in tea.room.members


def test_a_roster_that_is_older_than_the_news_is_not_the_last_word() -> None:
    """What is missed while the list is being read is not forgotten: it is read once more."""
    tea = Tearoom()
    tea.change(12, joined=(person("dan"),))
    tea.change(14, joined=(person("fay"),))
    tea.room.adopt(tea.roster(12, (person("bob"), person("ann"), person("cat"), person("dan"))))
    assert tea.room.needs_roster
    tea.room.adopt(tea.roster(14, (person("ann"), person("fay"))))
    assert not tea.room.needs_roster


def test_an_unsettled_roster_lets_nobody_leave() -> None:
    """While the presence store is rebuilt, those not yet in it again are not shown as gone."""
    tea = Tearoom()
    tea.change(12, joined=(person("dan"),))
    tea.room.adopt(tea.roster(13, (person("ann"),), settled=False))
    assert not tea.ann.take()
    assert tea.room.needs_roster


def test_news_of_a_version_alone_asks_for_a_roster() -> None:
    """A change of which nothing was heard is found when versions are compared."""
    tea = Tearoom()
    tea.room.heard(10)
    tea.room.heard(0)
    assert not tea.room.needs_roster
    tea.room.heard(11)
    tea.room.heard(5)
    assert tea.room.needs_roster


# Joining.


def test_a_newcomer_is_in_the_list_it_is_shown() -> None:
    """The list of users on joining names everybody, the newcomer too, in the order of joining."""
    tea = Tearoom()
    assert tea.listed == ["bob", "ann"]
    guest = Seat("guest")
    assert tea.enter(guest, tea.roster(11, None)) == ["bob", "ann", "guest"]
    assert tea.ann.take() == [tea.joined("guest")]
    tea.change(11, joined=(person("guest"),))
    assert not tea.ann.take()
    assert not guest.take()


def test_a_joining_of_which_the_news_is_lost_is_not_missed() -> None:
    """Who joins here is known here, whether the announcement comes or not."""
    tea = Tearoom()
    tea.enter(Seat("guest"), tea.roster(11, None))
    tea.change(12, joined=(person("cat"),))
    assert not tea.room.needs_roster
    assert tea.ann.take() == [tea.joined("guest"), tea.joined("cat")]


def test_a_newcomer_whose_joining_was_announced_before_it_was_answered_comes_once() -> None:
    """Whichever way presence comes first, each joining is shown once."""
    tea = Tearoom()
    tea.change(11, joined=(person("guest"),))
    assert tea.ann.take() == [tea.joined("guest")]
    guest = Seat("guest")
    assert tea.enter(guest, tea.roster(11, None)) == ["bob", "ann", "guest"]
    assert not tea.ann.take()


def test_a_list_that_is_ahead_of_the_changes_is_consistent_for_all() -> None:
    """Two who join here while others join elsewhere both see who came, though all news is late."""
    tea = Tearoom()
    one, two = Seat("one"), Seat("two")
    tea.enter(one, tea.roster(12, tuple(map(person, ("bob", "ann", "x", "one")))))
    tea.enter(two, tea.roster(14, tuple(map(person, ("bob", "ann", "x", "one", "y", "two")))))
    for version, session in enumerate(("x", "one", "y", "two"), 11):
        tea.change(version, joined=(person(session),))
    assert [m.session for e in one.take() if isinstance(e, Joined) for m in e.members] == [
        "y",
        "two",
    ]
    assert not two.take()
    came = [m.session for e in tea.ann.take() if isinstance(e, Joined) for m in e.members]
    assert came == ["x", "one", "y", "two"]


def test_a_list_older_than_the_changes_is_not_shown() -> None:
    """Who left while a newcomer was let in is not in the newcomer's list."""
    tea = Tearoom()
    tea.change(11, joined=(person("guest"),))
    tea.change(12, left=(person("bob"),))
    guest = Seat("guest")
    assert tea.enter(guest, tea.roster(11, tuple(map(person, ("bob", "ann", "guest"))))) == [
        *("ann", "guest")
    ]


def test_changes_before_the_first_answer_are_not_lost() -> None:
    """Who comes just as a room is opened here is seen by the first who joins it here."""
    room = Room(TEA, runtime=SteppedRuntime(), log_now=lambda: 0.0, backlog=10)
    room.changed(Change(TEA, 11, 0.0, joined=(person("late"),)))
    assert not room.needs_roster
    room.changed(Change(TEA, 10, 0.0, joined=(person("ann"),)))
    room.admit(Seat("ann"), person("ann"), Roster(TEA, 10, 0.0, (person("ann"),)))
    assert not room.needs_roster
    assert list(room.members) == ["ann", "late"]


def test_changes_that_come_before_a_roster_are_applied_to_it() -> None:
    """While a list is read, a room in which many come and go does not need the next one already."""
    tea = Tearoom()
    for version, session in ((12, "cat"), (13, "dan"), (14, "eve")):
        tea.change(version, joined=(person(session),))
    assert tea.room.needs_roster
    assert not tea.ann.take()
    tea.room.adopt(tea.roster(12, tuple(map(person, ("bob", "ann", "fay", "cat")))))
    assert not tea.room.needs_roster
    assert tea.ann.take() == [tea.joined("fay", "cat"), tea.joined("dan"), tea.joined("eve")]
    assert tea.room.version == 14
    tea.change(15, left=(person("bob"),))
    assert tea.ann.take() == [tea.left("bob")]


def test_what_waits_for_a_roster_is_bounded() -> None:
    """A store that tells of changes and gives no list does not fill the memory."""
    tea = Tearoom()
    for version in range(12, 14 + MOST_AHEAD):
        tea.change(version, joined=(person(f"s{version}"),))
    tea.room.adopt(tea.roster(12, (person("ann"),)))
    assert tea.room.needs_roster
    assert tea.room.version == 12
    tea.room.adopt(tea.roster(13, (person("ann"),)))
    assert not tea.room.needs_roster
    assert tea.room.version == 13 + MOST_AHEAD


def test_a_newcomer_ahead_of_the_news_is_not_taken_for_gone() -> None:
    """A list that was read before somebody joined here does not take it out again."""
    tea = Tearoom()
    guest = Seat("guest")
    tea.change(12, joined=(person("cat"),))
    assert tea.enter(guest, tea.roster(13, None)) == ["bob", "ann", "guest"]
    tea.room.adopt(tea.roster(12, tuple(map(person, ("bob", "ann", "dan", "cat")))))
    tea.change(13, joined=(person("guest"),))
    assert tea.ann.take() == [tea.joined("guest"), tea.joined("dan", "cat")]
    assert guest.take() == [tea.joined("dan", "cat")]
    tea.runtime.time += FRESH_SECONDS + 1
    tea.room.tick()
    assert not tea.room.needs_roster


def test_who_was_in_already_does_not_stand_for_a_change_that_is_on_its_way() -> None:
    """A session that is resumed here hides nobody who came at that moment."""
    tea = Tearoom()
    tea.enter(Seat("bob"), tea.roster(10, None))
    tea.change(11, joined=(person("cat"),))
    assert tea.ann.take() == [tea.joined("cat")]


def test_nobody_is_told_of_their_own_leaving() -> None:
    """Who leaves is answered, and not shown leaving on top of it."""
    tea = Tearoom()
    tea.change(11, left=(person("ann"),))
    assert not tea.ann.take()


def test_nobody_is_told_of_their_own_return() -> None:
    """Who was missing from presence for a moment, as when it was rebuilt, is not told so."""
    tea = Tearoom()
    tea.room.heard(12)
    tea.room.adopt(tea.roster(12, (person("bob"),)))
    tea.change(13, joined=(person("ann"), person("cat")))
    assert tea.ann.take() == [tea.joined("cat")]
    tea.change(14, left=(person("ann"), person("cat")))
    assert tea.ann.take() == [tea.left("cat")]


# Messages of people whose coming was not announced yet.


def test_a_message_shows_its_senders_coming_first() -> None:
    """A stranger's message is preceded by the stranger's coming, which is not shown again."""
    tea = Tearoom()
    message = tea.say("cat")
    assert tea.ann.take() == [tea.joined("cat"), message]
    again = tea.say("cat")
    tea.change(11, joined=(person("cat"),))
    assert tea.ann.take() == [again]
    guest = Seat("guest")
    assert tea.enter(guest, tea.roster(12, None)) == ["bob", "ann", "cat", "guest"]
    tea.runtime.time += FRESH_SECONDS + 1
    tea.room.tick()
    assert not tea.room.needs_roster


def test_those_who_are_known_may_talk_without_being_looked_for() -> None:
    """Talk costs the presence store nothing."""
    tea = Tearoom()
    tea.say("bob")
    tea.runtime.time += FRESH_SECONDS + 1
    tea.room.tick()
    assert not tea.room.needs_roster


def test_a_stranger_who_leaves_again_is_done_with() -> None:
    """Who came, spoke and left before any news of it is not looked for any more."""
    tea = Tearoom()
    tea.say("cat")
    tea.change(11, left=(person("cat"),))
    assert tea.ann.take()[-1] == tea.left("cat")
    tea.runtime.time += FRESH_SECONDS + 1
    tea.room.tick()
    assert not tea.room.needs_roster


def test_who_joins_in_between_sees_the_stranger_too() -> None:
    """A newcomer whose list is older than a message it is shown later knows the sender."""
    tea = Tearoom()
    tea.say("cat")
    guest = Seat("guest")
    listed = tea.enter(guest, tea.roster(11, tuple(map(person, ("bob", "ann", "guest")))))
    assert set(listed) == {"bob", "ann", "guest", "cat"}
    tea.change(11, joined=(person("guest"),))
    tea.change(12, joined=(person("cat"),))
    assert not guest.take()
    assert [e for e in tea.ann.take() if isinstance(e, Left)] == []


def test_a_straggler_of_somebody_who_left_is_no_new_coming() -> None:
    """Who left and whose last message comes late is not shown as here again."""
    tea = Tearoom()
    tea.change(11, left=(person("bob"),))
    tea.ann.take()
    straggler = tea.say("bob")
    assert tea.ann.take() == [straggler]
    tea.runtime.time += JUST_LEFT_SECONDS + 1
    tea.room.tick()
    stranger = tea.say("bob")
    assert tea.ann.take() == [tea.joined("bob"), stranger]


def test_who_comes_back_and_speaks_is_shown_coming_first() -> None:
    """Though it left a moment ago: its message is from after that."""
    tea = Tearoom()
    tea.change(11, left=(person("bob"),))
    tea.ann.take()
    tea.runtime.time += CLOCKS_SECONDS
    straggler = tea.say("bob")
    assert tea.ann.take() == [straggler]
    tea.runtime.time += 0.001
    back = tea.say("bob")
    assert tea.ann.take() == [tea.joined("bob"), back]
    tea.change(12, joined=(person("bob"),))
    assert not tea.ann.take()


def test_an_old_message_says_nothing_about_presence() -> None:
    """Messages that are read later, as after a gap, bring nobody back."""
    tea = Tearoom()
    old = tea.say("cat", age=FRESH_SECONDS + 1)
    assert tea.ann.take() == [old]
    assert "cat" not in tea.room.members


def test_a_coming_that_is_not_confirmed_is_looked_into() -> None:
    """Somebody shown because of a late message, who is not there, does not stay for ever."""
    tea = Tearoom()
    tea.say("ghost")
    tea.room.adopt(tea.roster(10, (person("bob"), person("ann"))))
    assert "ghost" in tea.room.members
    tea.ann.take()
    tea.runtime.time += FRESH_SECONDS + 1
    tea.room.tick()
    assert tea.room.needs_roster
    tea.room.adopt(tea.roster(10, (person("bob"), person("ann"))))
    assert tea.ann.take() == [tea.left("ghost")]
    assert not tea.room.needs_roster


# All of it, in any order.

MARGIN = FRESH_SECONDS + JUST_LEFT_SECONDS


class Presence(RuleBasedStateMachine):
    """A presence store, whose news and answers come late or never, and a room that hears of it.

    The room's owner is played as the hub does it: it reads a roster whenever the room needs one.
    """

    asked = Bundle("asked")  # joins that the store has carried out and not answered yet
    reading = Bundle("reading")  # rosters that were read and have not arrived yet

    @initialize(seconds=st.sampled_from([0.0, 0.7, 1.5]))
    def open(self, seconds: float) -> None:
        """The room is new here; others may be in it already. Two here are many, perhaps."""
        self.runtime = SteppedRuntime()
        self.room = Room(
            TEA,
            runtime=self.runtime,
            log_now=lambda: self.runtime.time,
            backlog=3,
            window=lambda audience: seconds if audience > 1 else 0.0,
        )
        self.version = 7
        self.truth: dict[str, Member] = {}
        self.news: deque[Change] = deque()
        self.told: list[Change] = []
        self.mail: deque[Message] = deque()
        self.ever_left: set[str] = set()
        self.away: dict[str, Member] = {}
        self.returned: set[str] = set()
        self.seats: dict[str, Seat] = {}
        self.lists: dict[str, dict[str, str]] = {}
        self.gone: dict[str, dict[str, str]] = {}
        self.numbers = 0
        self.read_due = False

    def teardown(self) -> None:
        """When all news has come and versions were compared, everybody's list is the truth."""
        if not hasattr(self, "room"):
            return
        while self.mail:
            self.deliver()
        while self.news:
            self.hear()
        self.runtime.pass_time(MARGIN)
        self.room.tick()
        self.room.heard(self.version)
        if self.room.needs_roster:
            self.room.adopt(self.roster())
        assert not (self.seats and self.room.needs_roster)
        self.runtime.pass_time(MOST_SECONDS)
        self.fold()
        for session in self.seats:
            assert self.lists[session] == self.names()

    # The store.

    def names(self) -> dict[str, str]:
        """Who is there, in truth."""
        return {session: m.nick.display for session, m in self.truth.items()}

    def roster(self) -> Roster:
        """What the store answers now."""
        return Roster(TEA, self.version, self.runtime.time, tuple(self.truth.values()))

    def announce(self, **fields: Any) -> None:
        """Make a change."""
        self.version += 1
        self.ever_left |= {member.session for member in fields.get("left", ())}
        self.news.append(Change(TEA, self.version, self.runtime.time, **fields))

    def fresh(self) -> str:
        """A session that has not been."""
        self.numbers += 1
        return f"s{self.numbers}"

    @rule(count=st.integers(1, 3))
    def come(self, count: int) -> None:
        """People join on other instances."""
        people = tuple(person(self.fresh()) for _ in range(count))
        self.truth |= {m.session: m for m in people}
        self.announce(joined=people)

    def others(self) -> list[str]:
        """Those of other instances."""
        return [s for s in self.truth if s not in self.seats and not s.startswith("here")]

    @precondition(lambda self: self.others())
    @rule(data=st.data(), count=st.integers(1, 2))
    def go(self, data: st.DataObject, count: int) -> None:
        """People leave on other instances."""
        gone = data.draw(st.sets(st.sampled_from(self.others()), max_size=count, min_size=1))
        left = tuple(self.truth.pop(session) for session in sorted(gone))
        self.away |= {member.session: member for member in left}
        self.announce(left=left, reason=data.draw(st.sampled_from(["", "connection lost"])))

    @precondition(lambda self: self.away)
    @rule(data=st.data(), renamed=st.booleans())
    def come_back(self, data: st.DataObject, renamed: bool) -> None:
        """Somebody who left joins again, perhaps under another nick."""
        member = self.away.pop(data.draw(st.sampled_from(sorted(self.away))))
        if renamed:
            member = person(member.session, f"{member.session}.back")
        self.returned.add(member.session)
        self.truth[member.session] = member
        self.announce(joined=(member,))

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        """Somebody takes another nick, perhaps the same in capitals."""
        old = self.truth[data.draw(st.sampled_from(sorted(self.truth)))]
        nick = data.draw(st.sampled_from([old.nick.display.swapcase(), f"{old.session}.new"]))
        new = person(old.session, nick)
        if new.nick.display != old.nick.display:
            self.truth[old.session] = new
            self.announce(renamed=((old, new),))

    # What comes through.

    def heed(self) -> None:
        """Do as the hub does after each change."""
        self.read_due = self.read_due or self.room.needs_roster

    @precondition(lambda self: self.news)
    @rule()
    def hear(self) -> None:
        """The next news comes."""
        change = self.news.popleft()
        self.told.append(change)
        self.room.changed(change)
        self.heed()

    @precondition(lambda self: self.news)
    @rule()
    def miss(self) -> None:
        """The next news is lost."""
        self.news.popleft()

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def hear_again(self, data: st.DataObject) -> None:
        """Old news comes once more."""
        self.room.changed(data.draw(st.sampled_from(self.told[-3:])))
        self.heed()

    @precondition(lambda self: self.read_due)
    @rule(target=reading)
    def read(self) -> tuple[float, Roster]:
        """The store answers what the room has asked; the answer is under way."""
        self.read_due = False
        return self.runtime.time, self.roster()

    @rule(answer=consumes(reading))
    def arrive(self, answer: tuple[float, Roster]) -> None:
        """An answer comes, perhaps overtaken by news, but in less than a few seconds."""
        at, roster = answer
        if self.runtime.time - at < FRESH_SECONDS / 2:
            self.room.adopt(roster)
        self.heed()

    @rule()
    def compare(self) -> None:
        """The versions are compared."""
        self.room.heard(self.version)
        self.heed()

    @precondition(lambda self: self.truth)
    @rule(data=st.data(), count=st.integers(1, 2))
    def say(self, data: st.DataObject, count: int) -> None:
        """Somebody says something, which is stored and under way."""
        member = self.truth[data.draw(st.sampled_from(sorted(self.truth)))]
        for _ in range(count):
            self.numbers += 1
            self.mail.append(
                Message(
                    room=TEA,
                    seq=self.numbers,
                    at=self.runtime.time,
                    id=str(self.numbers),
                    kind="said",
                    nick=member.nick,
                    session=member.session,
                    text="hi",
                )
            )

    @precondition(lambda self: self.mail)
    @rule()
    def deliver(self) -> None:
        """The next message comes, before news of its sender perhaps, or after it has left."""
        self.room.received(self.mail.popleft())

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.runtime.pass_time(seconds)
        self.room.tick()
        self.heed()

    # Those who are here.

    @rule(target=asked)
    def ask(self) -> tuple[Seat, Roster]:
        """Somebody joins here; the store has done it and its answer is under way."""
        self.numbers += 1
        seat = Seat(f"here{self.numbers}")
        known, newest = self.room.version, self.version
        self.truth[seat.id] = person(seat.id)
        self.announce(joined=(person(seat.id),))
        roster = self.roster()
        if known and known == newest:
            roster = Roster(TEA, self.version, self.runtime.time, None)
        return seat, roster

    @rule(answer=consumes(asked))
    def enter(self, answer: tuple[Seat, Roster]) -> None:
        """The answer comes, and the session is in."""
        seat, roster = answer
        self.room.admit(seat, person(seat.id), roster)
        users = self.room.listed(self.room.members[seat.id], LISTED)
        self.lists[seat.id] = {m.session: m.nick.display for m in users.members}
        assert len(self.lists[seat.id]) == len(users.members) == users.total
        assert seat.id in self.lists[seat.id]
        self.seats[seat.id] = seat
        self.gone[seat.id] = {}
        self.heed()

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Somebody here leaves."""
        session = data.draw(st.sampled_from(sorted(self.seats)))
        self.announce(left=(self.truth.pop(session),))
        self.room.remove(self.seats.pop(session))

    # What they see.

    @invariant()
    def fold(self) -> None:
        """Nobody comes twice or goes unseen; who speaks is in the list, or has left."""
        for session, seat in getattr(self, "seats", {}).items():
            known, gone = self.lists[session], self.gone[session]
            for event in seat.take():
                match event:
                    case Joined(members=members):
                        for m in members:
                            assert m.session not in known
                            assert m.session not in gone or m.session in self.returned
                            assert m.session != session
                            known[m.session] = m.nick.display
                    case Left(members=members):
                        for m in members:
                            assert known.pop(m.session) == m.nick.display
                            assert m.session in self.ever_left
                            gone[m.session] = m.nick.display
                    case Renamed(session=who, old=old, new=new):
                        assert known[who] == old.display
                        assert old.display != new.display
                        known[who] = new.display
                    case Message(session=who, at=at):
                        old_news = self.runtime.time - at >= FRESH_SECONDS
                        assert who in known or who in self.ever_left or old_news


TestPresence: Any = Presence.TestCase
TestPresence.settings = settings(max_examples=200, stateful_step_count=40)
