"""What every implementation of IPresence promises: in memory, on Valkey and on Redis."""

import pytest
from zope.interface.verify import verifyObject

from disroom.chat.errors import NickTaken, PresenceUnavailable
from disroom.chat.interfaces import IPresence
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Listing, RoomSummary
from tests.contract.presence_chat import (
    ALICE,
    ATTIC,
    BOB,
    CAROL,
    DAVE,
    EVE,
    LOBBY,
    Chat,
    at_once,
    claimed,
    names,
    outcome,
    session,
    versions_of,
)
from tests.contract.witness import promise


@promise
async def test_it_provides_the_port(chat: Chat) -> None:
    """What the rest of the service is written for is there."""
    presence, _ = await chat.instance("one")
    assert verifyObject(IPresence, presence)


@promise
async def test_of_two_who_ask_at_once_one_gets_the_nick(chat: Chat) -> None:
    """Two people never go by one name, on whichever servers they ask and however it is written."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    for number in range(20):
        nick, same = Nick.parse(f"Zoe{number}"), Nick.parse(f"zoe{number}")
        asked = ((one, nick), (two, same))
        outcomes = await at_once(outcome(p.claim(session(), wanted)) for p, wanted in asked)
        assert [type(error) for error in outcomes if error] == [NickTaken]


@promise
async def test_a_nick_is_free_when_its_session_has_ended(chat: Chat) -> None:
    """A name is kept for its holder, and for nobody else once the holder has gone."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    held = await claimed(one, ALICE)
    await one.claim(held, ALICE)
    with pytest.raises(NickTaken, match="alice is taken"):
        await two.claim(session(), ALICE)
    await one.release(held, "")
    await one.release(held, "")
    await two.claim(session(), ALICE)
    assert await one.locate(BOB) is None


