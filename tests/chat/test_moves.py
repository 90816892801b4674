"""How the many in a room are told who comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from disroom.chat.events import Joined, Left, MarkedAway, Renamed, RoomEvent
from disroom.chat.moves import AT_ONCE_BELOW, MOST_SECONDS, window
from disroom.chat.replies import UserList
from tests.chat.test_room import TEA, Seat, Tearoom, person

SECONDS = 1.0


class Crowd(Tearoom):
    """A room at version 11 in which ann and zoe of this instance are many, and bob is elsewhere."""

    def __init__(self) -> None:
        super().__init__(window=lambda audience: SECONDS if audience > 1 else 0.0)
        self.zoe = Seat("zoe")
        self.enter(self.zoe, self.roster(11, None))
        self.wait()
        self.ann.take()
        self.version = 11

    def news(self, **fields: Any) -> None:
        """Bring the next change."""
        self.version += 1
        self.change(self.version, **fields)

    def wait(self, seconds: float = SECONDS) -> None:
        """Let time go by, by default until a window that opens now is over."""
        self.runtime.pass_time(seconds)

    def admit(self, seat: Seat, most: int = 1000) -> UserList:
        """Let a session in that nothing was heard of."""
        self.version += 1
        self.room.admit(seat, person(seat.id), self.roster(self.version, None))
        return self.room.listed(person(seat.id), most)


@pytest.fixture
def crowd() -> Crowd:
    """A room with many in it."""
    return Crowd()


def story(seat: Seat) -> list[str]:
    """What somebody was shown, in words."""
    return [words(event) for event in seat.take()]


def words(event: RoomEvent) -> str:
    """An event, briefly."""
    match event:
        case Joined(members=members):
            return "+" + ",".join(m.nick.display for m in members)
        case Left(members=members, reason=reason):
            return (
                "-" + ",".join(m.nick.display for m in members) + (f" {reason}" if reason else "")
            )
        case Renamed(old=old, new=new):
            return f"{old}>{new}"
        case MarkedAway(members=members):
            return ",".join(f"{m.nick} {'away' if m.away else 'back'}" for m in members)
        case _:
            return f"{event!r:.7}"


def test_few_are_told_at_once_and_many_in_a_while() -> None:
    """In a small room everything shows at once, in a large one it takes two seconds at most."""
    assert window(AT_ONCE_BELOW - 1) == 0.0
    assert window(AT_ONCE_BELOW) == 0.05
    assert window(1000) == 1.0
    assert window(100_000) == MOST_SECONDS == 2.0


def test_who_comes_about_the_same_time_is_one_line(crowd: Crowd) -> None:
    """When many come at once, those here see one line and not one for each."""
    crowd.news(joined=(person("cat"),))
    crowd.wait(0.4)
    crowd.news(joined=(person("dan"), person("eve")))
    last = crowd.runtime.time
    assert {"cat", "dan", "eve"} < set(crowd.room.members)
    crowd.wait(0.59)
    assert not crowd.ann.shown
    crowd.wait(0.01)
    event = Joined(TEA, last, (person("cat"), person("dan"), person("eve")))
    assert crowd.ann.take() == [event]
    (same,) = crowd.zoe.take()
    assert same == event


def test_who_comes_later_is_another_line(crowd: Crowd) -> None:
    """A window begins with the first who comes; each is as long as the first."""
    for nick in ("cat", "dan"):
        crowd.news(joined=(person(nick),))
        crowd.wait(0.99)
        assert not crowd.ann.shown
        crowd.wait(0.01)
        assert story(crowd.ann) == [f"+{nick}"]
    crowd.wait()
    assert not crowd.ann.shown


def test_those_who_go_are_told_of_by_reason_and_before_those_who_come(crowd: Crowd) -> None:
    """Who went is told before who came, since the nicks may be the same; reasons stay apart."""
    crowd.news(joined=(person("cat"),))
    crowd.news(joined=(person("dan"),))
    crowd.wait()
    crowd.ann.take()
    crowd.news(left=(person("bob"),), reason="connection lost")
    crowd.news(left=(person("cat"),))
    crowd.news(joined=(person("b2", "bob"),))
    crowd.news(left=(person("dan"),), reason="connection lost")
    crowd.wait()
    assert story(crowd.ann) == ["-bob,dan connection lost", "-cat", "+bob"]


def test_who_came_and_went_meanwhile_is_not_told_of(crowd: Crowd) -> None:
    """Nobody is disturbed by a coming that is over."""
    crowd.news(joined=(person("cat"),))
    crowd.news(left=(person("cat"),))
    crowd.news(left=(person("bob"),))
    crowd.news(joined=(person("bob"),))
    crowd.wait(10)
    assert not crowd.ann.shown
    assert list(crowd.room.members) == ["ann", "zoe", "bob"]


def test_who_came_went_and_came_is_told_of_once(crowd: Crowd) -> None:
    """However often somebody's connection breaks, what is told fits together."""
    for _ in range(3):
        crowd.news(joined=(person("cat"),))
        crowd.news(left=(person("cat"),))
    crowd.news(joined=(person("cat"),))
    crowd.wait()
    assert story(crowd.ann) == ["+cat"]


