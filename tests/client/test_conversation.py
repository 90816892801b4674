"""What a user of disroom-chat types and sees, without a terminal."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from disroom import client
from disroom.adapters.aio import deferred
from disroom.client.calls import Call, Verbs
from disroom.client.rooms import Rooms
from disroom.client.terminal.conversation import Conversation
from disroom.client.terminal.paint import Painter, nick_style, plain
from disroom.client.terminal.prompt import toolbar
from disroom.wire import messages
from tests.contract.witness import promise

AT = 1_700_000_000_000
SAID = "-- a line without a / is said"
BOB = messages.Member("s2", "bob")
ANSWERS: dict[str, Any] = {
    "leave": messages.Departed(1, "tea"),
    "send": messages.Posted(1, "tea", 7),
    "me": messages.Posted(1, "tea", 7),
    "nick": messages.Named(1, "anna"),
    "msg": messages.Whispered(1, "m1", AT, "bob", "lunch"),
    "users": messages.UserList(1, "tea", (BOB, messages.Member("s3", "cat", True)), 5, False),
    "rooms": messages.RoomList(1, (messages.ListedRoom("tea", 2),), 1),
    "history": messages.History(
        1, "tea", (messages.Said("tea", 4, AT, "m", "s2", "bob", "hi"),), True
    ),
    "away": messages.AwaySet(1, "lunch"),
    "ignore": messages.Named(1, "bob"),
    "unignore": messages.Named(1, "bob"),
    "whois": messages.Whois(1, "bob", "s2", "srv-1", AT, ("tea",)),
    "motd": messages.Motd(1, ("Be kind.",)),
    "ping": messages.Ok(1),
    "topic": messages.TopicIs(1, "tea"),
}


class ScriptedChat(Verbs):
    """Answers as a server would.

    Attributes:
        asked: The requests, as ``op`` and the values of their fields but for the key.
        refuses: Codes of failures, by ``op``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nick = "ann"
        self.connected = True
        self.rooms = Rooms()
        self.asked: list[str] = []
        self.refuses: dict[str, str] = {}

    def _ask(self, call: Call) -> Awaitable[Any]:
        fields = [str(value) for name, value in call.fields.items() if name != "key"]
        self.asked.append(" ".join([call.op, *fields]))
        return self._answer(call)

    async def _answer(self, call: Call) -> Any:
        if call.op in self.refuses:
            raise client.ChatFailed(self.refuses[call.op], "it cannot be done")
        if call.op == "join":
            room = self.rooms.add(str(call.fields["room"]))
            return messages.Entered(
                1, room=room.name, nick="ann", members=(BOB,), total=1, seq=0, messages=()
            )
        if call.op == "leave":
            self.rooms.remove(str(call.fields["room"]))
        return ANSWERS[call.op]


class Screen:
    """A user, and what it was shown."""

    def __init__(self) -> None:
        self.chat = ScriptedChat()
        self.shown: list[str] = []
        self.as_chat = cast(Any, self.chat)
        self.conversation = Conversation(self.as_chat, lambda line: self.shown.append(plain(line)))

    async def type(self, *lines: str) -> list[str]:
        """Type lines and return what is shown thereupon, without the times."""
        self.shown.clear()

        async def talk() -> None:
            for line in lines:
                await self.conversation.typed(line)
            await self.conversation.sent()

        await deferred(talk())
        return list(self.shown)


def said(room: str, text: str, nick: str = "bob") -> messages.Said:
    """Somebody says something."""
    return messages.Said(room, 9, AT, "m9", "s2", nick, text)


@pytest.mark.parametrize(
    ("line", "asked", "shown"),
    [
        ("hello", "send tea hello", []),
        ("/say /etc", "send tea /etc", []),
        ("/send #work hi", "send work hi", []),
        ("/me waves", "me tea waves", []),
        ("/topic", "topic tea", ["-- #tea: no topic"]),
        ("/leave", "leave tea", ["-- left #tea; now talking in #work"]),
        ("/nick anna", "nick anna", ["-- you are anna"]),
        ("/users", "users tea", ["-- #tea: bob, cat (away) and 3 more"]),
        ("/rooms", "rooms", ["-- #tea (2)", "-- 1 room"]),
        ("/away lunch", "away lunch", ["-- you are away"]),
        ("/ignore bob", "ignore bob", ["-- bob is ignored"]),
        ("/unignore bob", "unignore bob", ["-- bob is heard again"]),
        ("/whois bob", "whois bob", ["-- bob is in #tea, on srv-1"]),
        ("/motd", "motd", ["-- Be kind."]),
        ("/talk on", None, ["-- this client does that by itself"]),
        ("/help nick", None, ["-- /nick NAME  choose a name, or change it", SAID]),
        ("/nosuch", None, ["Error: there is no /nosuch; all commands: /help (unknown-command)"]),
        ("/nick", None, ["Error: write it like this: nick NAME (usage)"]),
        ("", None, []),
    ],
)
@promise
async def test_a_line_does_what_it_says(line: str, asked: str | None, shown: list[str]) -> None:
    """Commands begin with a slash and answer with remarks; everything else is said."""
    screen = Screen()
    await screen.type("/join work", "/join tea")
    screen.chat.asked.clear()
    told = await screen.type(line)
    assert screen.chat.asked == ([asked] if asked else [])
    assert told == shown


