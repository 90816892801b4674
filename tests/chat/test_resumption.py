"""Who lost its connection goes on where it was, on whichever instance."""

from collections.abc import Callable

import pytest

from disroom.chat.catchup import MOST_HELD, CatchUp
from disroom.chat.errors import (
    ChatError,
    NickTaken,
    NoSession,
    NotDelivered,
    NotStored,
    PresenceUnavailable,
    ResumedElsewhere,
    StoreUnavailable,
)
from disroom.chat.events import Draft, Gap, Message, StoredAfterAll
from disroom.chat.limits import Limits
from disroom.chat.names import Nick, RoomName
from disroom.chat.replays import MOST_REPLAYED
from disroom.chat.resumption import MOST_KEPT, Absent
from disroom.chat.rooms import COMPARE_SECONDS
from disroom.chat.tokens import Seen, Token
from tests.chat.world import Instance, User, World, in_words, outcome, run

TEA, POT = RoomName.parse("tea"), RoomName.parse("pot")
GRACE = Limits().grace

Where = Callable[[World], Instance]
SAME: Where = lambda world: world.one  # noqa: E731
OTHER: Where = lambda world: world.two  # noqa: E731
anywhere = pytest.mark.parametrize("where", [SAME, OTHER], ids=["same", "other"])


def last_seq(user: User) -> int:
    """The seq of the last message that a user was shown."""
    return max(event.seq for event in user.client.shown if isinstance(event, Message))


@anywhere
def test_who_comes_back_has_its_nick_its_rooms_and_what_it_missed(
    world: World, where: Where
) -> None:
    """A lost connection costs nothing but the time."""
    ann, bob = world.one.user("ann", "tea", "pot"), world.two.user("bob", "tea", "pot")
    token = ann.arm()
    outcome(bob.say("1", "tea"))
    outcome(bob.say("2", "pot"))
    seen = Seen(world.one.log.identity, {TEA: 1, POT: 2})
    ann.drop()
    for text, room in (("3", "tea"), ("4", "pot"), ("5", "tea")):
        outcome(bob.say(text, room))
    again = where(world).connect()
    restored = outcome(again.resume(token, seen))
    assert str(restored.nick) == str(again.session.nick) == "ann"
    assert [str(entered.room) for entered in restored.rooms] == ["tea", "pot"]
    assert all(entered.backlog is None for entered in restored.rooms)
    story = again.story()
    assert [line for line in story if "#tea" in line] == ["#tea bob: 3", "#tea bob: 5"]
    assert [line for line in story if "#pot" in line] == ["#pot bob: 4"]
    outcome(again.say("6", "tea"))
    assert again.story() == ["#tea ann: 6"]


@anywhere
def test_the_others_see_it_away_meanwhile_and_no_leaving(world: World, where: Where) -> None:
    """A lost connection does not disturb a room."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    assert bob.story() == ["#tea ann away"]
    assert bob.users() == ["ann", "bob"]
    with pytest.raises(NickTaken):
        outcome(world.two.connect().name("ann"))
    outcome(where(world).connect().resume(token))
    assert bob.story() == ["#tea ann back"]
    assert bob.users() == ["ann", "bob"]


def test_who_does_not_come_back_has_left_when_its_grace_is_over(world: World) -> None:
    """Nobody is shown for longer than is promised, and the nick is free then."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.pass_time(GRACE - 1)
    assert bob.story() == ["#tea ann away"]
    world.pass_time(2)
    assert bob.story() == ["#tea -ann (connection lost)"]
    outcome(world.two.connect().name("ann"))
    with pytest.raises(NoSession):
        outcome(world.one.connect().resume(token))


def test_without_a_token_a_lost_connection_is_the_end(world: World) -> None:
    """A terminal that is closed has left."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.drop()
    assert bob.story() == ["#tea -ann (connection lost)"]


def test_no_grace_is_no_waiting() -> None:
    """An operator can have sessions end with their connections."""
    world = World(limits=Limits(grace=0.0))
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.arm()
    ann.drop()
    assert bob.story() == ["#tea -ann (connection lost)"]


def test_a_token_from_before_the_name_is_good(world: World) -> None:
    """A client asks for it at once and chooses its name later."""
    ann = world.one.connect()
    token = ann.arm()
    outcome(ann.name("ann"))
    ann.drop()
    assert str(outcome(world.two.connect().resume(token)).nick) == "ann"


def test_nobody_waits_for_who_has_no_name(world: World) -> None:
    """Who only ever connects leaves nothing behind."""
    ann = world.one.connect()
    ann.arm()
    ann.drop()
    assert not world.one.hub.suspended
    assert not world.one.hub.sessions


@anywhere
def test_a_connection_that_is_not_known_to_be_lost_is_taken_over(
    world: World, where: Where
) -> None:
    """The client knows better than the server, which may wait for a dead host for long."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    again = where(world).connect()
    ann.story()
    outcome(again.resume(token, Seen(seqs={TEA: 0})))
    assert [type(error) for error in ann.client.closed] == [ResumedElsewhere]
    ann.session.close("connection lost", by=ann.client)
    ann.drop()
    outcome(run(ann.session.exit(by=ann.client)))
    outcome(bob.say("1"))
    assert again.story() == ["#tea bob: 1"]
    assert not ann.story()
    assert not bob.client.shown[:-1]