@promise
async def test_a_rename_is_seen_in_every_room_at_once(chat: Chat) -> None:
    """Someone who changes names keeps its place in every list, and the old name is free."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice, bob = await claimed(one, ALICE), await claimed(two, BOB)
    for room in (LOBBY, ATTIC):
        await one.join(alice, room, 0)
        await two.join(bob, room, 0)
    await one.rename(alice, CAROL)
    for room in (LOBBY, ATTIC):
        renamed = (await witness.heard(room, "+alice", "+bob", "alice>carol"))[-1].renamed
        assert [(old.session, new.session) for old, new in renamed] == [(alice, alice)]
        assert versions_of(witness, room) == [0, 1, 2]
        assert await names(two, room) == ["carol", "bob"]
    await two.claim(session(), ALICE)
    with pytest.raises(NickTaken):
        await two.rename(bob, Nick.parse("Carol"))
    located = await one.locate(BOB)
    assert located and located.session == bob


@promise
async def test_what_is_answered_has_the_time_of_the_change(chat: Chat) -> None:
    """Who does something is told the time that others are told, though the news comes later."""
    one, witness = await chat.instance("one")
    alice = await claimed(one, ALICE)
    since = (await one.locate(ALICE) or pytest.fail("she has a nick")).since
    joined = await one.join(alice, LOBBY, 0)
    known = await one.join(alice, LOBBY, joined.version)
    read = await one.users(LOBBY)
    await one.arm(alice, "a key")
    resumed = await one.resume(alice, "a key", "another")
    located = await one.locate(ALICE)
    left = await one.leave(alice, LOBBY, "")
    again = await one.leave(alice, LOBBY, "")
    coming, going = await witness.heard(LOBBY, "+alice", "-alice")
    assert located
    times = [since, coming.at, joined.at, known.at, read.at, resumed.at, located.at, going.at, left]
    assert times == sorted(times)
    assert joined.at - coming.at < 0.001 > left - going.at
    assert left <= again < since + 5


@promise
async def test_the_writing_of_a_nick_can_be_changed(chat: Chat) -> None:
    """Alice may write herself otherwise; to others the name stays taken."""
    one, witness = await chat.instance("one")
    alice = await claimed(one, ALICE)
    await one.join(alice, LOBBY, 0)
    await one.rename(alice, Nick.parse("Alice"))
    await one.rename(alice, Nick.parse("Alice"))
    assert await names(one, LOBBY) == ["Alice"]
    await witness.heard(LOBBY, "+alice", "alice>Alice")
    with pytest.raises(NickTaken):
        await one.claim(session(), ALICE)


@promise
async def test_a_room_lists_its_members_in_the_order_of_their_joining(chat: Chat) -> None:
    """Everybody sees the same list, whichever server they are on."""
    instances = [await chat.instance(name) for name in ("one", "two")]
    nicks = [Nick.parse(name) for name in ("zoe", "007", "Äpfel", "bob", "1.5", "алиса", "ann")]
    for number, nick in enumerate(nicks):
        presence, _ = instances[number % 2]
        roster = await presence.join(await claimed(presence, nick), LOBBY, 0)
        assert [str(member.nick) for member in roster.members or ()] == [
            str(earlier) for earlier in nicks[: number + 1]
        ]
    for presence, witness in instances:
        assert await names(presence, LOBBY) == [str(nick) for nick in nicks]
        await witness.heard(LOBBY, *(f"+{nick}" for nick in nicks))


@promise
async def test_members_are_sent_only_to_who_does_not_know_them(chat: Chat) -> None:
    """To enter a crowded room is cheap: who is there is told where it is not known."""
    one, witness = await chat.instance("one")
    first = await one.join(await claimed(one, ALICE), LOBBY, 0)
    assert first.members and len(first.members) == 1
    second = await one.join(await claimed(one, BOB), LOBBY, first.version)
    assert second.members is None
    assert second.version == first.version + 1
    third = await one.join(await claimed(one, CAROL), LOBBY, first.version)
    assert (third.members, third.version) == (None, first.version + 2)
    await witness.heard(LOBBY, "+alice", "+bob", "+carol")
    unknown = await one.join(await claimed(one, DAVE), LOBBY, 0)
    assert unknown.members and len(unknown.members) == 4
    impossible = await one.join(await claimed(one, EVE), LOBBY, unknown.version + 1)
    assert impossible.members and len(impossible.members) == 5


@promise
async def test_the_first_members_of_a_room_are_listed(chat: Chat) -> None:
    """A list of a crowd shows who came first and counts the rest; what is known is not sent."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    assert await two.listing(LOBBY, 2, 0) == Listing(LOBBY, 0, ())
    sessions = [await claimed(one, nick) for nick in (CAROL, ALICE, DAVE, BOB)]
    for each in sessions:
        await one.join(each, RoomName.parse("Lobby"), 0)
    await one.leave(sessions[1], LOBBY, "")
    await one.set_away(sessions[2], "")
    await one.rename(sessions[3], EVE)
    listing = await two.listing(LOBBY, 2, 0)
    assert (str(listing.name), listing.total, listing.settled) == ("Lobby", 3, True)
    members = [(str(member.nick), member.away) for member in listing.members or ()]
    assert members == [("carol", False), ("dave", True)]
    version = (await one.users(LOBBY)).version
    assert (await two.listing(LOBBY, 2, version)).members is None
    assert (await two.listing(LOBBY, 2, version - 1)).members == listing.members
    assert (await two.listing(LOBBY, 0, 0)).members == ()
    assert len((await two.listing(LOBBY, 5000, 0)).members or ()) == 3


@promise
async def test_joining_again_changes_nothing(chat: Chat) -> None:
    """A join that is repeated, say after a lost answer, is not announced twice."""
    one, witness = await chat.instance("one")
    alice, bob = await claimed(one, ALICE), await claimed(one, BOB)
    await one.join(alice, LOBBY, 0)
    before = await one.join(bob, LOBBY, 0)
    again = await one.join(alice, LOBBY, 0)
    assert (again.version, again.members) == (before.version, before.members)
    assert (await one.join(alice, LOBBY, before.version)).members is None
    older = await one.join(alice, LOBBY, before.version - 1)
    assert (older.members, older.version) == (None, before.version - 1)
    await one.leave(bob, LOBBY, "")
    await one.leave(bob, LOBBY, "")
    await witness.heard(LOBBY, "+alice", "+bob", "-bob")


