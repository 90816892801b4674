"""What every implementation of IPresence promises to who loses a connection or a server."""

import pytest

from disroom.chat.errors import NickTaken, NoSession, PresenceUnavailable
from disroom.chat.names import Nick, RoomName
from tests.contract.presence_chat import (
    ALICE,
    ATTIC,
    BOB,
    CAROL,
    LOBBY,
    Chat,
    Presence,
    names,
    outcome,
    session,
    versions_of,
)
from tests.contract.witness import promise
from tests.eventually import eventually

FIRST, SECOND, THIRD, FOURTH = (letter * 64 for letter in "abcd")
GARDEN = RoomName.parse("garden")


async def resumable(presence: Presence, nick: Nick, *rooms: RoomName) -> str:
    """A new session with the key FIRST that is in these rooms."""
    made = session()
    await presence.claim(made, nick, FIRST)
    for room in rooms:
        await presence.join(made, room, 0)
    return made


async def refused(presence: Presence, held: str, presented: str) -> bool:
    """Whether a key does not open a session."""
    return isinstance(await outcome(presence.resume(held, presented, FOURTH)), NoSession)


@promise
async def test_a_session_is_resumed_on_another_server(chat: Chat) -> None:
    """A client whose connection broke is itself again wherever it connects: name, rooms, away."""
    one, former = await chat.instance("one")
    two, heir = await chat.instance("two")
    alice = await resumable(one, Nick.parse("Alice"), GARDEN, LOBBY, ATTIC)
    await one.set_away(alice, "lunch")
    before = await one.locate(ALICE)
    assert before
    resumed = await two.resume(alice, FIRST, SECOND)
    assert (str(resumed.nick), resumed.since, resumed.away) == ("Alice", before.since, "lunch")
    assert resumed.rooms == (GARDEN, LOBBY, ATTIC)
    after = await one.locate(ALICE)
    assert after and (after.session, after.instance) == (alice, two.incarnation)
    await former.until(lambda witness: witness.moved_sessions == [alice])
    assert (former.lost_sessions, heir.lost_sessions, heir.moved_sessions) == ([], [], [])
    assert isinstance(await outcome(one.join(alice, LOBBY, 0)), PresenceUnavailable)
    await one.leave(alice, LOBBY, "")
    await one.release(alice, "connection lost")
    assert await names(one, LOBBY) == ["Alice (away)"]
    roster = await two.join(alice, LOBBY, 0)
    assert [member.session for member in roster.members or ()] == [alice]
    await two.rename(alice, BOB)
    await two.release(alice, "")
    await former.heard(LOBBY, "+Alice", "Alice>Alice", "Alice>bob", "-bob")
    await one.claim(session(), ALICE)


@promise
async def test_a_session_is_resumed_where_it_is(chat: Chat) -> None:
    """A client that comes back to the same server before anything was noticed changes nothing."""
    one, witness = await chat.instance("one")
    alice = await resumable(one, ALICE, LOBBY)
    assert (await one.resume(alice, FIRST, SECOND)).rooms == (LOBBY,)
    await one.leave(alice, LOBBY, "")
    await witness.heard(LOBBY, "+alice", "-alice")
    assert witness.moved_sessions == []


@promise
async def test_it_can_go_there_and_back(chat: Chat) -> None:
    """A client may move from server to server as often as its network makes it."""
    one, first = await chat.instance("one")
    two, second = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    for number in range(3):
        await two.resume(alice, f"{number}{number}" if number else FIRST, "there")
        await one.resume(alice, "there", f"{number + 1}{number + 1}")
    await first.until(lambda witness: witness.moved_sessions == [alice] * 3)
    await second.until(lambda witness: witness.moved_sessions == [alice] * 3)
    assert (await one.join(alice, ATTIC, 0)).members
    assert await names(two, LOBBY) == ["alice"]