def test_each_use_makes_a_new_token_and_the_old_one_is_good_until_that_was_used(
    world: World,
) -> None:
    """An answer that was lost strands nobody, and a token that leaked is soon worth nothing."""
    ann = world.one.user("ann", "tea")
    first = ann.arm()
    ann.drop()
    lost = world.two.connect()
    outcome(lost.resume(first))
    lost.drop()
    again = world.one.connect()
    second = outcome(again.resume(first)).token
    again.session.heard()
    again.drop()
    with pytest.raises(NoSession):
        outcome(world.two.connect().resume(first))
    assert outcome(world.two.connect().resume(second)).token not in (first, second)


def test_a_token_that_is_asked_for_anew_takes_the_place_of_the_one_before(world: World) -> None:
    """However the one before was come by, it is good until the client asks something more."""
    ann = world.one.user("ann", "tea")
    tokens = [ann.arm(), ann.arm()]
    for where in (world.two, world.one):
        ann.session.heard()
        ann.drop()
        with pytest.raises(NoSession):
            outcome(where.connect().resume(tokens[-2]))
        ann = where.connect()
        tokens.append(outcome(ann.resume(tokens[-1])).token)
        ann.session.heard()
        tokens.append(ann.arm())


def test_who_has_but_one_token_costs_the_presence_store_nothing_by_asking(world: World) -> None:
    """A token is given up once, and not again with each request of a client."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    for _ in range(3):
        ann.session.heard()
    assert "settle" not in world.one.gate.taken
    ann.drop()
    again = world.one.connect()
    outcome(again.resume(token))
    for _ in range(3):
        again.session.heard()
    assert world.one.gate.taken.count("settle") == 1


@pytest.mark.parametrize("text", ["", ".", "x", "a.", ".b", "nobody.secret", "ä.ö"])
def test_a_wrong_token_opens_nothing(world: World, text: str) -> None:
    """Whatever is no token of a session is refused alike."""
    world.one.user("ann", "tea").arm()
    with pytest.raises(NoSession):
        outcome(world.one.connect().resume(text))


def test_another_secret_opens_nothing(world: World) -> None:
    """A session's id is public; it is its secret that is not."""
    ann = world.one.user("ann")
    token = Token.parse(ann.arm())
    for wrong in (Token(token.session, token.secret[:-1]), Token(token.session, token.session)):
        with pytest.raises(NoSession):
            outcome(world.two.connect().resume(str(wrong)))
    assert token.secret not in token.key


@anywhere
def test_what_comes_while_it_is_read_follows_what_was_missed(world: World, where: Where) -> None:
    """There is no seam: nothing twice, nothing missing, nothing out of order."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    instance = where(world)
    instance.gate.hold("since", "since answer")
    again = instance.connect()
    outcome(again.resume(token, Seen(seqs={TEA: 0})))
    outcome(bob.say("2"))
    instance.gate.release("since")
    outcome(bob.say("3"))
    assert not again.story()
    instance.gate.release()
    assert again.story() == ["#tea bob: 1", "#tea bob: 2", "#tea bob: 3"]
    outcome(bob.say("4"))
    assert again.story() == ["#tea bob: 4"]


def test_what_is_in_memory_is_not_read_again(world: World) -> None:
    """When everybody comes back at once, the log is not asked for the same by each."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    ann.drop()
    outcome(bob.say("2"))
    again = world.one.connect()
    world.one.gate.taken.clear()
    outcome(again.resume(token, Seen(seqs={TEA: 1})))
    assert again.story() == ["#tea bob: 2"]
    assert "since" not in world.one.gate.taken


@anywhere
def test_a_terminal_is_shown_what_came_since_its_connection_was_lost(
    world: World, where: Where
) -> None:
    """Who does not count messages gets those after the last that it was sent."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    ann.drop()
    outcome(bob.say("2"))
    again = where(world).connect()
    restored = outcome(again.resume(token))
    assert restored.rooms[0].backlog is None
    assert [line for line in again.story() if "bob" in line] == ["#tea bob: 2"]


def test_a_terminal_whose_instance_died_is_shown_the_last_messages(
    world: World,
) -> None:
    """What it was sent is not known then, so it sees the room as who joins does."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    world.replace(0)
    outcome(bob.say("2"))
    again = world.two.connect()
    (entered,) = outcome(again.resume(token)).rooms
    assert entered.backlog is not None
    assert [in_words(m) for m in entered.backlog.page.messages] == ["#tea bob: 1", "#tea bob: 2"]
    assert not [line for line in again.story() if "bob:" in line]


