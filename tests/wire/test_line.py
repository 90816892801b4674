"""The lines of the text protocol, as docs/protocol.md gives them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat.errors import ChatError, NickTaken, NotStored
from disroom.chat.events import (
    Delayed,
    Event,
    Failed,
    Gap,
    Joined,
    Left,
    MarkedAway,
    Member,
    Message,
    PrivateMessage,
    PrivateReceived,
    PrivateSent,
    Renamed,
    StoredAfterAll,
)
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Whereabouts
from disroom.chat.replies import (
    AwaySet,
    Departed,
    Entered,
    History,
    IgnoreSet,
    ListedRoom,
    Named,
    Reply,
    RoomList,
    TopicIs,
    UserList,
    Whois,
)
from disroom.chat.stored import Page, Topic
from disroom.chat.text import clean
from disroom.wire.line import (
    NAMED_AT_ONCE,
    PROMPT,
    WELCOME,
    LineFormat,
    encode,
    error_line,
    help_lines,
)
from disroom.wire.verbs import VERBS

PROTOCOL = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
DAY = datetime(2026, 11, 24, 15, 4, tzinfo=UTC).timestamp()

GENERAL = RoomName.parse("general")
TEA = RoomName.parse("tea")
ALICE, BOB, ROB, CAROL, DAVE = (Nick.parse(n) for n in ("alice", "bob", "rob", "carol", "dave"))
RELEASE_DAY = Topic("release day", ROB, DAY + 12)


def member(nick: Nick, away: bool = False) -> Member:
    """Somebody whose session is called as the nick is."""
    return Member(nick.key, nick, away)


def said(
    text: str,
    *,
    nick: Nick = BOB,
    at: float = 5,
    kind: Literal["said", "did", "topic"] = "said",
    seq: int = 4811,
) -> Message:
    """A message in #general, ``at`` seconds after 15:04."""
    return Message(GENERAL, seq, DAY + at, "id", kind, nick, nick.key, text)


def private(text: str, away: str | None = None) -> PrivateMessage:
    """A private message between alice and rob."""
    return PrivateMessage("id", DAY + 14, ALICE, ROB.key, ROB, text, away)


JUST_LEFT = Left(GENERAL, DAY + 11, (member(CAROL),))
EVENTS: list[tuple[Event, str]] = [
    (said("hello"), "[15:04:05] #general bob: hello"),
    (said("waves", at=7.999, kind="did"), "[15:04:07] #general * bob waves"),
    (Joined(GENERAL, DAY + 9, (member(CAROL),)), "[15:04:09] #general --> carol joined"),
    (
        Left(GENERAL, DAY + 11, (member(CAROL),), "connection lost"),
        "[15:04:11] #general <-- carol left (connection lost)",
    ),
    (JUST_LEFT, "[15:04:11] #general <-- carol left"),
    (
        Renamed(GENERAL, DAY + 12, "bob", BOB, ROB),
        "[15:04:12] #general -- bob is now rob",
    ),
    (
        said("release day", nick=ROB, at=12, kind="topic"),
        "[15:04:12] #general -- topic by rob: release day",
    ),
    (
        said("", nick=ROB, at=12, kind="topic"),
        "[15:04:12] #general -- topic taken away by rob",
    ),
    (
        PrivateReceived(PrivateMessage("id", DAY + 13, ROB, "alice", ALICE, "psst")),
        "[15:04:13] (private) rob: psst",
    ),
    (PrivateSent(private("yes?")), "[15:04:14] (private) -> rob: yes?"),
    (Delayed(GENERAL, "id"), "-- your message is delayed; still trying"),
    (
        StoredAfterAll(said("x")),
        "-- what was reported as not stored is in #general after all:",
    ),
    (Gap(GENERAL, 4811, 4860), "-- #general: messages 4811..4860 are no longer available"),
    (
        Gap(GENERAL, None, None),
        "-- #general: the message log was started anew; messages may be missing",
    ),
    (Failed(NickTaken("alice")), "Error: alice is taken (nick-taken)"),
]

