"""RedisPresence's leases: who dies is taken out once, who lives stays, whatever Redis does."""

import time

from twisted.internet import defer

from disroom.chat.names import Nick
from tests.adapters.redis.redis_chat import (
    ALICE,
    ATTIC,
    BOB,
    CAROL,
    LOBBY,
    Instance,
    NewProxy,
    NewRedis,
    RedisChat,
    cut_off,
    outcome,
    session,
)
from tests.contract.witness import promise
from tests.eventually import eventually, stand_still
from tests.processes.redis import RedisKind, RedisServer

EMPTY_CHAT = ["epoch", "holders", "instances", "leases", "mark"]
"""The keys of a chat with one instance and nobody in it."""


@promise
async def test_the_users_of_a_dead_server_leave_once(
    chat: RedisChat, new_redis: NewRedis, redis_kind: RedisKind, new_proxy: NewProxy
) -> None:
    """All who remain see them go, one line a room; their names are free, nothing of them stays."""
    server = new_redis(kind=redis_kind)
    proxy = new_proxy(server)
    dying = await chat.start(proxy.url, "dying")
    survivors = [await chat.start(server.url, name) for name in ("two", "three")]
    first = await dying.claimed(ALICE, LOBBY, ATTIC)
    second = await dying.claimed(BOB, LOBBY)
    carol = await survivors[0].claimed(CAROL, LOBBY)
    cut_off(proxy)
    for survivor in survivors:
        await survivor.witness.heard(ATTIC, "+alice", "-alice (server lost)")
        await survivor.witness.until(lambda witness: len(witness.of(LOBBY)) == 4)
        last = survivor.witness.of(LOBBY)[-1]
        assert {member.session for member in last.left} == {first, second}
        assert last.reason == "server lost"
    assert survivors[0].witness.changes == survivors[1].witness.changes
    assert await survivors[1].names(LOBBY) == ["carol"]
    await survivors[1].presence.release(await survivors[1].claimed(ALICE), "")
    await survivors[0].presence.release(carol, "")
    await survivors[0].presence.stop()
    assert chat.keys(server) == EMPTY_CHAT
    assert server.command("ZCARD", f"{chat.prefix}:leases") == 1
    assert server.command("HLEN", f"{chat.prefix}:holders") == 1
    assert server.command("HLEN", f"{chat.prefix}:instances") == 1


