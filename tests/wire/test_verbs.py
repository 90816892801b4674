"""What a line of the text protocol asks for."""

import inspect
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from disroom.chat.errors import BadNick, BadRoom, ChatError, NotInRoom
from disroom.chat.names import Nick, RoomName
from disroom.chat.text import clean
from disroom.wire import commands
from disroom.wire.commands import (
    Act,
    Command,
    Exit,
    GetHistory,
    GetTopic,
    Hello,
    Help,
    Ignore,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    MakeResumable,
    Ping,
    Resume,
    Say,
    SetAway,
    SetNick,
    SetTopic,
    ShowMotd,
    Talk,
    Whisper,
    WhoIs,
)
from disroom.wire.errors import UnknownCommand, Usage
from disroom.wire.line import error_line
from disroom.wire.verbs import ALIASES, VERBS, find_verb, parse

TEA = RoomName.parse("tea")
BOB = Nick.parse("bob")

EXAMPLES: list[tuple[str, Command]] = [
    ("nick bob", SetNick(BOB)),
    ("join tea", Join(TEA)),
    ("join #tea", Join(TEA)),
    ("session", MakeResumable()),
    ("resume x.y", Resume("x.y")),
    ("leave", Leave(None)),
    ("leave tea", Leave(TEA)),
    ("leave #tea", Leave(TEA)),
    ("send hi", Say("hi")),
    ("send hi #tea", Say("hi #tea")),
    ("send #tea hi  there", Say("hi  there", TEA)),
    ("send #tea", Say("#tea")),
    ("send #1", Say("#1")),
    ("send join #tea", Say("join #tea")),
    ("say #tea hi", Say("#tea hi")),
    ("say /join tea", Say("/join tea")),
    ("say  two  spaces ", Say("two  spaces")),
    ("talk on", Talk(True)),
    ("talk OFF", Talk(False)),
    ("me waves  twice", Act("waves  twice")),
    ("msg bob psst #tea ", Whisper(BOB, "psst #tea")),
    ("msg  bob   psst  psst", Whisper(BOB, "psst  psst")),
    ("users", ListUsers(None)),
    ("users #tea", ListUsers(TEA)),
    ("rooms", ListRooms()),
    ("topic", GetTopic()),
    ("topic release day", SetTopic("release day")),
    ("topic -", SetTopic("")),
    ("topic - or tea", SetTopic("- or tea")),
    ("topic --", SetTopic("--")),
    ("history", GetHistory(None, None)),
    ("history 50", GetHistory(50, None)),
    ("history 50 before 4811", GetHistory(50, 4811)),
    ("history 50 BEFORE 4811", GetHistory(50, 4811)),
    ("history before 4811", GetHistory(None, 4811)),
    ("history 007", GetHistory(7, None)),
    ("history 9999999999999999999", GetHistory(9999999999999999999, None)),
    ("away", SetAway(None)),
    ("away gone for lunch", SetAway("gone for lunch")),
    ("ignore bob", Ignore(BOB, True)),
    ("unignore bob", Ignore(BOB, False)),
    ("whois bob", WhoIs(BOB)),
    ("ping", Ping()),
    ("motd", ShowMotd()),
    ("help", Help(None)),
    ("help join", Help("join")),
    ("help /JOIN", Help("join")),
    ("help quit", Help("exit")),
    ("exit", Exit()),
    ("quit", Exit()),
]

MISFITS = [
    *("nick", "nick bob rob", "join", "join tea party", "leave tea party"),
    *("send", "say", "me", "msg", "msg bob", "users a b", "rooms all", "ping me", "motd x"),
    *("talk", "talk yes", "talk on now", "exit now", "quit now", "help join leave"),
    *("ignore", "ignore a b", "unignore", "whois", "whois a b"),
    *("history 0", "history -1", "history 1.5", "history x", "history 1e3", "history +5"),
    *("history 50 4811", "history 50 before", "history before", "history before x"),
    *("history 50 before 0", "history 50 before 1 2", "history 50 after 4811"),
    *("history 00000000000000000001", "history 99999999999999999999"),
    *("history \u0665", "history \uff15", "history \u00b2", "history 5_0"),
]


@pytest.mark.parametrize(("line", "command"), EXAMPLES)
def test_a_verb_asks_for_what_it_says(line: str, command: Command) -> None:
    """Every verb does what its help says, in any case and with or without its slash."""
    verb, space, rest = line.partition(" ")
    for spelt in (line, f"/{line}", f"  {line}", f"{line} ", f"{verb.upper()}{space}{rest}"):
        assert parse(spelt) == command
    assert parse(f"/{line}", talk=True) == command


def test_every_verb_has_an_example() -> None:
    """No verb is left out of these tests, and none exists that `help` does not list.

    But for `Hello`, which programs begin with.
    """
    tried = {find_verb(line.split()[0]).name for line, _ in EXAMPLES}
    assert tried == {verb.name for verb in VERBS}
    kinds = {
        kind
        for _, kind in inspect.getmembers(commands, inspect.isclass)
        if kind.__module__ == commands.__name__ and kind is not Hello
    }
    assert {type(command) for _, command in EXAMPLES} == kinds


def test_the_protocol_lists_every_verb() -> None:
    """Somebody who writes a client from docs/protocol.md knows all verbs."""
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = text.partition("| verb | answer |")[2].partition("###")[0]
    listed = set(re.findall(r"(?:^\| |, )`([a-z]+)", table, re.MULTILINE))
    assert listed == {verb.name for verb in VERBS} | set(ALIASES)