@promise
async def test_every_change_is_announced_once_everywhere(chat: Chat) -> None:
    """A server that misses a change can tell, since each counts one further."""
    one, here = await chat.instance("one")
    two, there = await chat.instance("two")
    alice, bob = await claimed(one, ALICE), await claimed(two, BOB)
    await one.join(alice, LOBBY, 0)
    await two.join(bob, LOBBY, 0)
    await one.join(alice, ATTIC, 0)
    await two.leave(bob, LOBBY, "dinner")
    await one.release(alice, "connection lost")
    for witness in (here, there):
        await witness.heard(LOBBY, "+alice", "+bob", "-bob (dinner)", "-alice (connection lost)")
        await witness.heard(ATTIC, "+alice", "-alice (connection lost)")
        assert versions_of(witness, LOBBY) == [0, 1, 2, 3]
        assert versions_of(witness, ATTIC) == [0, 1]
    assert here.of(LOBBY) == there.of(LOBBY)
    assert await names(two, LOBBY) == []


@promise
async def test_changes_made_at_once_are_heard_in_one_order(chat: Chat) -> None:
    """However many come at the same moment, all servers tell the same story."""
    one, here = await chat.instance("one")
    two, there = await chat.instance("two")
    guests = [
        (presence, await claimed(presence, Nick.parse(f"guest{number}{name}")))
        for number in range(10)
        for presence, name in ((one, "a"), (two, "b"))
    ]
    await at_once(presence.join(guest, LOBBY, 0) for presence, guest in guests)
    await at_once(presence.leave(guest, LOBBY, "") for presence, guest in guests[1:])
    for witness in (here, there):
        await witness.until(lambda witness: len(witness.of(LOBBY)) == 39)
        assert versions_of(witness, LOBBY) == list(range(39))
    assert here.of(LOBBY) == there.of(LOBBY)


@promise
async def test_versions_outlive_the_room(chat: Chat) -> None:
    """A room that was empty meanwhile is not mistaken for the one that was known."""
    one, witness = await chat.instance("one")
    alice = await claimed(one, ALICE)
    assert await one.versions([LOBBY, ATTIC]) == {LOBBY: 0, ATTIC: 0}
    for _ in range(3):
        roster = await one.join(alice, LOBBY, 0)
        assert await one.versions([ATTIC, LOBBY]) == {LOBBY: roster.version, ATTIC: 0}
        await one.leave(alice, LOBBY, "")
        empty = await one.users(LOBBY)
        assert (empty.version, empty.members, empty.settled) == (0, (), True)
    await witness.until(lambda witness: len(witness.of(LOBBY)) == 6)
    versions = [change.version for change in witness.of(LOBBY)]
    assert versions == sorted(set(versions))
    stale = await one.join(alice, LOBBY, versions[1])
    assert stale.members is not None


@promise
async def test_a_room_is_named_as_its_first_member_wrote_it(chat: Chat) -> None:
    """#Lobby and #lobby are one room, and all see the same name."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice, bob = await claimed(one, ALICE), await claimed(two, BOB)
    await one.join(alice, RoomName.parse("Lobby"), 0)
    assert str((await two.join(bob, LOBBY, 0)).name) == "Lobby"
    assert str((await two.users(RoomName.parse("LOBBY"))).name) == "Lobby"
    await one.leave(alice, LOBBY, "")
    await two.leave(bob, LOBBY, "")
    assert str((await two.join(bob, LOBBY, 0)).name) == "lobby"


@promise
async def test_rooms_are_listed_with_the_fullest_first(chat: Chat) -> None:
    """`rooms` shows where the people are, and how many rooms there are besides."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    assert await one.rooms(10) == ((), 0)
    alice, bob = await claimed(one, ALICE), await claimed(two, BOB)
    garden = RoomName.parse("garden")
    for room in (LOBBY, garden, ATTIC):
        await one.join(alice, room, 0)
    await two.join(bob, garden, 0)
    listed, total = await two.rooms(10)
    assert listed == (RoomSummary(garden, 2), RoomSummary(ATTIC, 1), RoomSummary(LOBBY, 1))
    assert total == 3
    assert await one.rooms(1) == ((RoomSummary(garden, 2),), 3)
    assert await one.rooms(0) == ((), 3)
    await one.release(alice, "")
    assert await one.rooms(10) == ((RoomSummary(garden, 1),), 1)