def test_what_a_terminal_was_sent_is_known_though_the_presence_store_was_away(
    world: World,
) -> None:
    """The instance that lost its connection knows it without having noted it elsewhere."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    world.one.gate.fail("suspend", PresenceUnavailable())
    ann.drop()
    outcome(bob.say("2"))
    again = world.one.connect()
    assert outcome(again.resume(token)).rooms[0].backlog is None
    assert [line for line in again.story() if "bob:" in line] == ["#tea bob: 2"]


def test_what_the_ignored_said_meanwhile_is_not_shown(world: World) -> None:
    """Who comes back ignores those whom it ignored before."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.session.ignore(Nick.parse("bob"))
    ann.drop()
    outcome(bob.say("1"))
    again = world.one.connect()
    outcome(again.resume(token, Seen(world.one.log.identity, {TEA: 0})))
    assert not [line for line in again.story() if "bob:" in line]


def test_of_too_much_the_last_is_shown_after_a_gap(world: World) -> None:
    """A client that was away for long is not flooded, and is told what it did not get."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    for number in range(MOST_REPLAYED + 5):
        outcome(bob.say(f"{number}"))
    again = world.two.connect()
    outcome(again.resume(token, Seen(seqs={TEA: 0})))
    story = [line for line in again.story() if "back" not in line]
    assert story[0] == "#tea gap 1..5"
    assert story[1:] == [f"#tea bob: {number}" for number in range(5, MOST_REPLAYED + 5)]


@pytest.fixture(params=[True, False], ids=["tracks", "does not"])
def ahead(world: World, request: pytest.FixtureRequest) -> User:
    """Somebody who has seen all of five messages, and is on an instance that was given two."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    world.two.log.late = True
    for text in "abcde":
        outcome(bob.say(text))
    world.two.log.arrive(2)
    seen = Seen(world.one.log.identity, {TEA: last_seq(ann)}) if request.param else None
    ann.drop()
    again = world.two.connect()
    outcome(again.resume(token, seen))
    again.story()
    return again


def test_what_was_seen_elsewhere_is_not_shown_again_by_an_instance_that_is_late(
    world: World, ahead: User
) -> None:
    """Each room comes in order and once, wherever the log is slow."""
    bob = world.one.user("cat", "tea")
    outcome(bob.say("f"))
    world.two.log.arrive(1)
    assert not [line for line in ahead.story() if "bob" in line]
    world.two.log.arrive()
    outcome(bob.say("g"))
    assert [line for line in ahead.story() if ":" in line] == ["#tea cat: f", "#tea cat: g"]
    outcome(ahead.say("h"))
    assert ahead.story() == ["#tea ann: h"]


def test_who_is_lost_again_where_the_log_is_late_is_not_shown_the_same_the_next_time(
    world: World, ahead: User
) -> None:
    """What was seen is known until the instance has been given it as well."""
    token = ahead.arm()
    ahead.drop()
    third = world.one.connect()
    outcome(third.resume(token))
    assert not [line for line in third.story() if "bob:" in line]
    token = third.arm()
    third.drop()
    fourth = world.two.connect()
    outcome(fourth.resume(token))
    world.two.log.arrive()
    outcome(world.one.user("cat", "tea").say("f"))
    assert [line for line in fourth.story() if ":" in line] == ["#tea cat: f"]


@pytest.mark.parametrize("asked", [True, False], ids=["is asked", "cannot be asked"])
def test_a_seq_that_does_not_exist_keeps_nobody_from_hearing(world: World, asked: bool) -> None:
    """It may be of messages that the log has lost with the machine; what is new is shown."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    ann.drop()
    if not asked:
        world.one.gate.fail("reached", StoreUnavailable(), StoreUnavailable())
    again = world.one.connect()
    outcome(again.resume(token, Seen(world.one.log.identity, {TEA: 999_999})))
    for text in "234":
        outcome(bob.say(text))
    assert again.story() == ["#tea bob: 2", "#tea bob: 3", "#tea bob: 4"]


def test_where_the_log_cannot_be_asked_what_was_seen_elsewhere_is_not_shown_again(
    world: World,
) -> None:
    """Nor is a gap told that there is none of; and who comes and goes is shown meanwhile."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    world.two.user("dan", "tea")
    world.two.log.late = True
    for text in "abc":
        outcome(bob.say(text))
    ann.drop()
    world.two.gate.hold("reached")
    again = world.two.connect()
    outcome(again.resume(token))
    outcome(world.one.user("cat").join("tea"))
    world.two.gate.fail("reached", *[StoreUnavailable()] * 2)
    world.two.gate.release()
    assert again.story()[-1:] == ["#tea +cat"]
    world.two.log.arrive(1)
    outcome(world.one.user("eve").join("tea"))
    world.two.log.arrive()
    outcome(bob.say("d"))
    assert again.story() == ["#tea +eve", "#tea bob: d"]