@promise
async def test_thousands_of_users_leave_in_steps(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """The death of a big server does not hold up the others, and nobody's leaving is told twice."""
    server = new_redis()
    proxy = new_proxy(server)
    dying = await chat.start(proxy.url, "dying", lease=5)
    await dying.crowd(2200, LOBBY)
    survivors = [await chat.start(server.url, name) for name in ("two", "three")]
    cut_off(proxy)
    server.command("ZADD", f"{chat.prefix}:leases", "1", dying.presence.incarnation)
    for survivor in survivors:
        await survivor.witness.until(
            lambda witness: sum(len(change.left) for change in witness.changes) == 2200
        )
        assert len({m.session for change in survivor.witness.changes for m in change.left}) == 2200
        assert [len(change.left) for change in survivor.witness.changes] == [1000, 1000, 200]


@promise
async def test_a_server_that_is_started_again_replaces_its_predecessor(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """After a crash and a restart nobody is kept out of their own name by their former self."""
    proxy = new_proxy(redis)
    former = await chat.start(proxy.url, "one", lease=600)
    other = await chat.start(redis.url, "two", lease=600)
    await former.claimed(ALICE, LOBBY)
    cut_off(proxy)
    again = await chat.start(redis.url, "one", lease=600)
    await again.claimed(ALICE, LOBBY)
    await other.witness.heard(LOBBY, "+alice", "-alice (server lost)", "+alice")
    found = await other.presence.locate(ALICE)
    assert found
    assert (found.instance, found.instance_name) == (again.presence.incarnation, "one")


@promise
async def test_two_servers_of_one_name_do_not_fight(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """A name that was given twice by mistake costs the users of the first a moment, once."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, "same")
    alice = await one.claimed(ALICE, LOBBY)
    two = await chat.start(redis.url, "same")
    await two.claimed(BOB, ATTIC)
    await two.witness.heard(LOBBY, "-alice (server lost)", "+alice")
    incarnations = (one.presence.incarnation, two.presence.incarnation)
    assert one.incarnations[1:] == [incarnations[0]]
    proxy.forget()
    await eventually(lambda: len(proxy.requests("EVALSHA")) >= 8)  # several ticks later
    assert (one.presence.incarnation, two.presence.incarnation) == incarnations
    found = await two.presence.locate(ALICE)
    assert found
    assert (found.session, found.instance) == (alice, incarnations[0])


@promise
async def test_a_server_cut_off_from_redis_alone_comes_back_with_its_users(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Its users are gone to the others meanwhile, and are back with it, those it still has."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url)
    two = await chat.start(redis.url, "two")
    alice, bob = await one.claimed(ALICE, LOBBY), await one.claimed(BOB, ATTIC)
    carol = await one.claimed(CAROL, LOBBY)
    cut_off(proxy)
    await two.witness.heard(ATTIC, "+bob", "-bob (server lost)")
    thief = await two.claimed(BOB, ATTIC)
    assert await outcome(one.presence.release(carol, "bye")) == "presence-unavailable"
    proxy.accept()
    await one.witness.until(lambda witness: witness.lost_sessions == [bob])
    await two.witness.until(lambda witness: witness.story(LOBBY)[-1] == "+alice")
    assert [str(m.nick) for m in (await one.presence.users(LOBBY)).members or ()] == ["alice"]
    assert [m.session for m in (await one.presence.users(ATTIC)).members or ()] == [thief]
    assert len(set(one.incarnations)) == 2
    found = await two.presence.locate(ALICE)
    assert found
    assert (found.session, found.instance) == (alice, one.incarnations[1])


@promise
async def test_what_went_unanswered_is_undone(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """What a user was told has failed has failed, though Redis had done it."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=60)
    two = await chat.start(redis.url, "two", lease=60)
    alice = await one.claimed(ALICE, LOBBY)
    proxy.drop_if(lambda way, frame: way == "to_client" and isinstance(frame.value, bytes))
    failing = [
        one.claimed(BOB),
        one.presence.join(alice, ATTIC, 0),
        one.presence.leave(alice, LOBBY, ""),
        one.presence.rename(alice, CAROL),
        one.presence.set_away(alice, "lunch"),
    ]
    outcomes = [defer.Deferred.fromCoroutine(outcome(work)) for work in failing]
    assert await defer.gatherResults(outcomes) == ["presence-unavailable"] * len(failing)
    await two.witness.heard(ATTIC, "+alice", "alice>carol", "carol>carol")
    proxy.drop_nothing()
    await two.witness.heard(ATTIC, "+alice", "alice>carol", "carol>carol", "-carol")
    await two.witness.heard(LOBBY, "+alice", "-alice", "+alice")
    roster = await two.presence.users(LOBBY)
    assert [(str(m.nick), m.away) for m in roster.members or ()] == [("alice", False)]
    await two.claimed(CAROL)
    bob = await two.claimed(BOB)
    found = await two.presence.locate(BOB)
    assert found
    assert found.session == bob


@promise
async def test_a_name_given_away_after_an_unanswered_rename_is_lost(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """One who believes to be alice still, and is not, goes and leaves nothing of carol behind."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=60)
    two = await chat.start(redis.url, "two", lease=60)
    alice = await one.claimed(ALICE, LOBBY)
    proxy.drop_if(lambda way, frame: way == "to_client" and isinstance(frame.value, bytes))
    assert await outcome(one.presence.rename(alice, CAROL)) == "presence-unavailable"
    await two.claimed(ALICE)
    proxy.drop_nothing()
    await one.witness.until(lambda witness: witness.lost_sessions == [alice])
    await two.witness.heard(LOBBY, "+alice", "alice>carol", "-carol")
    await two.claimed(CAROL)


@promise
async def test_a_release_is_made_good_when_redis_is_back(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Who left while Redis was away has left, with the reason, and the name is free."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=60)
    two = await chat.start(redis.url, "two", lease=60)
    alice = await one.claimed(ALICE, LOBBY)
    cut_off(proxy)
    await eventually(lambda: proxy.connections == 0)
    assert await outcome(one.presence.release(alice, "bye")) == "presence-unavailable"
    proxy.accept()
    await two.witness.heard(LOBBY, "+alice", "-alice (bye)")
    await two.claimed(ALICE)


@promise
async def test_requests_under_way_do_not_bring_a_stopping_server_back(
    chat: RedisChat, redis: RedisServer
) -> None:
    """When a server stops its users leave once, though their clients still ask for things."""
    one = await chat.start(redis.url, tick=0.001)
    two = await chat.start(redis.url, "two")
    users = await one.crowd(1200, LOBBY)
    stopping = defer.Deferred.fromCoroutine(one.presence.stop())
    asking: list[defer.Deferred[str]] = []
    for user in users[:20]:
        for work in (one.presence.join(user, ATTIC, 0), one.presence.release(user, "bye")):
            asking.append(defer.Deferred.fromCoroutine(outcome(work)))
    assert set(await defer.gatherResults(asking)) == {"presence-unavailable"}
    await stopping
    await two.witness.until(
        lambda witness: sum(len(change.left) for change in witness.of(LOBBY)) == 1200
    )
    assert two.witness.story(ATTIC) == []
    assert redis.command("ZCARD", f"{chat.prefix}:leases") == 1
    assert len(one.incarnations) == 1


@promise
async def test_a_stopping_server_does_not_wait_for_a_lost_redis(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """Stopping is a matter of seconds, whatever Redis does."""
    server = new_redis()
    one = await chat.start(server.url, stop_timeout=0.3)
    await one.claimed(ALICE, LOBBY)
    server.pause()
    began = time.monotonic()
    await one.presence.stop()
    assert time.monotonic() - began < 1


@promise
async def test_a_server_knows_by_itself_that_its_lease_has_run_out(
    chat: RedisChat, redis: RedisServer
) -> None:
    """A server that was frozen does not act for users whom the others have seen leave."""
    now = 100.0
    one = await chat.start(redis.url, clock=lambda: now, lease=10)
    assert not one.presence.lapsed
    now = 109.0
    assert not one.presence.lapsed
    now = 120.0
    assert one.presence.lapsed
    await eventually(lambda: not one.presence.lapsed)


@promise
async def test_what_is_asked_before_a_standstill_is_done(
    chat: RedisChat, redis: RedisServer
) -> None:
    """Nobody is refused a name because their own server was frozen: Redis was well."""
    one = await chat.start(redis.url, timeout=0.2, lease=10.0)
    claims = [defer.Deferred.fromCoroutine(outcome(one.claimed(nick))) for nick in (ALICE, BOB)]
    stand_still(0.5)
    assert [await claim for claim in claims] == ["", ""]
    assert one.witness.uncertainties == 0  # nor was the connection lost


@promise
async def test_what_is_asked_before_a_lease_runs_out_is_done_after_it(
    chat: RedisChat, redis: RedisServer
) -> None:
    """A server that stood still for so long asserts itself anew first, and refuses nobody."""
    one = await chat.start(
        redis.url,
        timeout=0.3,
        lease=0.5,
        tick=30.0,
        reincarnated=lambda incarnation: stand_still(0.5),
    )
    two = await chat.start(redis.url, "two")
    await one.claimed(ALICE, LOBBY)
    await eventually(lambda: _is_free(two, ALICE))
    bob = session()
    claim = defer.Deferred.fromCoroutine(outcome(one.presence.claim(bob, BOB)))
    stand_still(0.5)
    assert await claim == ""
    assert len(one.incarnations) == 2


@promise
async def test_a_second_standstill_does_not_hide_what_others_did_in_the_first(
    chat: RedisChat, redis: RedisServer
) -> None:
    """Who lost their nick is told so before their server does anything for them, come what may."""
    now = 100.0
    one = await chat.start(
        redis.url,
        clock=lambda: now,
        timeout=0.2,
        lease=0.5,
        tick=30.0,
        reincarnated=lambda incarnation: stand_still(1.2),
    )
    two = await chat.start(redis.url, "two")
    alice = await one.claimed(ALICE)
    await eventually(lambda: _is_free(two, ALICE))
    now = 120.0
    assert one.presence.lapsed
    await one.presence.confirm()
    assert one.witness.lost_sessions == [alice]


@promise
async def test_many_who_ask_after_a_standstill_are_all_served(
    chat: RedisChat, redis: RedisServer
) -> None:
    """However many requests have waited for it, each is carried out when Redis was asked."""
    now = 100.0
    one = await chat.start(redis.url, clock=lambda: now, tick=30.0)
    for _ in range(2):  # each time anew
        now += 20.0
        assert one.presence.lapsed
        asking = [defer.Deferred.fromCoroutine(one.presence.confirm()) for _ in range(3)]
        for asked in asking:
            await asked
        assert not one.presence.lapsed


@promise
async def test_after_a_standstill_nobody_waits_for_a_lost_redis(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """The chat goes on in a few seconds, as without Redis at any time."""
    server = new_redis()
    now = 100.0
    one = await chat.start(server.url, clock=lambda: now, timeout=0.2, tick=30.0, stop_timeout=0.3)
    server.pause()
    now = 120.0
    assert one.presence.lapsed
    asking = defer.Deferred.fromCoroutine(one.presence.confirm())
    await eventually(lambda: asking.called, 5.0)
    assert not one.presence.lapsed


async def _is_free(instance: Instance, nick: Nick) -> bool:
    """Whether a nick could be had; it is taken then."""
    return await outcome(instance.presence.claim(session(), nick)) == ""