PEOPLE = UserList(GENERAL, (member(BOB), member(ALICE)), 2)
BACKLOG = History(GENERAL, 10, Page((said("hello"),), False))

REPLIES: list[tuple[Reply | PrivateSent, list[str]]] = [
    (Named(BOB), ["You are bob"]),
    (
        Entered(GENERAL, ALICE, PEOPLE, RELEASE_DAY, BACKLOG),
        [
            "Joined room general as alice",
            "Users in general: bob, alice",
            "[2026-11-24 15:04:12] #general -- topic by rob: release day",
            "[2026-11-24 15:04:05] #general bob: hello",
            "-- #general 4811..4811; nothing older",
        ],
    ),
    (
        Entered(GENERAL, ALICE, PEOPLE, None, History(GENERAL, 10, Page((), False))),
        [
            "Joined room general as alice",
            "Users in general: bob, alice",
            "-- #general has no messages yet",
        ],
    ),
    (
        Entered(GENERAL, ALICE, PEOPLE, None, None),
        [
            "Joined room general as alice",
            "Users in general: bob, alice",
            "-- now talking in #general",
        ],
    ),
    (Departed(GENERAL, None), ["Left room general"]),
    (Departed(GENERAL, TEA), ["Left room general", "-- now talking in #tea"]),
    (
        UserList(GENERAL, (member(ALICE), member(BOB, away=True)), 2),
        ["Users in general: alice, bob (away)"],
    ),
    (UserList(GENERAL, (member(ALICE),), 4711), ["Users in general: alice and 4710 more"]),
    (
        RoomList((ListedRoom(GENERAL, 2, RELEASE_DAY),), 1),
        ["[2 users] #general: release day", "-- 1 room"],
    ),
    (
        RoomList((ListedRoom(GENERAL, 2, None), ListedRoom(TEA, 1, None)), 2),
        ["[2 users] #general", "[1 user] #tea", "-- 2 rooms"],
    ),
    (
        RoomList((ListedRoom(GENERAL, 2, None),), 300),
        ["[2 users] #general", "-- the fullest 1 of 300 rooms"],
    ),
    (RoomList((), 0), ["-- no rooms yet; start one: join ROOM"]),
    (
        TopicIs(GENERAL, RELEASE_DAY),
        ["[2026-11-24 15:04:12] #general -- topic by rob: release day"],
    ),
    (TopicIs(GENERAL, None), ["-- #general has no topic; set one: topic TEXT"]),
    (
        History(GENERAL, 50, Page((said("hello"), said("waves", kind="did", seq=4860)), True)),
        [
            "[2026-11-24 15:04:05] #general bob: hello",
            "[2026-11-24 15:04:05] #general * bob waves",
            "-- #general 4811..4860; older: history 50 before 4811",
        ],
    ),
    (
        History(GENERAL, 50, Page((said("x", kind="topic"),), False)),
        [
            "[2026-11-24 15:04:05] #general -- topic by bob: x",
            "-- #general 4811..4811; nothing older",
        ],
    ),
    (History(GENERAL, 50, Page((), True)), ["-- #general has no messages yet"]),
    (AwaySet("lunch"), ["-- you are away"]),
    (AwaySet(None), ["-- you are back"]),
    (IgnoreSet(BOB, True), ["-- bob is ignored"]),
    (IgnoreSet(BOB, False), ["-- bob is no longer ignored"]),
    (
        Whois(Whereabouts(ROB, "s", "i", "srv-1", DAY - 3840, DAY, "lunch", (GENERAL, TEA))),
        [
            "rob is in #general, #tea",
            "[away] rob: lunch",
            "-- rob is on srv-1 since 2026-11-24 14:00:00",
        ],
    ),
    (
        Whois(Whereabouts(ROB, "s", "i", "srv-1", DAY - 3840, DAY, None, ())),
        ["rob is in (no room)", "-- rob is on srv-1 since 2026-11-24 14:00:00"],
    ),
    (
        Whois(Whereabouts(ROB, "s", "", "", DAY - 3840, DAY, None, (TEA,))),
        ["rob is in #tea", "-- rob is to come back, here since 2026-11-24 14:00:00"],
    ),
    (PrivateSent(private("yes?")), ["[15:04:14] (private) -> rob: yes?"]),
    (
        PrivateSent(private("yes?", "lunch")),
        ["[15:04:14] (private) -> rob: yes?", "[15:04:14] (away) rob: lunch"],
    ),
]