def test_what_comes_while_the_log_is_asked_in_vain_is_shown(world: World) -> None:
    """By then the instance has what the client has, and it is as if it had always had it."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    world.two.user("dan", "tea")
    world.two.log.late = True
    outcome(bob.say("1"))
    ann.drop()
    world.two.gate.hold("reached")
    world.two.gate.fail("reached", StoreUnavailable())
    again = world.two.connect()
    outcome(again.resume(token))
    outcome(bob.say("2"))
    world.two.log.arrive()
    assert not again.story()
    world.two.gate.release()
    outcome(bob.say("3"))
    assert again.story() == ["#tea bob: 2", "#tea bob: 3"]


def test_what_goes_wrong_while_the_log_is_asked_is_told_and_nothing_is_shown_twice(
    world: World,
) -> None:
    """Whatever it is, the log is asked again with what comes next."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    world.two.log.late = True
    outcome(bob.say("1"))
    ann.drop()
    world.two.gate.fail("reached", ValueError("strange"))
    again = world.two.connect()
    outcome(again.resume(token))
    (failure,) = world.runtime.failures
    assert failure.check(ValueError)
    world.runtime.failures.clear()
    world.two.log.arrive()
    outcome(bob.say("2"))
    assert [line for line in again.story() if "bob:" in line] == ["#tea bob: 2"]


def test_what_was_told_to_be_too_much_is_not_shown_by_an_instance_that_is_late(
    world: World,
) -> None:
    """A gap that reaches beyond what the instance was given is not filled afterwards."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.two.user("cat", "tea")
    world.two.log.late = True
    for number in range(MOST_REPLAYED + 5):
        outcome(bob.say(f"{number}"))
    world.two.log.arrive(2)
    again = world.two.connect()
    outcome(again.resume(token))
    world.two.log.arrive()
    story = [line for line in again.story() if "gap" in line or "bob" in line]
    assert story[0] == "#tea gap 1..5"
    assert story[1:] == [f"#tea bob: {number}" for number in range(5, MOST_REPLAYED + 5)]


def test_a_gap_of_what_was_seen_elsewhere_is_none(world: World, ahead: User) -> None:
    """What an instance cannot have any more concerns nobody who has it."""
    feed = world.two.log.feeds[TEA]
    feed.waiting.clear()
    feed.waiting.append(Gap(TEA, 3, 5))
    world.two.log.arrive()
    outcome(world.one.user("cat", "tea").say("f"))
    assert [line for line in ahead.story() if "+" not in line] == ["#tea cat: f"]


def test_a_log_made_anew_is_shown_to_who_was_ahead_of_the_one_before(
    world: World, ahead: User
) -> None:
    """Its seqs are low again, and it is told of it."""
    cat = world.one.user("cat", "tea")
    world.stream.restart()
    outcome(cat.say("1"))
    world.two.log.arrive()
    story = [line for line in ahead.story() if "+" not in line]
    assert story == ["#tea gap None..None", "#tea cat: 1"]


@anywhere
def test_another_log_is_a_gap(world: World, where: Where) -> None:
    """Seqs of a log that was lost mean nothing in the one that follows it."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    seen = Seen(world.one.log.identity, {TEA: 1})
    ann.drop()
    world.stream.restart()
    outcome(bob.say("2"))
    again = where(world).connect()
    outcome(again.resume(token, seen))
    assert again.story() == ["#tea gap None..None", "#tea bob: 2"]
    outcome(bob.say("3"))
    assert again.story() == ["#tea bob: 3"]


def test_of_too_much_of_another_log_the_last_is_shown(world: World) -> None:
    """Who was away is told what it does not get of the new log as well."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    seen = Seen(world.one.log.identity, {TEA: 0})
    ann.drop()
    world.stream.restart()
    for number in range(MOST_REPLAYED + 5):
        outcome(bob.say(f"{number}"))
    again = world.two.connect()
    outcome(again.resume(token, seen))
    story = [line for line in again.story() if "back" not in line]
    assert story[:2] == ["#tea gap None..None", "#tea gap 1..5"]
    assert story[2:] == [f"#tea bob: {number}" for number in range(5, MOST_REPLAYED + 5)]


def test_another_log_that_cannot_be_read_is_two_gaps(world: World) -> None:
    """One for what is gone with the log before, one for what cannot be shown of this."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.stream.restart()
    outcome(bob.say("1"))
    world.one.gate.fail("since", StoreUnavailable())
    again = world.one.connect()
    outcome(again.resume(token))
    outcome(bob.say("2"))
    assert again.story() == ["#tea gap None..None", "#tea gap 1..1", "#tea bob: 2"]


def test_what_cannot_be_read_is_a_gap(world: World) -> None:
    """A member is told plainly what it does not get."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.fail("since", StoreUnavailable())
    again = world.one.connect()
    outcome(again.resume(token))
    assert again.story() == ["#tea gap 1..1"]
    outcome(bob.say("2"))
    assert again.story() == ["#tea bob: 2"]


def test_where_nothing_was_missed_no_gap_is_told_though_it_cannot_be_read(world: World) -> None:
    """What the log would be asked for is known then."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.one.gate.fail("since", StoreUnavailable())
    again = world.one.connect()
    outcome(again.resume(token))
    outcome(bob.say("1"))
    assert again.story() == ["#tea bob: 1"]