def test_who_comes_back_under_another_name_has_left(crowd: Crowd) -> None:
    """Its old name may be somebody else's by then."""
    crowd.news(left=(person("bob"),))
    crowd.news(joined=(person("cat", "Bob2"),))
    crowd.news(joined=(person("bob", "bobby"),))
    assert story(crowd.ann) == ["-bob", "+Bob2"]
    crowd.wait()
    assert story(crowd.ann) == ["+bobby"]


def test_a_message_shows_first_that_its_sender_has_come(crowd: Crowd) -> None:
    """Nobody speaks who is not in the room, and no news is told twice."""
    crowd.news(left=(person("bob"),))
    crowd.news(joined=(person("b2", "bob"),))
    crowd.news(joined=(person("cat"),))
    crowd.say("ann")
    assert story(crowd.zoe) == ["Message"]
    crowd.say("b2")
    assert story(crowd.zoe) == ["-bob", "+bob,cat", "Message"]
    crowd.say("cat")
    crowd.say("stranger")
    assert story(crowd.zoe) == ["Message", "+stranger", "Message"]
    crowd.wait(10)
    assert not crowd.zoe.shown


def test_talk_ends_no_window_but_the_newcomers_own(crowd: Crowd) -> None:
    """While those who are here talk, newcomers are still told of together."""
    for nick in ("cat", "dan", "eve"):
        crowd.news(joined=(person(nick),))
        crowd.say("ann")
        crowd.wait(0.1)
    crowd.wait()
    assert story(crowd.zoe) == ["Message"] * 3 + ["+cat,dan,eve"]


def test_after_a_window_that_was_ended_the_next_has_its_full_length(crowd: Crowd) -> None:
    """The end of a window that has been told of already cuts no other short."""
    crowd.news(joined=(person("cat"),))
    crowd.wait(0.5)
    crowd.say("cat")
    crowd.news(joined=(person("dan"),))
    crowd.ann.take()
    crowd.wait(0.9)
    assert not crowd.ann.shown
    crowd.wait(0.1)
    assert story(crowd.ann) == ["+dan"]


def test_a_newcomer_is_told_of_under_its_newest_name(crowd: Crowd) -> None:
    """Who takes another nick before it was told of has come under that one."""
    crowd.news(joined=(person("cat"),))
    crowd.news(renamed=((person("cat"), person("cat", "kitty")),))
    crowd.news(renamed=((person("cat", "kitty"), person("cat", "kitty", away=True)),))
    crowd.wait()
    (event,) = crowd.ann.take()
    assert event == Joined(TEA, crowd.runtime.time - SECONDS, (person("cat", "kitty", away=True),))


def test_who_is_not_told_of_yet_sees_its_own_changes(crowd: Crowd) -> None:
    """Whoever changes its nick is shown so, whether the others know that it is here or not."""
    dan = Seat("dan")
    crowd.admit(dan)
    crowd.news(renamed=((person("dan"), person("dan", "danny")),))
    crowd.news(renamed=((person("dan", "danny"), person("dan", "danny", away=True)),))
    assert story(dan) == ["dan>danny", "danny away"]
    crowd.wait()
    assert not dan.shown
    assert story(crowd.ann) == ["+danny"]