def lines_of(data: bytes) -> list[str]:
    """The lines of what is sent, which must be whole."""
    text = data.decode()
    assert text.endswith("\r\n")
    return text.removesuffix("\r\n").split("\r\n")


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_an_event_is_one_line_of_the_documented_form(event: Event, line: str) -> None:
    """A client written from docs/protocol.md understands whatever happens."""
    assert LineFormat().event(event) == f"{line}\r\n".encode()


@pytest.mark.parametrize(("reply", "lines"), REPLIES)
def test_a_reply_has_the_documented_form(reply: Reply | PrivateSent, lines: list[str]) -> None:
    """A client written from docs/protocol.md understands every answer."""
    assert lines_of(LineFormat().reply(reply)) == lines


@pytest.mark.parametrize(
    "line",
    [
        *(line for event, line in EVENTS if event != JUST_LEFT and not isinstance(event, Failed)),
        "Joined room general as alice",
        "Users in general: bob, alice",
        "Users in general: alice, bob (away)",
        "Left room general",
        "-- now talking in #tea",
        "-- now talking in #general",
        "[2026-11-24 15:04:12] #general -- topic by rob: release day",
        "-- #general has no topic; set one: topic TEXT",
        "[2 users] #general: release day",
        "-- 1 room",
        "[2026-11-24 15:04:05] #general bob: hello",
        "-- #general 4811..4811; nothing older",
        "-- #general 4811..4860; older: history 50 before 4811",
        "-- #general has no messages yet",
        "[15:04:14] (away) rob: lunch",
        "rob is in #general, #tea",
        "[away] rob: lunch",
        "-- rob is on srv-1 since 2026-11-24 14:00:00",
        "-- you are away",
        "-- you are back",
        "-- bob is ignored",
        "-- bob is no longer ignored",
        WELCOME,
        PROMPT.decode(),
    ],
)
def test_the_document_shows_the_very_lines(line: str) -> None:
    """What docs/protocol.md shows is what is sent, to the letter."""
    assert line in PROTOCOL


@pytest.mark.parametrize(("count", "who"), [(20, None), (21, "21 people"), (500, "500 people")])
def test_a_crowd_is_counted(count: int, who: str | None) -> None:
    """People who come or go at one moment share a line; more than twenty are counted."""
    assert NAMED_AT_ONCE == 20
    people = tuple(member(Nick.parse(f"u{n}")) for n in range(count))
    shown = who or ", ".join(m.nick.display for m in people)
    lines = LineFormat()
    assert lines.event(Joined(GENERAL, DAY, people)) == (
        f"[15:04:00] #general --> {shown} joined\r\n".encode()
    )
    assert lines.event(Left(GENERAL, DAY, people, "server lost")) == (
        f"[15:04:00] #general <-- {shown} left (server lost)\r\n".encode()
    )


def test_names_of_a_crowd_are_parted() -> None:
    """Who came together is told apart."""
    event = Joined(GENERAL, DAY + 9, (member(CAROL), member(DAVE)))
    assert LineFormat().event(event) == b"[15:04:09] #general --> carol, dave joined\r\n"


def test_names_are_shown_as_they_were_written() -> None:
    """Rooms and people keep their capitals on everybody's screen."""
    room, nick = RoomName.parse("General"), Nick.parse("Zoë")
    message = Message(room, 1, DAY, "id", "said", nick, "s", "hi")
    assert LineFormat().event(message) == "[15:04:00] #General Zoë: hi\r\n".encode()