def test_what_goes_wrong_while_it_is_made_up_for_is_a_gap(world: World) -> None:
    """Whatever it is, the member is told what it does not get, and hears the rest."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.fail("since", ValueError("strange"))
    again = world.one.connect()
    outcome(again.resume(token))
    assert again.story() == ["#tea gap 1..1"]
    outcome(bob.say("2"))
    assert again.story() == ["#tea bob: 2"]
    (failure,) = world.runtime.failures
    assert failure.check(ValueError)
    world.runtime.failures.clear()


@pytest.mark.parametrize("step", ["follow", "topics", "join"])
def test_who_cannot_enter_its_room_again_tries_again(world: World, step: str) -> None:
    """A store that is away for a moment ends no session."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.two.gate.fail(step, StoreUnavailable())
    again = world.two.connect()
    with pytest.raises(ChatError):
        outcome(again.resume(token))
    outcome(bob.say("1"))
    outcome(again.resume(token, Seen(seqs={TEA: 0})))
    assert "#tea bob: 1" in again.story()
    world.pass_time(2 * GRACE)
    assert again.users() == ["ann", "bob"]


def test_who_is_lost_again_while_it_catches_up_misses_nothing(world: World) -> None:
    """What was not shown yet is shown the next time."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.hold("since answer")
    again = world.one.connect()
    token = outcome(again.resume(token)).token
    again.drop()
    world.one.gate.release()
    outcome(bob.say("2"))
    assert not again.story()
    third = world.one.connect()
    outcome(third.resume(token))
    assert third.story() == ["#tea bob: 1", "#tea bob: 2"]


@pytest.mark.parametrize("step", ["follow", "topics", "join"])
def test_who_comes_back_in_vain_for_a_reason_that_nobody_has_foreseen_keeps_no_nick(
    world: World, step: str
) -> None:
    """Nobody is there, so the session is over after its grace."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    ann.drop()
    world.two.gate.fail(step, ValueError("strange"))
    again = world.two.connect()
    with pytest.raises(ValueError, match="strange"):
        outcome(again.resume(token))
    again.drop()
    world.pass_time(2 * GRACE)
    assert not world.two.hub.sessions
    world.two.user("ann", "tea")


def test_what_became_of_its_messages_is_told_when_it_is_back(world: World) -> None:
    """A message that failed meanwhile is not lost in silence."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    world.one.gate.hold("append")
    world.one.gate.fail("append", NotStored())
    outcome(ann.say("1"))
    outcome(ann.say("2"))
    ann.drop()
    world.one.gate.release()
    again = world.one.connect()
    outcome(again.resume(token))
    assert again.story() == ["failed", "#tea ann: 2"]


def test_what_failed_and_turns_up_while_it_catches_up_is_announced(world: World) -> None:
    """A message that is shown late is still known for the one reported as not stored."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    world.one.gate.fail("append", NotStored())
    outcome(ann.say("hi"))
    draft = Draft(f"id-{world.runtime._ids}", "said", Nick.parse("ann"), ann.session.id, "hi")
    ann.drop()
    world.one.gate.hold("since answer")
    again = world.one.connect()
    outcome(again.resume(token))
    again.client.shown.clear()
    outcome(world.stream.append(TEA, draft))
    assert not again.client.shown
    world.one.gate.release()
    assert isinstance(again.client.shown[0], StoredAfterAll)
    assert again.story()[1:] == ["#tea ann: hi"]


def test_what_is_kept_for_the_absent_is_bounded() -> None:
    """A client that never comes back costs little."""
    absent, catch_up = Absent(), CatchUp(TEA, 0)
    world = World()
    ann = world.one.user("ann", "tea")
    world.one.gate.fail("append", *[NotStored()] * (MOST_KEPT + 1))
    for _ in range(MOST_KEPT + 1):
        outcome(ann.say("x"))
    for event in ann.client.shown:
        absent.deliver(event)
    absent.close(None)
    assert len(absent.kept) == MOST_KEPT
    ann.story()
    for _ in range(MOST_HELD + 2):
        outcome(ann.say("x"))
    for message in ann.client.shown:
        assert isinstance(message, Message)
        catch_up.hold(message)
    position = world.one.log.position(TEA)
    gap, *rest = catch_up.release(outcome(world.one.log.since(TEA, position, 1)), position)
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == (1, 2)
    assert len(rest) == MOST_HELD


def test_a_private_message_does_not_reach_who_is_not_there(world: World) -> None:
    """Its sender is told, on whichever instance, and may try again."""
    ann, bob, cat = world.one.user("ann"), world.one.user("bob"), world.two.user("cat")
    token = ann.arm()
    ann.drop()
    for sender in (bob, cat):
        with pytest.raises(NotDelivered):
            outcome(sender.whisper("ann", "psst"))
    again = world.two.connect()
    outcome(again.resume(token))
    outcome(bob.whisper("ann", "psst"))
    assert again.story() == ["(bob) psst"]