@promise
async def test_a_nick_tells_where_its_session_is(chat: Chat) -> None:
    """A private message, or whois, finds anybody on any server."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = await claimed(one, Nick.parse("Alice"))
    await one.join(alice, LOBBY, 0)
    await one.join(alice, ATTIC, 0)
    found = await two.locate(ALICE)
    assert found
    assert (str(found.nick), found.session, found.away) == ("Alice", alice, None)
    assert (found.instance, found.instance_name) == (one.incarnation, "one")
    assert set(found.rooms) == {LOBBY, ATTIC}
    since = found.since
    await one.rename(alice, BOB)
    assert await two.locate(ALICE) is None
    renamed = await two.locate(BOB)
    assert renamed and renamed.since == since


@promise
async def test_who_is_away_is_marked_everywhere(chat: Chat) -> None:
    """A user who said to be away is shown so in every list, until it is back."""
    one, witness = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = await claimed(one, ALICE)
    await one.join(alice, LOBBY, 0)
    version = (await one.users(LOBBY)).version
    await one.set_away(alice, "lunch")
    await one.set_away(alice, "lunch")
    await one.join(alice, ATTIC, 0)
    await one.rename(alice, CAROL)
    assert await names(two, LOBBY) == await names(two, ATTIC) == ["carol (away)"]
    found = await two.locate(CAROL)
    assert found and found.away == "lunch"
    await one.set_away(alice, "")
    found = await two.locate(CAROL)
    assert found and found.away == ""
    await one.set_away(alice, None)
    found = await two.locate(CAROL)
    assert found and found.away is None
    assert await names(two, LOBBY) == ["carol"]
    told = ["+alice", "alice>alice", "alice>carol", "carol>carol"]
    await witness.heard(LOBBY, *told)
    assert [new.away for change in witness.of(LOBBY) for _, new in change.renamed] == [
        *(True, True, False)
    ]
    assert (await one.users(LOBBY)).version == version + 3


@promise
async def test_what_an_empty_room_leaves_behind_is_struck_off_once(chat: Chat) -> None:
    """A room's history is removed once, up to where it was empty, and never under its members."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = await claimed(one, ALICE)
    await one.join(alice, LOBBY, 0)
    await two.note_empty(LOBBY, 7)
    assert await two.emptied() == {}
    await one.leave(alice, LOBBY, "")
    emptied = await two.emptied()
    assert set(emptied) == {LOBBY}
    seconds, seq = emptied[LOBBY]
    assert 0 <= seconds < 60
    assert seq is None
    assert not await one.forget_empty(LOBBY, 7)
    await one.note_empty(LOBBY, 7)
    assert (await two.emptied())[LOBBY][1] == 7
    assert not await two.forget_empty(LOBBY, 6)
    assert sorted(await at_once(p.forget_empty(LOBBY, 7) for p in (one, two))) == [False, True]
    assert await one.emptied() == {}


@promise
async def test_a_room_that_is_entered_again_is_not_empty(chat: Chat) -> None:
    """Nobody's conversation is removed because the room was empty before."""
    one, _ = await chat.instance("one")
    alice = await claimed(one, ALICE)
    await one.note_empty(ATTIC, 3)
    await one.join(alice, ATTIC, 0)
    assert await one.emptied() == {}
    assert not await one.forget_empty(ATTIC, 3)
    await one.release(alice, "")
    assert {room: seq for room, (_, seq) in (await one.emptied()).items()} == {ATTIC: None}


@promise
async def test_a_server_that_stops_takes_its_users_along(chat: Chat) -> None:
    """When a server is stopped the others hear at once, each room once, and names are free."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice, bob, carol = [await claimed(one, nick) for nick in (ALICE, BOB, CAROL)]
    dave = await claimed(two, DAVE)
    for presence, member in ((one, alice), (two, dave), (one, bob), (one, carol)):
        await presence.join(member, LOBBY, 0)
    await one.join(bob, ATTIC, 0)
    await one.stop()
    await one.stop()
    await witness.heard(ATTIC, "+bob", "-bob (going down)")
    await witness.until(lambda witness: len(witness.of(LOBBY)) == 5)
    left = witness.of(LOBBY)[-1].left
    assert {member.session for member in left} == {alice, bob, carol}
    assert await names(two, LOBBY) == ["dave"]
    await two.claim(session(), ALICE)
    with pytest.raises(PresenceUnavailable):
        await one.users(LOBBY)