@pytest.mark.parametrize(
    ("zone", "clock", "date"),
    [
        (UTC, "15:04:00", "2026-11-24 15:04:00"),
        (timezone(timedelta(hours=12)), "03:04:00", "2026-11-25 03:04:00"),
        (timezone(-timedelta(hours=15, minutes=30)), "23:34:00", "2026-11-23 23:34:00"),
        (ZoneInfo("Europe/Berlin"), "16:04:00", "2026-11-24 16:04:00"),
    ],
)
def test_times_are_in_the_configured_zone(zone: Any, clock: str, date: str) -> None:
    """A server for people in one place can show their time."""
    lines = LineFormat(zone)
    assert lines.event(said("x", at=0)).startswith(f"[{clock}] ".encode())
    page = History(GENERAL, 1, Page((said("x", at=0),), False))
    assert lines.reply(page).startswith(f"[{date}] ".encode())


def test_each_second_has_its_own_clock() -> None:
    """Time goes on, also backwards when rooms of different pace mix."""
    lines = LineFormat()
    shown = [lines.event(said("x", at=at))[1:9] for at in (0, 0.5, 1, 59.999, 60, 1, 86400)]
    assert shown == [
        *(b"15:04:00", b"15:04:00", b"15:04:01", b"15:04:59"),
        *(b"15:05:00", b"15:04:01", b"15:04:00"),
    ]


def test_an_event_for_a_whole_room_is_formatted_once() -> None:
    """A room with many members costs the server one formatting a message."""
    lines = LineFormat()
    event = said("hello")
    assert lines.event(event) is lines.event(event)
    other = said("hello", seq=4812, nick=ROB)
    assert lines.event(other) != lines.event(event)
    assert lines.event(other) is not lines.event(said("hello", seq=4812, nick=ROB))


def test_help_explains_every_verb_within_a_terminals_width() -> None:
    """Who asks for help sees every verb with its syntax, on 80 columns."""
    every = help_lines(None, 10_000)
    assert len(every) == len(VERBS) + 1
    for verb, line in zip(VERBS, every, strict=False):
        assert line.startswith(f"  {verb.syntax} ")
        about = verb.about + (", at most 10000 lines" if verb.name == "history" else "")
        assert line.endswith(f" {about}")
        assert len(line) < 80
        assert help_lines(verb.name, 10_000) == (f"-- {verb.syntax}: {about}",)
    assert every[-1].startswith("-- ")


def test_an_error_ends_with_its_code() -> None:
    """A client can tell errors apart whatever they say."""
    assert error_line(NickTaken("alice")) == "Error: alice is taken (nick-taken)"
    assert error_line(NotStored("too many (3)")).endswith(" (not-stored)")


def test_lines_end_with_cr_lf() -> None:
    """Every line is whole for any telnet; no lines are no bytes."""
    assert encode(["a", "é"]) == b"a\r\n\xc3\xa9\r\n"
    assert encode([]) == b""


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    """Whoever looks up a code in docs/protocol.md finds it, and no other."""
    table = PROTOCOL.partition("| code | when")[2].partition("\n## ")[0]
    documented = {c for row in table.splitlines() for c in re.findall(r"`([a-z-]+)`", row[:40])}
    assert documented == set(codes(ChatError))


def codes(error: type[ChatError]) -> list[str]:
    """The codes of an error's subclasses, those of this package."""
    own = [error.code] if hasattr(error, "code") and error.__module__.startswith("disroom") else []
    return own + [code for sub in error.__subclasses__() for code in codes(sub)]


# Whatever users write.

MARK = "\N{SNOWMAN}"
"""What tells a user's text from everything else in a line."""