def test_who_is_no_longer_known_meanwhile_has_no_session(world: World) -> None:
    """A client that comes back twice at once has one session, on the connection that came last."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.one.gate.hold("resume answer")
    first, second = world.one.connect(), world.one.connect()
    waiting = [first.resume(token), second.resume(token)]
    world.one.gate.release()
    for each in waiting:
        outcome(each)
    outcome(bob.say("1"))
    assert second.story()[-1:] == ["#tea bob: 1"]
    assert "#tea bob: 1" not in first.story()
    assert [type(error) for error in first.client.closed] == [ResumedElsewhere]


def test_the_end_of_the_input_ends_no_session_that_can_be_resumed(world: World) -> None:
    """A client that was killed has ended its input, and may come back; one without a token left."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    cat = world.one.user("cat", "tea")
    token = ann.arm()
    bob.story()
    for user in (ann, cat):
        outcome(user.say("1"))
        outcome(run(user.session.input_ended(by=user.client)))
    assert bob.story() == ["#tea ann: 1", "#tea ann away", "#tea cat: 1", "#tea -cat"]
    again = world.two.connect()
    outcome(again.resume(token))
    assert bob.users() == ["ann", "bob"]


@pytest.mark.parametrize("step", ["follow", "follow answer", "topics", "join", "join answer"])
def test_of_two_who_resume_at_once_the_later_has_the_session(world: World, step: str) -> None:
    """Wherever the first is by then, it is closed, and the second is told all that it missed."""
    ann, bob = world.one.user("ann", "tea", "pot"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.two.gate.hold(step)
    first, second = world.two.connect(), world.two.connect()
    waiting = [user.resume(token, Seen(seqs={TEA: 0, POT: 0})) for user in (first, second)]
    world.two.gate.release()
    with pytest.raises(ResumedElsewhere):
        outcome(waiting[0])
    assert [str(entered.room) for entered in outcome(waiting[1]).rooms] == ["tea", "pot"]
    outcome(bob.say("2"))
    lines = [line for line in second.story() if "bob:" in line]
    assert lines == ["#tea bob: 1", "#tea bob: 2"]
    assert not first.story()
    world.pass_time(2 * GRACE)
    assert second.users("tea") == ["ann", "bob"]


def test_the_failure_of_the_first_of_two_does_the_second_no_harm(world: World) -> None:
    """A session that somebody has taken up is not put to rest by who was too late for it."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    world.two.gate.hold("join")
    first, second = world.two.connect(), world.two.connect()
    waiting = [user.resume(token, Seen(seqs={TEA: 0})) for user in (first, second)]
    world.two.gate.fail("join", PresenceUnavailable())
    world.two.gate.release()
    with pytest.raises(ChatError):
        outcome(waiting[0])
    outcome(waiting[1])
    world.pass_time(2 * GRACE)
    outcome(bob.say("1"))
    assert second.story()[-1] == "#tea bob: 1"


@pytest.mark.parametrize("succeeds", [True, False])
def test_the_end_of_the_first_of_two_does_the_second_no_harm(world: World, succeeds: bool) -> None:
    """Who tries again before it is answered is there, or away until its grace is over."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    first, second = world.one.connect(), world.one.connect()
    world.one.gate.hold("resume answer")
    resuming = first.resume(token)
    if not succeeds:
        world.one.gate.hold("resume")
        world.one.gate.fail("resume", PresenceUnavailable())
    trying = second.resume(token)
    bob.story()
    world.one.gate.release_one("resume answer")
    token = outcome(resuming).token
    first.drop()
    world.one.gate.release()
    if succeeds:
        token = outcome(trying).token
        world.pass_time(GRACE + 1)
        assert bob.story() == []
        assert second.users() == ["ann", "bob"]
        outcome(world.two.connect().resume(token))
    else:
        with pytest.raises(PresenceUnavailable):
            outcome(trying)
        assert bob.story() == ["#tea ann away"]
        world.pass_time(GRACE + 1)
        assert bob.story() == ["#tea -ann (connection lost)"]


def test_who_resumes_elsewhere_while_it_is_being_resumed_is_there(world: World) -> None:
    """A client that lost patience and went to another server is served there alone."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    world.two.gate.hold("join")
    first, second = world.two.connect(), world.one.connect()
    waiting = first.resume(token)
    outcome(second.resume(token))
    world.two.gate.release()
    with pytest.raises(ResumedElsewhere):
        outcome(waiting)
    outcome(bob.say("1"))
    assert second.story()[-1] == "#tea bob: 1"
    assert not world.two.hub.sessions.keys() & {ann.session.id}


def test_a_private_message_is_not_swallowed_by_who_is_just_coming_back(world: World) -> None:
    """What is acknowledged to its sender was written to somebody."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob")
    token = ann.arm()
    ann.drop()
    world.two.gate.hold("join")
    again = world.two.connect()
    resuming = again.resume(token)
    with pytest.raises(NotDelivered):
        outcome(bob.whisper("ann", "psst"))
    world.two.gate.release()
    outcome(resuming)
    outcome(bob.whisper("ann", "psst"))
    assert again.story()[-1] == "(bob) psst"