@promise
async def test_a_private_message_is_shown_to_its_sender() -> None:
    """With the away text of who does not read it."""
    told = await Screen().type("/msg bob psst")
    assert [line[9:] for line in told[:1]] == ["(private) -> bob: psst"]
    assert told[1:] == ["-- bob is away: lunch"]


@promise
async def test_history_says_how_to_read_on() -> None:
    """With dates, and the command for what is older."""
    screen = Screen()
    await screen.type("/join tea")
    told = await screen.type("/history 1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8} #tea bob: hi", told[0])
    assert told[1] == "-- older: /history before 4"


@promise
async def test_nothing_is_said_without_a_room() -> None:
    """The error says what to do."""
    (told,) = await Screen().type("hello")
    assert told.endswith("(no-room)")
    assert "join" in told


@promise
async def test_what_fails_is_told_and_the_rest_goes_on() -> None:
    """Whether it is a command or something that was said."""
    screen = Screen()
    await screen.type("/join tea")
    screen.chat.refuses = {"send": "not-stored", "whois": "no-such-nick"}
    assert sorted(await screen.type("one", "/whois bob", "/motd")) == [
        "-- Be kind.",
        "Error: it cannot be done (no-such-nick)",
        "Error: it cannot be done (not-stored)",
    ]
    assert screen.conversation.unsent == 0


@promise
async def test_what_is_said_elsewhere_is_counted_until_it_is_read() -> None:
    """The line at the bottom tells in which rooms there is something new."""
    screen = Screen()
    await screen.type("/join tea", "/join work")
    for room in ("tea", "tea", "work"):
        screen.conversation.heard(said(room, "hi"))
    assert screen.conversation.unread == {"tea": 2}
    screen.chat.connected = True
    assert plain(toolbar(screen.as_chat, screen.conversation)) == " ann  #tea 2  #work "
    screen.chat.connected = False
    shown = plain(toolbar(screen.as_chat, screen.conversation))
    assert shown == " ann  connecting  #tea 2  #work "
    await screen.type("/join tea")
    assert screen.conversation.unread == {}
    assert screen.conversation.current == "tea"


@promise
async def test_the_first_of_the_rooms_is_where_one_talks() -> None:
    """As they were given; one that cannot be joined is told of."""
    screen = Screen()
    await deferred(screen.conversation.begin(["#tea", "work"]))
    assert screen.conversation.current == "tea"
    screen.chat.rooms.remove("tea")
    screen.conversation.heard(client.NotRejoined("tea", "too-many-rooms", "no"))
    assert screen.conversation.current == "work"
    assert screen.shown[-1] == "Error: you are no longer in #tea: no (too-many-rooms)"


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (messages.Did("tea", 1, AT, "m", "s2", "bob", "waves"), "#tea * bob waves"),
        (messages.TopicSet("tea", 1, AT, "m", "s2", "bob", "x"), "#tea -- topic by bob: x"),
        (messages.Joined("tea", AT, (BOB,)), "#tea --> bob joined"),
        (messages.Joined("tea", AT, (BOB,) * 21), "#tea --> 21 people joined"),
        (messages.Left("tea", AT, (BOB,), "server lost"), "#tea <-- bob left (server lost)"),
        (messages.Renamed("tea", AT, "s2", "bob", "rob"), "#tea -- bob is now rob"),
        (messages.Private("m", AT, "bob", "psst"), "(private) bob: psst"),
        (messages.Gap("tea", 4, 9), "-- #tea: messages 4 to 9 can no longer be had"),
        (messages.Gap("tea"), "-- #tea: some messages can no longer be had"),
        (messages.Delayed("tea"), "-- your message is delayed; still trying"),
        (client.Disconnected("reset"), "-- connection lost (reset); connecting again"),
        (client.Connected("ann", True, "srv-1"), "-- connected to srv-1 as ann, as you were"),
        (client.Connected("ann", False, "srv-1"), "-- connected to srv-1 as ann"),
    ],
)
def test_an_event_is_a_line(event: client.Event, shown: str) -> None:
    """What happens is told in the words of the text protocol."""
    screen = Screen()
    screen.conversation.heard(event)
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in screen.shown] == [shown]


@pytest.mark.parametrize(
    ("text", "bold"),
    [("Ann: hi", True), ("hi ann", True), ("can you", False), ("annual", False)],
)
def test_who_is_spoken_to_sees_it(text: str, bold: bool) -> None:
    """A line with the user's own nick in it stands out, and no other."""
    painter = Painter(lambda: "ann")
    assert (painter.message(said("tea", text))[-1][0] == "class:mention") is bold
    assert painter.message(said("tea", text, nick="ann"))[-1][0] == ""


def test_a_nick_has_one_colour() -> None:
    """On every screen, however it is written."""
    assert nick_style("Bob") == nick_style("bob")
    assert len({nick_style(f"n{number}") for number in range(50)}) > 3