names = st.sampled_from(["alice", "Zoë", "中村", "علي", "a.b-c_d", "7", "ﾊﾅｺ", "x" * 32])
nicks = names.map(Nick.parse)
rooms = names.map(RoomName.parse)
texts = st.text().map(lambda text: f"{clean(text).strip()}{MARK}")
times = st.floats(0, 4e9)
members = st.builds(Member, session=st.uuids().map(str), nick=nicks, away=st.booleans())
crowds = st.lists(members, min_size=1, max_size=25).map(tuple)
kinds: st.SearchStrategy[Literal["said", "did", "topic"]] = st.sampled_from(
    ["said", "did", "topic"]
)
messages = st.builds(
    Message,
    room=rooms,
    seq=st.integers(1, 2**53),
    at=times,
    id=st.just("id"),
    kind=kinds,
    nick=nicks,
    session=st.just("s"),
    text=texts,
)
privates = st.builds(
    PrivateMessage,
    id=st.just("id"),
    at=times,
    sender=nicks,
    session=st.just("s"),
    recipient=nicks,
    text=texts,
    away=st.none() | texts,
)
topics = st.none() | st.builds(Topic, text=texts, nick=nicks, at=times)
pages = st.builds(Page, st.lists(messages, max_size=3).map(tuple), st.booleans())
histories = st.builds(History, rooms, st.integers(1, 1000), pages)
user_lists = st.builds(
    UserList, rooms, st.lists(members, max_size=4).map(tuple), st.integers(4, 9), st.booleans()
)
events: st.SearchStrategy[Event] = st.one_of(
    messages,
    st.builds(Gap, rooms, st.integers(1), st.integers(1))
    | st.builds(Gap, rooms, st.none(), st.none()),
    st.builds(Joined, rooms, times, crowds),
    st.builds(Left, rooms, times, crowds, st.sampled_from(["", "server lost"])),
    st.builds(Renamed, rooms, times, st.just("s"), nicks, nicks),
    st.builds(PrivateReceived, privates),
    st.builds(Delayed, rooms),
    st.builds(StoredAfterAll, messages),
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Named, nicks),
    user_lists,
    histories,
    st.builds(Entered, rooms, nicks, user_lists, topics, st.none() | histories),
    st.builds(Departed, rooms, st.none() | rooms),
    st.builds(
        RoomList,
        st.lists(st.builds(ListedRoom, rooms, st.integers(1, 9), topics), max_size=3).map(tuple),
        st.integers(3, 9),
    ),
    st.builds(TopicIs, rooms, topics),
    st.builds(AwaySet, st.none() | texts),
    st.builds(IgnoreSet, nicks, st.booleans()),
    st.builds(
        Whois,
        st.builds(
            Whereabouts,
            nick=nicks,
            session=st.just("s"),
            instance=st.just("i"),
            instance_name=st.just("srv-1"),
            since=times,
            away=st.none() | texts,
            rooms=st.lists(rooms, max_size=3).map(tuple),
        ),
    ),
)


def assert_harmless(lines: list[str]) -> None:
    """Check the rules that all lines keep."""
    for line in lines:
        assert line
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line)
        assert MARK not in line or line.startswith("[")


@given(events)
def test_no_event_can_move_a_cursor_or_fake_a_line(event: Event) -> None:
    """An event is one line whatever users write; with a text of theirs it begins with a bracket."""
    lines = lines_of(LineFormat().event(event))
    assert len(lines) == 1
    assert_harmless(lines)


@given(replies)
def test_every_reply_of_several_lines_ends_with_a_remark(reply: Reply) -> None:
    """A client knows when an answer is complete, and no line of it is a user's doing."""
    lines = lines_of(LineFormat().reply(reply))
    assert_harmless(lines)
    assert len(lines) == 1 or lines[-1].startswith("-- ")
    assert not any(
        line.startswith(("-- ", "Error: ")) for line in lines[:-1] if "out of" not in line
    )


def test_a_mark_of_being_away_is_no_line() -> None:
    """At a terminal the list of users shows it, and nobody is disturbed meanwhile."""
    assert LineFormat().event(MarkedAway(GENERAL, DAY, (Member("bob", BOB, True),))) == b""