@pytest.mark.parametrize("line", MISFITS)
def test_a_misfit_is_answered_with_the_syntax(line: str) -> None:
    """Who leaves out or adds something is shown how the verb is written."""
    with pytest.raises(Usage) as caught:
        parse(line)
    assert caught.value.message == f"write it like this: {find_verb(line.split()[0]).syntax}"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("nick a:b", BadNick),
        ("nick -->", BadNick),
        ("nick " + "a" * 33, BadNick),
        ("join #", BadRoom),
        ("join ##tea", BadRoom),
        ("join a/b", BadRoom),
        ("leave a/b", BadRoom),
        ("users *", BadRoom),
        ("msg * hi", BadNick),
        ("ignore *", BadNick),
        ("whois *", BadNick),
    ],
)
def test_a_bad_name_is_told_from_bad_syntax(line: str, error: type[ChatError]) -> None:
    """Who picks a name that cannot be is told about the name."""
    with pytest.raises(error):
        parse(line)


@given(st.text(max_size=40) | st.text(" #a", max_size=6), st.booleans())
def test_however_a_verb_is_written_it_is_the_same(text: str, talk: bool) -> None:
    """What is written as nearly everybody writes it is read by a shorter way, to the same end."""

    def outcome(line: str) -> object:
        try:
            return parse(line, talk=talk)
        except ChatError as error:
            return type(error), error.message

    assert talk or outcome(f"send {text}") == outcome(f"/SEND {text}")
    assert not talk or outcome(f"send {text}") == Say(clean(f"send {text}").strip())


@pytest.mark.parametrize("line", ["send #!! hi", "send #a/b hi", "send ##tea hi", "send # hi"])
def test_a_text_that_begins_with_a_sign_is_not_lost(line: str) -> None:
    """Who says ``#!! hi`` is shown how to say it as it stands, and nothing goes anywhere else."""
    with pytest.raises(NotInRoom, match="say TEXT"):
        parse(line)


@pytest.mark.parametrize("gap", ["\t", "\u00a0", "\u3000", "\u2003", " \t "])
def test_any_blank_parts_words(gap: str) -> None:
    """A tab, or the wide space of a Japanese keyboard, parts a verb from what follows as well."""
    assert parse(f"join{gap}tea") == Join(TEA)
    assert parse(f"{gap}send{gap}#tea{gap}hi{gap}") == Say("hi", TEA)
    assert parse(f"history{gap}50{gap}before{gap}7") == GetHistory(50, 7)
    assert parse(f"msg{gap}bob{gap}hi") == Whisper(BOB, "hi")
    assert parse(f"help{gap}join") == Help("join")
    assert parse(f"topic{gap}") == GetTopic()


@pytest.mark.parametrize("line", ["", " ", "\t", "\x00", "\x1b[A", "\u200b", "\u00a0", "\u3000 "])
def test_an_empty_line_means_nothing(line: str) -> None:
    """Pressing Enter, an arrow key or the space bar is answered with nothing."""
    assert parse(line) is None
    assert parse(line, talk=True) is None


def test_talking_says_every_line_without_a_slash() -> None:
    """With ``talk on``, what people just type is said, and only a slash makes a command."""
    assert parse("join tea", talk=True) == Say("join tea")
    assert parse(" hi\tthere ", talk=True) == Say("hi there")
    assert parse("#tea hi", talk=True) == Say("#tea hi")
    assert parse("/talk off", talk=True) == Talk(False)
    with pytest.raises(UnknownCommand):
        parse("/", talk=True)


@pytest.mark.parametrize("line", ["hello", "/hello", "//join tea", "/", "joinx tea", "jo\u0130n"])
def test_an_unknown_verb_is_told_of(line: str) -> None:
    """Who mistypes a verb is told which it was and where all of them are."""
    with pytest.raises(UnknownCommand, match=re.escape(repr(line.split()[0])) + ".*help"):
        parse(line)
    if " " not in line:
        with pytest.raises(UnknownCommand):
            parse(f"help {line}")


def test_an_unknown_verb_cannot_write_on_the_screen() -> None:
    """An error is one short line whatever was typed."""
    for line in ("\x1b]0;x\x07evil\x1b[2J", "e\u202evil", "x" * 4000, "\u0301" * 4000, "a\rb\nc"):
        with pytest.raises(UnknownCommand) as caught:
            parse(line)
        told = error_line(caught.value)
        assert told.isprintable()
        assert len(told) < 300


def test_control_characters_are_gone_before_a_command_is_made() -> None:
    """Nothing invisible stands between a verb and its name, or within a text."""
    assert parse("\x1b[1mjoin\x1b[0m te\x00a\x07") == Join(TEA)
    assert parse("send a\x1b[31mb\u202ec\u200bd") == Say("abcd")


@given(
    st.text()
    | st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "/", " "]),
        st.sampled_from([*(verb.name for verb in VERBS), "quit", "QUIT", "x"]),
        st.sampled_from([" ", "", "\t", "\u00a0", " #"]),
        st.text(),
    ),
    st.booleans(),
)
@example("history \u0660", False)
@example("msg \x1c x", False)
@example("send #\ud800 x", False)
def test_any_line_is_a_command_or_an_error_in_one_line(line: str, talk: bool) -> None:
    """Whatever is typed, the connection goes on, and what is wrong is told in one line."""
    try:
        parse(line, talk=talk)
    except ChatError as error:
        assert len(error_line(error).splitlines()) == 1