@promise
async def test_a_suspended_session_is_shown_away_until_it_is_resumed(chat: Chat) -> None:
    """A broken connection is no leaving: the name is kept, and the rooms see who is away."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    await one.suspend(alice, 30)
    await one.suspend(alice, 30)
    assert await names(two, LOBBY) == ["alice (away)"]
    with pytest.raises(NickTaken):
        await two.claim(session(), ALICE)
    found = await two.locate(ALICE)
    assert found and (found.away, found.instance) == (None, one.incarnation)
    assert (await two.resume(alice, FIRST, SECOND)).away is None
    await two.leave(alice, LOBBY, "")
    told = await witness.heard(LOBBY, "+alice", "alice>alice", "alice>alice", "-alice")
    assert [new.away for change in told for _, new in change.renamed] == [True, False]
    assert versions_of(witness, LOBBY) == [0, 1, 2, 3]


@promise
async def test_who_said_to_be_away_is_still_away_when_it_is_back(chat: Chat) -> None:
    """Losing a connection and coming back does not tell the rooms of somebody away already."""
    one, witness = await chat.instance("one")
    alice = await resumable(one, ALICE, LOBBY)
    await one.set_away(alice, "")
    await one.suspend(alice, 30)
    assert (await one.resume(alice, FIRST, SECOND)).away == ""
    assert await names(one, LOBBY) == ["alice (away)"]
    await one.set_away(alice, None)
    assert await names(one, LOBBY) == ["alice"]
    await witness.heard(LOBBY, "+alice", "alice>alice", "alice>alice")


@promise
async def test_what_was_under_way_when_the_connection_broke_does_not_hide_that(chat: Chat) -> None:
    """A join or an end of being away that comes in late leaves the mark of the lost connection."""
    one, _ = await chat.instance("one")
    alice = await resumable(one, ALICE, LOBBY)
    await one.set_away(alice, "lunch")
    await one.suspend(alice, 30)
    await one.set_away(alice, None)
    await one.join(alice, ATTIC, 0)
    assert await names(one, LOBBY) == await names(one, ATTIC) == ["alice (away)"]
    assert (await one.resume(alice, FIRST, SECOND)).away is None
    assert await names(one, LOBBY) == await names(one, ATTIC) == ["alice"]


@promise
async def test_a_lost_answer_to_a_resumption_strands_nobody(chat: Chat) -> None:
    """The token before the last is good until the client has shown that it knows the last."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = await resumable(one, ALICE)
    await two.resume(alice, FIRST, SECOND)
    await one.resume(alice, FIRST, THIRD)
    assert await refused(two, alice, SECOND)
    await two.resume(alice, FIRST, SECOND)
    await two.settle(alice)
    await two.settle(alice)
    assert await refused(one, alice, FIRST)
    await one.resume(alice, SECOND, THIRD)
    await one.resume(alice, THIRD, FOURTH)
    assert await refused(one, alice, SECOND)


@promise
async def test_only_its_own_key_opens_a_session(chat: Chat) -> None:
    """Nobody takes a session over by guessing, and one that is not resumable by nothing at all."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    plain, alice = session(), await resumable(one, ALICE, LOBBY)
    await one.claim(plain, BOB)
    for key in ("", FIRST, SECOND):
        assert await refused(two, plain, key)
        assert await refused(two, session(), key)
    assert await refused(two, alice, SECOND)
    assert await refused(two, alice, "")
    await one.leave(alice, LOBBY, "")
    await witness.heard(LOBBY, "+alice", "-alice")
    await one.release(alice, "")
    assert await refused(two, alice, FIRST)


@promise
async def test_a_session_can_be_made_resumable_later(chat: Chat) -> None:
    """A client may ask for a token after it has a name; the one before is good until it is used."""
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = session()
    await one.claim(alice, ALICE)
    await one.arm(alice, FIRST)
    await one.arm(alice, SECOND)
    await one.settle(alice)
    assert await refused(two, alice, FIRST)
    await two.resume(alice, SECOND, THIRD)
    await two.arm(alice, FOURTH)
    assert await refused(one, alice, SECOND)
    assert (await one.resume(alice, THIRD, SECOND)).nick == ALICE  # the answer had been lost
    await two.resume(alice, SECOND, THIRD)
    await two.arm(alice, FOURTH)
    assert (await one.resume(alice, FOURTH, FIRST)).nick == ALICE
    assert isinstance(await outcome(two.arm(alice, FIRST)), PresenceUnavailable)
    assert isinstance(await outcome(two.arm(session(), FIRST)), PresenceUnavailable)


@promise
async def test_a_suspended_session_cannot_be_resumed_after_its_grace(chat: Chat) -> None:
    """A token expires with its session, though its server may take a moment to end it."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    await one.suspend(alice, 0.0)
    assert await refused(two, alice, FIRST)
    await one.release(alice, "connection lost")
    await witness.heard(LOBBY, "+alice", "alice>alice", "-alice (connection lost)")
    await two.claim(session(), ALICE)