@anywhere
def test_a_terminal_is_told_of_another_log_as_well(world: World, where: Where) -> None:
    """Who counts nothing is told all the same, and shown what there is now."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    for text in "123":
        outcome(bob.say(text))
    ann.drop()
    world.stream.restart()
    outcome(bob.say("4"))
    again = where(world).connect()
    outcome(again.resume(token))
    assert again.story()[-2:] == ["#tea gap None..None", "#tea bob: 4"]


def test_who_leaves_a_room_before_it_has_caught_up_is_shown_no_more_of_it(world: World) -> None:
    """Nor, when it joins again, anything twice."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.hold("since answer")
    again = world.one.connect()
    outcome(again.resume(token))
    outcome(again.leave())
    again.story()
    backlog = outcome(again.join("tea")).backlog
    assert [message.text for message in backlog.page.messages] == ["1"]
    outcome(bob.say("2"))
    assert again.story() == ["#tea bob: 2"]
    world.one.gate.release()
    assert not again.story()


def test_what_ends_after_the_resumption_is_told_to_the_new_client(world: World) -> None:
    """A join or leave that was under way does not change behind its back where the user is."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    world.one.gate.hold("leave", "join")
    ann.leave("tea")
    again = world.one.connect()
    (entered,) = outcome(again.resume(token)).rooms
    assert str(entered.room) == "tea"
    world.one.gate.release("leave")
    assert again.story() == ["#tea -ann"]
    again.join("pot")
    third = world.one.connect()
    assert not outcome(third.resume(token)).rooms
    world.one.gate.release()
    assert third.story() == ["#pot +ann"]
    assert not again.story()
    assert third.users() == ["ann"]


def test_who_joins_its_room_before_it_has_caught_up_is_answered_after_that(world: World) -> None:
    """So that the list in the answer fits what was told before, and what is told next."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.hold("since")
    again = world.one.connect()
    outcome(again.resume(token))
    outcome(bob.name("rob"))
    joined = again.join("tea")
    assert not joined.called
    world.one.gate.release()
    assert again.story()[-2:] == ["#tea bob: 1", "#tea bob>rob"]
    assert [m.nick.display for m in outcome(joined).users.members] == ["ann", "rob"]


def test_who_joins_and_is_lost_before_it_has_caught_up_keeps_nobody_waiting(world: World) -> None:
    """The answer goes nowhere, and what was not shown is shown the next time."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.one.gate.hold("since")
    again = world.one.connect()
    token = outcome(again.resume(token)).token
    joined = again.join("tea")
    again.drop()
    assert joined.called
    third = world.one.connect()
    outcome(third.resume(token))
    world.one.gate.release()
    assert [line for line in third.story() if "bob" in line] == ["#tea bob: 1"]


def test_a_list_that_is_given_is_not_given_once_more_as_news(world: World) -> None:
    """Who comes while rooms are entered one after the other is in the list, or is told of after."""
    ann = world.one.user("ann", "tea", "pot")
    token = ann.arm()
    ann.drop()
    world.two.user("bob", "tea")
    world.two.gate.hold("follow")
    again = world.two.connect()
    resuming = again.resume(token)
    world.two.user("cat", "tea")
    world.two.gate.release()
    assert [m.nick.display for m in outcome(resuming).rooms[0].users.members] == [
        *("ann", "bob", "cat")
    ]
    assert not [line for line in again.story() if "cat" in line]


@anywhere
def test_the_list_of_who_renamed_itself_before_is_made_right_by_late_news(
    world: World, where: Where
) -> None:
    """Who comes back before the news of its renaming finds itself as the news goes on from."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    instance = where(world)
    instance.user("bob", "tea")
    instance.news.held = True
    outcome(ann.session.away("tea is ready"))
    outcome(ann.name("amy"))
    ann.drop()
    again = instance.connect()
    restored = outcome(again.resume(token))
    (tea,) = restored.rooms
    assert str(restored.nick) == str(tea.nick) == "amy"
    assert [(str(m.nick), m.away) for m in tea.users.members] == [("ann", True), ("bob", False)]
    instance.news.arrive()
    assert again.story() == ["#tea ann>amy"]
    assert again.users() == ["amy", "bob"]


def test_a_nick_that_was_taken_back_stays_in_the_list_where_all_news_of_it_is_lost(
    world: World,
) -> None:
    """Nothing is ever told of it, so it must have been right before."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    world.one.news.held = True
    outcome(ann.name("amy"))
    again = world.one.connect()
    (tea,) = outcome(again.resume(token)).rooms
    outcome(again.name("ann"))
    world.one.news.waiting.clear()
    world.one.news.held = False
    world.pass_time(2 * COMPARE_SECONDS)
    assert [str(m.nick) for m in tea.users.members] == ["ann"] == again.users()
    assert again.story() == []


@pytest.mark.parametrize("before", [None, "lunch"])
@anywhere
def test_the_mark_that_who_comes_back_is_listed_with_is_made_right_where_all_news_is_lost(
    world: World, where: Where, before: str | None
) -> None:
    """Whatever the instance had heard of its being away before."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    instance = where(world)
    instance.user("bob", "tea")
    outcome(ann.session.away(before))
    instance.news.held = True
    outcome(ann.session.away(None if before else "lunch"))
    again = instance.connect()
    (tea,) = outcome(again.resume(token)).rooms
    assert [m.away for m in tea.users.members] == [before is None, False]
    outcome(again.session.away(before))
    again.story()
    instance.news.waiting.clear()
    instance.news.held = False
    world.pass_time(2 * COMPARE_SECONDS)
    assert again.story() == ["#tea ann away" if before else "#tea ann back"]