def test_a_renaming_is_told_at_once_after_what_came_before_it(crowd: Crowd) -> None:
    """A nick is given up before another takes it."""
    crowd.news(left=(person("bob"),))
    crowd.news(renamed=((person("ann"), person("ann", "bob")),))
    assert story(crowd.zoe) == ["-bob", "ann>bob"]


def test_many_whose_connections_break_are_told_of_at_once(crowd: Crowd) -> None:
    """When an instance dies, each who is left is told once, and not once for each who was there."""
    crowd.news(joined=(person("cat"), person("dan")))
    crowd.wait()
    story(crowd.ann)
    for nick in ("bob", "cat"):
        crowd.wait(0.1)
        crowd.news(renamed=((person(nick), person(nick, away=True)),))
    assert not crowd.ann.shown
    last = crowd.runtime.time
    crowd.wait()
    (event,) = crowd.ann.shown
    assert story(crowd.ann) == ["bob away,cat away"]
    assert isinstance(event, MarkedAway)
    assert event.at == last


def test_a_mark_is_told_before_the_name_is_given_up(crowd: Crowd) -> None:
    """Nobody is told of a name that it has not heard of."""
    crowd.news(renamed=((person("bob"), person("bob", away=True)),))
    crowd.news(renamed=((person("bob", away=True), person("bob", "rob", away=True)),))
    assert story(crowd.ann) == ["bob away", "bob>rob"]


def test_who_was_away_for_a_moment_is_not_marked(crowd: Crowd) -> None:
    """Connections that break and are resumed are no news to a large room."""
    away, back = person("bob", away=True), person("bob")
    crowd.news(renamed=((back, away),))
    crowd.news(renamed=((away, back),))
    crowd.wait()
    assert not crowd.ann.shown
    crowd.news(renamed=((back, away),))
    crowd.wait()
    assert story(crowd.ann) == ["bob away"]
    crowd.news(left=(away,))
    crowd.news(joined=(back,))
    crowd.wait()
    assert story(crowd.ann) == ["bob back"]


@pytest.mark.parametrize("goes", [False, True])
def test_a_newcomer_is_given_the_marks_that_the_others_know(crowd: Crowd, goes: bool) -> None:
    """It is told with them what changes: of one who was away for a moment, nothing."""
    bob, gone = person("bob"), person("bob", away=True)
    crowd.news(renamed=((bob, gone),))
    if goes:
        crowd.news(left=(gone,))
    seat = Seat("new")
    listed = crowd.admit(seat)
    assert bob in listed.members
    if goes:
        crowd.news(joined=(bob,))
    else:
        crowd.news(renamed=((gone, bob),))
    crowd.wait()
    assert not [event for event in seat.take() if isinstance(event, MarkedAway)]


def test_a_newcomers_list_and_what_follows_fit_together(crowd: Crowd) -> None:
    """Nobody on the list comes again, nobody is missing, and who is gone is shown going."""
    crowd.news(joined=(person("cat"),))
    crowd.news(left=(person("bob"),))
    dan = Seat("dan")
    users = crowd.admit(dan)
    assert [m.session for m in users.members] == ["ann", "zoe", "dan", "bob"]
    assert users.total == 4
    eve = Seat("eve")
    assert crowd.admit(eve, most=2) == UserList(TEA, (person("ann"), person("zoe")), 4)
    crowd.wait()
    assert story(crowd.ann) == ["-bob", "+cat,dan,eve"]
    assert story(dan) == ["-bob", "+cat,eve"]
    assert story(eve) == ["-bob", "+cat,dan"]


def test_who_leaves_meanwhile_is_told_nothing_more(crowd: Crowd) -> None:
    """Nobody hears of a room that it has left."""
    crowd.news(joined=(person("cat"),))
    crowd.room.remove(crowd.zoe)
    crowd.wait()
    assert not crowd.zoe.shown
    assert story(crowd.ann) == ["+cat"]


def test_what_waits_is_told_when_few_are_left(crowd: Crowd) -> None:
    """Nothing that waits is forgotten or told out of order when the room becomes a small one."""
    crowd.news(joined=(person("cat"),))
    crowd.room.remove(crowd.zoe)
    crowd.news(left=(person("zoe"),))
    assert story(crowd.ann) == ["-zoe", "+cat"]
    crowd.wait()
    assert not crowd.ann.shown
