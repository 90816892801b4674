"""Which names people and rooms can have, and when two of them are the same."""

# ruff: noqa: RUF001 -- the letters that look alike are what is tested

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from disroom.chat.errors import BadName, BadNick, BadRoom
from disroom.chat.names import RESERVED, Nick, RoomName

LETTERS = "aZé\u0301ßıİςΣжЯ中々ひカー한ابשק٣۴७กि\u0e48-_.#* \t\u200d\ufe0f\U0001f600ａＡﾊ"

nameish = st.text(st.sampled_from(LETTERS), max_size=6) | st.text(max_size=40)
"""Texts of which many are almost names, and any others."""


@pytest.mark.parametrize(
    "name",
    [
        *("a", "Alice", "bob-2", "7of9", "a.b_c-d", "x" * 32, "bob.", "bob--"),
        *("Zoë", "Ångström", "Šárka", "Nguyễn", "Straße", "İstanbul", "ŁódźĄ", "o\u0301\u0323"),
        *("Ελένη", "Привет", "Ёж", "Հայկ", "მარიამი", "ህይወት"),
        *("中村", "たなか", "タナカ", "山田たろう", "田中タロー", "佐々木", "ヶ丘3", "〇山"),
        *("김철수", "金철수", "ㄅㄆ中", "中文"),
        *("علي", "علي١٢", "علی۱۲", "שלמה", "שלמה-2", "مُحَمَّد"),
        *("कमल", "कमल७", "ที่", "தமிழ்", "ѝ", "e\u0301"),
    ],
)
def test_people_can_be_called_what_they_are_called(name: str) -> None:
    """A name in one script, as people of many languages have it, can be had and is shown as is."""
    shown = unicodedata.normalize("NFC", name)
    assert Nick.parse(name).display == shown
    assert str(RoomName.parse(f"#{name}")) == shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Ａｌｉｃｅ７", "Alice7"),
        ("ﾊﾅｺ", "ハナコ"),
        ("e\u0301", "é"),
        ("\u212bke", "Åke"),
        ("\u212a", "K"),
    ],
)
def test_a_name_is_shown_in_its_usual_form(typed: str, shown: str) -> None:
    """What an input method makes of a name does not make another name of it."""
    assert Nick.parse(typed).display == shown
    assert Nick.parse(typed) == Nick.parse(shown)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("Zoë", "ZOË"),
        ("İ", "i\u0307"),
        ("Привет", "ПРИВЕТ"),
        ("Ελένη", "ΕΛΈΝΗ"),
        ("ẞ", "ß"),
    ],
)
def test_case_makes_no_difference(one: str, other: str) -> None:
    """Nobody passes for another by writing the name in capitals; each is shown as it was typed."""
    assert Nick.parse(one) == Nick.parse(other)
    assert hash(Nick.parse(one)) == hash(Nick.parse(other))
    assert Nick.parse(one).token == Nick.parse(other).token
    assert str(Nick.parse(one)) == one
    assert str(Nick.parse(other)) == other


@pytest.mark.parametrize(
    "name",
    [
        *("*", "-->", "<--", "--", "bob:", "(private)", "[15:04:05]", "#general", "->", "Error:"),
        *("a,b", "a;b", "a/b", "a\\b", "a@b", "a+b", "a'b", "a|b", "a>b", "a*b", "@all", "!", "?"),
        *("-a", "_a", ".a", "...", "-", "\u0301a", "\u200da", "a\u200db", "a\u200cb"),
        *("", " ", "a b", "a\tb", "a\nb", "a\u00a0b", "a\u3000b", "a\u2028b", "\x1b[31m", "a\x00"),
        *("\u202ealice", "alice\u2069", "a\u200bb", "\ufeffa", "a\u00adb", "a\ufe0f"),
        *("😀", "a😀", "♥", "①", "²", "½", "Ⅷ", "ﬁ", "℡", "a·b", "ー・ー", "§", "€", "𝒜"),
        *("\ud800", "\uffff", "\U000e0041"),
    ],
)
def test_nobody_can_pass_for_the_server_or_break_a_line(name: str) -> None:
    """What the server writes around a name cannot be part of one, nor anything invisible."""
    with pytest.raises(BadNick):
        Nick.parse(name)
    with pytest.raises(BadRoom):
        RoomName.parse(f"#{name}")


@pytest.mark.parametrize(
    "name",
    [
        *("аlice", "alicе", "ALΙCE", "bοb", "scоpe", "Αlice", "ɑл", "aא", "אa", "aب", "bob7भ"),
        *("bob৭", "bob۱", "中a", "aカ", "한a", "한か", "ㄅか", "ㄅ한", "中жa", "Ͼa", "Ꭺlice"),
    ],
)
def test_scripts_do_not_mix(name: str) -> None:
    """Nobody borrows a letter that looks the same from another script."""
    with pytest.raises(BadNick, match=r"one script|letters, digits"):
        Nick.parse(name)


@pytest.mark.parametrize("name", ["abא", "אb", "1א", "1علي", "٣", "a١", "١۱"])
def test_direction_does_not_change_within_a_name(name: str) -> None:
    """A name is read in one direction, so its end does not jump to another place of the line."""
    with pytest.raises(BadNick):
        Nick.parse(name)