@promise
async def test_sessions_outlive_a_server_that_stops(chat: Chat) -> None:
    """Who can resume is shown away when the server goes down, and is back on another."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice, bob = [await resumable(one, nick, LOBBY) for nick in (ALICE, BOB)]
    carol = session()
    await one.claim(carol, CAROL)
    await one.join(carol, LOBBY, 0)
    await one.set_away(bob, "lunch")
    await one.stop()
    assert await names(two, LOBBY) == ["alice (away)", "bob (away)"]
    with pytest.raises(NickTaken):
        await two.claim(session(), ALICE)
    await two.claim(session(), CAROL)
    found = await two.locate(BOB)
    assert found and (found.session, found.instance, found.instance_name) == (bob, "", "")
    assert (found.away, found.rooms) == ("lunch", (LOBBY,))
    assert await refused(two, alice, SECOND)
    assert (await two.resume(alice, FIRST, SECOND)).rooms == (LOBBY,)
    assert await names(two, LOBBY) == ["alice", "bob (away)"]
    await witness.until(lambda witness: len(witness.of(LOBBY)) == 6)
    told = witness.of(LOBBY)
    assert [len(change.joined) for change in told] == [1, 1, 1, 0, 0, 0]
    assert [m.session for m in told[4].left] == [carol]
    assert [(new.session, new.away) for _, new in told[4].renamed] == [(alice, True)]
    assert told[4].reason == "going down"
    assert [(new.session, new.away, told[5].reason) for _, new in told[5].renamed] == [
        (alice, False, "")
    ]


@promise
async def test_who_is_not_back_in_time_has_left(chat: Chat) -> None:
    """After the grace an orphaned session is gone, once for everybody, and its name is free."""
    chat.grace = 0.3
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    three, third = await chat.instance("three")
    alice, bob = await resumable(one, ALICE, LOBBY, ATTIC), await resumable(one, BOB, LOBBY)
    await one.stop()
    await three.users(LOBBY)

    async def gone() -> bool:
        return await names(two, LOBBY) == []

    await eventually(gone)
    assert await refused(two, alice, FIRST)
    await two.claim(session(), ALICE)
    await witness.heard(ATTIC, "+alice", "alice>alice", "-alice (connection lost)")
    for each in (witness, third):
        await each.until(lambda witness: sum(len(c.left) for c in witness.of(LOBBY)) == 2)
        left = [change for change in each.of(LOBBY) if change.left]
        assert [change.reason for change in left] == ["connection lost"]
        assert {member.session for member in left[0].left} == {alice, bob}


@promise
async def test_an_orphan_ends_when_it_would_have_ended_anyhow(chat: Chat) -> None:
    """The grace that runs when a server stops is not given anew."""
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    await one.suspend(alice, 0.2)
    await one.stop()

    async def ended() -> bool:
        return await two.locate(ALICE) is None

    await eventually(ended)
    assert await refused(two, alice, FIRST)
    await two.claim(session(), ALICE)
    await witness.heard(LOBBY, "+alice", "alice>alice", "-alice (connection lost)")


@promise
async def test_an_orphan_that_was_resumed_lives_on(chat: Chat) -> None:
    """The grace ends with the resumption; what was to be ended is not."""
    chat.grace = 0.3
    one, _ = await chat.instance("one")
    two, witness = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    bob = await resumable(one, BOB, LOBBY)
    await one.stop()
    await two.resume(alice, FIRST, SECOND)

    async def bob_is_gone() -> bool:
        return await two.locate(BOB) is None

    await eventually(bob_is_gone)
    assert await names(two, LOBBY) == ["alice"]
    assert [m.session for change in witness.of(LOBBY) for m in change.left] == [bob]


@promise
async def test_what_a_client_was_given_is_told_to_who_resumes_it(chat: Chat) -> None:
    """Who takes a terminal over from another server shows it what came since, and no more."""
    chat.grace = 30
    one, _ = await chat.instance("one")
    two, _ = await chat.instance("two")
    alice = await resumable(one, ALICE, LOBBY)
    assert (await two.resume(alice, FIRST, SECOND)).given == ""
    await two.suspend(alice, 30, "old")
    await two.suspend(alice, 30, "until seven")
    assert (await one.resume(alice, SECOND, THIRD)).given == "until seven"
    assert (await two.resume(alice, THIRD, FOURTH)).given == ""
    await two.suspend(alice, 30, "until nine")
    await two.stop()
    assert (await one.resume(alice, FOURTH, FIRST)).given == "until nine"
