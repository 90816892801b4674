"""From where each room is made up for, and what a client that comes back is shown of it."""

from collections.abc import Callable

import pytest

from disroom.chat.catchup import MOST_HELD, CatchUp, CatchUps
from disroom.chat.events import Gap, Joined, Member, Message, RoomEvent
from disroom.chat.names import Nick, RoomName
from disroom.chat.stored import Replay
from disroom.chat.tokens import Seen
from tests.chat.world import User, World, outcome, world_of

TEA, POT = RoomName.parse("tea"), RoomName.parse("pot")


def message(seq: int) -> Message:
    """Something that bob said in the room."""
    return Message(TEA, seq, 0.0, f"m{seq}", "said", Nick.parse("bob"), "b", f"{seq}")


def joined(nick: str) -> Joined:
    """Somebody's coming."""
    return Joined(TEA, 0.0, (Member(nick, Nick.parse(nick)),))


# One room.


def test_what_is_behind_the_client_is_not_shown_again() -> None:
    """An instance that hears late of what the client saw elsewhere holds its tongue."""
    catch_up = CatchUp(TEA, 5)
    for seq in (5, 6):
        catch_up.hold(message(seq))
    assert list(catch_up.release(Replay(()), 4)) == [message(6)]


def test_what_is_still_to_come_is_not_shown_before() -> None:
    """What the log has, and the room was not given yet, is shown when it comes: once."""
    catch_up = CatchUp(TEA, 5)
    assert list(catch_up.release(Replay((message(6), message(7))), 6)) == [message(6)]


def test_a_log_made_anew_meanwhile_is_shown_from_its_beginning() -> None:
    """After such a gap seqs are low again; after any other what is not newer is known."""
    catch_up = CatchUp(TEA, 50)
    held: list[RoomEvent] = [
        Gap(TEA, 51, 52),
        message(49),
        joined("cat"),
        Gap(TEA, None, None),
        message(1),
    ]
    for event in held:
        catch_up.hold(event)
    shown = list(catch_up.release(Replay(()), 50))
    assert shown == [event for event in held if event != message(49)]


def test_of_many_who_come_meanwhile_the_last_are_shown() -> None:
    """Nothing is missing then of what was said, so no gap is told."""
    catch_up = CatchUp(TEA, 5)
    for number in range(MOST_HELD + 1):
        catch_up.hold(joined(f"n{number}"))
    shown = list(catch_up.release(Replay(()), 5))
    assert shown == [joined(f"n{number}") for number in range(1, MOST_HELD + 1)]


# The rooms of a session.


@pytest.fixture
def ann(world: World) -> User:
    """Somebody in two rooms of three messages each, of which the seqs are 1 to 6."""
    ann = world.one.user("ann", "tea", "pot")
    for room in ("tea", "pot"):
        for text in "abc":
            outcome(ann.say(text, room))
    ann.story()
    return ann


def test_the_clients_word_counts_before_what_it_was_given(world: World, ann: User) -> None:
    """What was on its way when the connection was lost is shown again where it did not arrive."""
    log = world.one.log.identity
    catch_ups = CatchUps(ann.session, world.one.hub)
    catch_ups.begin([TEA, POT], Seen(log, {TEA: 2}), Seen(log, {TEA: 3, POT: 6}))
    assert (catch_ups.after(TEA), catch_ups.after(POT)) == (2, 6)
    assert not (catch_ups.listed(TEA) or catch_ups.listed(POT))
    catch_ups.release()
    assert ann.story() == ["#tea ann: c"]


def test_who_may_have_nothing_gets_what_a_newcomer_does(world: World, ann: User) -> None:
    """Of rooms of which nothing is known the last messages come with the list."""
    catch_ups = CatchUps(ann.session, world.one.hub)
    catch_ups.begin([TEA], Seen(), Seen())
    catch_ups.also([TEA, POT])
    assert list(catch_ups) == [TEA, POT]
    for room in (TEA, POT):
        assert catch_ups.after(room) is None
        assert catch_ups.listed(room)
        assert catch_ups.after(room) == world.one.log.position(room)
    catch_ups.release()
    assert not ann.story()
    assert not list(catch_ups)


def test_of_another_log_there_is_a_gap_and_then_all_that_it_has(world: World, ann: User) -> None:
    """Seqs of a log that is gone tell nothing of this one, so all of it is new."""
    another = Seen("another", {TEA: 1})
    for seen, given in ((another, Seen()), (Seen(), another)):
        catch_ups = CatchUps(ann.session, world.one.hub)
        catch_ups.begin([TEA], seen, given)
        assert not catch_ups.listed(TEA)
        catch_ups.release()
        assert ann.story() == ["#tea gap None..None", *(f"#tea ann: {text}" for text in "abc")]


def test_who_had_nothing_of_another_log_gets_what_a_newcomer_does(world: World, ann: User) -> None:
    """Nothing that it has seen is gone, so there is no gap."""
    catch_ups = CatchUps(ann.session, world.one.hub)
    catch_ups.begin([TEA], Seen("another", {POT: 1}), Seen())
    assert catch_ups.listed(TEA)
    catch_ups.release()
    assert not ann.story()


@pytest.mark.parametrize("end", [lambda c: c.out_of(TEA), CatchUps.clear])
def test_of_a_room_that_was_left_nothing_more_is_shown(end: Callable[[CatchUps], None]) -> None:
    """Nor of any, where the client is lost again before the log has answered."""
    world = world_of(backlog=1)
    ann = world.one.user("ann", "tea")
    for text in "abc":
        outcome(ann.say(text))
    ann.story()
    catch_ups = CatchUps(ann.session, world.one.hub)
    catch_ups.begin([TEA], Seen(world.one.log.identity, {TEA: 0}), Seen())
    world.one.gate.hold("since")
    catch_ups.release()
    assert world.one.gate.waiting("since")
    end(catch_ups)
    world.one.gate.release("since")
    assert not ann.story()
    world.check()