def test_a_session_that_is_being_taken_up_does_not_end_meanwhile(world: World) -> None:
    """Who came back in time is not put out because its rooms took long to open."""
    ann = world.two.user("ann", "tea")
    token = ann.arm()
    ann.drop()
    world.one.gate.fail("follow", StoreUnavailable())
    lost, again = world.one.connect(), world.one.connect()
    with pytest.raises(StoreUnavailable):
        outcome(lost.resume(token))
    world.one.gate.hold("follow")
    resuming = again.resume(token)
    world.pass_time(GRACE + 1)
    world.one.gate.release()
    outcome(resuming)
    assert again.users() == ["ann"]


def test_a_session_that_is_being_asked_for_does_not_end_meanwhile(world: World) -> None:
    """Who asked in time is not put out because the presence store takes long to answer."""
    ann = world.one.user("ann", "tea")
    token = ann.arm()
    ann.drop()
    again = world.one.connect()
    world.one.gate.hold("resume answer")
    resuming = again.resume(token)
    world.pass_time(GRACE + 1)
    world.one.gate.release()
    outcome(resuming)
    assert world.in_room("tea") == again.users() == ["ann"]


def test_an_answer_that_could_not_be_given_counts_for_nothing(world: World) -> None:
    """A terminal that is gone again before it was answered is shown later all that it missed."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    lost, again = world.two.connect(), world.one.connect()
    session, _ = outcome(world.two.hub.resume(lost.client, token, Seen()))
    session.disconnected(lost.client)
    outcome(bob.say("2"))
    outcome(again.resume(token))
    assert [line for line in again.story() if ":" in line] == ["#tea bob: 1", "#tea bob: 2"]


def test_last_messages_that_could_not_be_given_are_given_the_next_time(world: World) -> None:
    """The same where nothing is known of what the terminal was sent."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    token = ann.arm()
    outcome(bob.say("1"))
    world.replace(0)
    lost, again = world.two.connect(), world.two.connect()
    session, _ = outcome(world.two.hub.resume(lost.client, token, Seen()))
    session.disconnected(lost.client)
    (entered,) = outcome(again.resume(token)).rooms
    assert entered.backlog is not None
    assert [in_words(m) for m in entered.backlog.page.messages] == ["#tea bob: 1"]


def test_a_failed_resumption_counts_for_nothing(world: World) -> None:
    """Wherever a terminal is taken in at last, it is shown all since its connection was lost."""
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    token = ann.arm()
    ann.drop()
    outcome(bob.say("1"))
    world.two.gate.fail("join", PresenceUnavailable())
    with pytest.raises(PresenceUnavailable):
        outcome(world.two.connect().resume(token))
    again = world.one.connect()
    outcome(again.resume(token))
    assert [line for line in again.story() if ":" in line] == ["#tea bob: 1"]


@pytest.mark.parametrize("text", ["", "x", "[]", "3", '["l",3]', '["l",{"t":"x"}]', '["l"'])
def test_what_was_noted_in_another_form_is_nothing(text: str) -> None:
    """A server of another version may have written it."""
    assert Seen.parse(text) == Seen()


def test_what_was_noted_can_be_read() -> None:
    """Whatever the rooms are called."""
    seen = Seen("l", {TEA: 7, RoomName.parse("Größe"): 1 << 52})
    assert Seen.parse(str(seen)) == seen


def test_of_too_many_who_are_away_the_next_ends_with_its_connection() -> None:
    """Whoever connects, takes a name and goes, over and over, does not take all memory."""
    world = World(limits=Limits(suspended=2))
    users = [world.one.user(nick, "tea") for nick in ("ann", "bob", "cat", "dan", "eve")]
    tokens = [user.arm() for user in users]
    for user in users[:3]:
        user.drop()
    assert users[3].users() == ["ann", "bob", "dan", "eve"]
    outcome(world.one.connect().resume(tokens[0]))
    users[3].drop()
    users[4].drop()
    assert world.in_room("tea") == ["ann", "bob", "dan"]
    world.pass_time(GRACE + 1)
    assert world.in_room("tea") == ["ann"]
    assert not world.one.hub.suspended


def test_of_too_many_who_is_coming_back_does_not_end() -> None:
    """Who is connected again before the server notices the loss takes nobody's place."""
    world = World(limits=Limits(suspended=1))
    ann, bob = world.one.user("ann", "tea"), world.one.user("bob", "tea")
    tokens = [ann.arm(), bob.arm()]
    ann.drop()
    again = world.one.connect()
    world.one.gate.hold("resume answer")
    resuming = again.resume(tokens[1])
    bob.drop()
    world.one.gate.release()
    outcome(resuming)
    assert world.in_room("tea") == again.users() == ["ann", "bob"]