def test_a_letter_has_at_most_two_marks() -> None:
    """A name does not reach into the lines above and below it."""
    Nick.parse("x\u0301\u0323x\u0301\u0323-x\u0301\u0323")
    for name in ("x\u0301\u0323\u0301", "ax\u0323\u0323\u0323b", "b" + "\u0323" * 10):
        with pytest.raises(BadNick, match="at most 2 marks"):
            Nick.parse(name)


def test_marks_that_a_letter_swallows_do_not_count() -> None:
    """Vietnamese is written with two marks on a vowel, however the keyboard sends them."""
    assert Nick.parse("e\u0302\u0301").display == "ế"
    assert Nick.parse("ế\u0323\u0330") == Nick.parse("ế\u0323\u0330")


@pytest.mark.parametrize(("kind", "most"), [(Nick, 32), (RoomName, 64)])
def test_the_length_is_bounded(kind: type[Nick | RoomName], most: int) -> None:
    """A line has room for what somebody says beside the names in it."""
    for letter in "aé中\U00010400":
        assert kind.parse(letter * most).display == letter * most
        with pytest.raises(BadName, match=f"at most {most}"):
            kind.parse(letter * (most + 1))


def test_a_name_that_only_grows_too_long_when_it_is_compared_is_refused() -> None:
    """The bound holds for keys and subjects too: this letter becomes two in lower case."""
    assert len(Nick.parse("İ" * 16).key) == 32
    with pytest.raises(BadNick, match="at most 32"):
        Nick.parse("İ" * 17)


def test_composing_may_bring_a_name_within_the_bound_only_before_it_is_read() -> None:
    """The bound is on what was typed as well, so nobody makes the server compose a novel."""
    with pytest.raises(BadNick, match="at most 32"):
        Nick.parse("e\u0301" * 17)


@pytest.mark.parametrize("name", ["system", "System", "ERROR", "DisRoom", "ｓｙｓｔｅｍ", "#error"])
def test_the_servers_own_names_are_reserved(name: str) -> None:
    """Nobody is called what the server calls itself."""
    assert name.lower().removeprefix("#") in RESERVED | {"ｓｙｓｔｅｍ"}
    with pytest.raises(BadRoom, match="reserved"):
        RoomName.parse(name)
    with pytest.raises(BadNick):
        Nick.parse(name)


def test_a_room_may_be_written_with_its_sign() -> None:
    """``#tea`` and ``tea`` are one room; a second sign is not part of a name, nor is one alone."""
    assert RoomName.parse("#Tea") == RoomName.parse("tea")
    assert str(RoomName.parse("#Tea")) == "Tea"
    for name in ("##tea", "#", "tea#"):
        with pytest.raises(BadRoom):
            RoomName.parse(name)


def test_a_message_says_which_rule_a_name_breaks() -> None:
    """Somebody who picks a bad name learns what to change."""
    reasons = {
        "": "empty",
        "a b": "spaces",
        "-a": "starts with a letter or a digit",
        "a:b": "letters, digits, marks",
        "aж": "one script",
        "a" * 33: "at most 32 characters",
        "error": "reserved",
    }
    for name, reason in reasons.items():
        with pytest.raises(BadNick, match=reason):
            Nick.parse(name)


@given(nameish)
@example("\ud800")
@example("İ")
@example("ᾼ")
@example("\u0345")
@example("١" * 40)
def test_any_text_is_a_name_or_is_refused_in_words(text: str) -> None:
    """Nothing that is typed as a name does harm; a name that was taken once is always taken."""
    for kind in (Nick, RoomName):
        try:
            name = kind.parse(text)
        except BadName as refused:
            assert str(refused)
            assert "\n" not in str(refused)
        else:
            again = kind.parse(name.display)
            assert (again.key, again.display) == (name.key, name.display)
            assert (kind.trusted(name.display).key, str(name)) == (name.key, name.display)
            assert kind.from_token(name.token) == name
            assert set(name.token) <= set(string.ascii_lowercase + string.digits + "-_=")
            assert name.display.isprintable()
            assert not set(name.display) & set(" :,*<>#()[]")


@given(st.text(min_size=1), st.text(min_size=1))
@example("=2d", "-")
@example("a.b", "a=2eb")
def test_a_token_belongs_to_one_name_alone(one: str, other: str) -> None:
    """Rooms never share a subject, nor people a key, whatever their names are."""
    if not any("\ud800" <= c <= "\udfff" for c in one + other):
        first, second = Nick(one, one), Nick(other, other)
        assert (first.token == second.token) == (one == other)
        assert Nick.from_token(first.token).key == one
        assert set(first.token) <= set(string.ascii_lowercase + string.digits + "-_=")


@given(st.text(string.ascii_letters + "éÉüÜжЖλΛ", min_size=1, max_size=10))
def test_a_name_in_any_case_is_the_same_name(text: str) -> None:
    """Who has a name has it in every way of writing it."""
    try:
        name = Nick.parse(text)
    except BadNick:
        return
    for variant in (text.upper(), text.lower(), text.swapcase()):
        assert Nick.parse(variant) == name


def test_what_another_instance_stored_is_taken_as_it_is() -> None:
    """A name from a later version, with rules of its own, still shows and compares."""
    odd = Nick.trusted("Bob:X")
    assert (odd.display, odd.key) == ("Bob:X", "bob:x")
    assert Nick.trusted("Alice") == Nick.parse("alice")
