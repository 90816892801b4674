"""RedisPresence when sessions are resumed while instances or Redis die, or answers are lost."""

import secrets

import msgspec
import pytest
from twisted.internet import defer, reactor

from disroom.adapters.boottime import boot_time
from disroom.adapters.redis.address import RedisAddress
from disroom.adapters.redis.holdings import Held
from disroom.adapters.redis.instance import RedisInstance
from disroom.adapters.redis.scripts import Moved
from disroom.adapters.redis.settings import RedisSettings
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
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.resp import RespFrame

FIRST, SECOND, THIRD = (letter * 64 for letter in "abc")


def an_answer(way: str, frame: RespFrame) -> bool:
    """Whether this is what a script answered."""
    return way == "to_client" and isinstance(frame.value, bytes)


def a_publication(way: str, frame: RespFrame) -> bool:
    """Whether this is what another instance published."""
    return way == "to_client" and isinstance(frame.value, list) and frame.value[0] == b"message"


async def until_names(instance: Instance, *names: str) -> None:
    """Wait until these are in the lobby."""

    async def so() -> bool:
        return await instance.names(LOBBY) == list(names)

    await eventually(so)


@promise
async def test_who_lost_its_server_resumes_before_during_and_after_its_end(
    chat: RedisChat, new_redis: NewRedis, redis_kind: RedisKind, new_proxy: NewProxy
) -> None:
    """A killed server costs its users nothing if they are quick, and their place if they are not.

    Quick is: before the others have noticed; or within the grace after that.
    """
    server = new_redis(kind=redis_kind)
    proxy = new_proxy(server)
    dying = await chat.start(proxy.url, "dying", lease=1.5, grace=1.5)
    two = await chat.start(server.url, "two", lease=1.5, grace=1.5)
    users = [await dying.claimed(nick, LOBBY, key=FIRST) for nick in (ALICE, BOB, CAROL)]
    dave = await dying.claimed(Nick.parse("dave"), LOBBY)
    alice, bob, carol = users
    cut_off(proxy)
    before = await two.presence.locate(ALICE)
    assert before and before.instance == dying.presence.incarnation
    assert (await two.presence.resume(alice, FIRST, SECOND)).rooms == (LOBBY,)
    assert await two.names(LOBBY) == ["alice", "bob", "carol", "dave"]
    await until_names(two, "alice", "bob*", "carol*")
    await two.witness.until(lambda w: [m.session for m in w.of(LOBBY)[-1].left] == [dave])
    reaped = two.witness.of(LOBBY)[-1]
    assert {new.session for _, new in reaped.renamed} == {bob, carol}
    assert all(new.away for _, new in reaped.renamed)
    orphan = await two.presence.locate(BOB)
    assert orphan and (orphan.instance, orphan.instance_name, orphan.away) == ("", "", None)
    assert await outcome(two.claimed(CAROL)) == "nick-taken"
    await two.presence.resume(bob, FIRST, SECOND)
    await until_names(two, "alice", "bob")
    await two.witness.until(lambda w: [m.session for m in w.of(LOBBY)[-1].left] == [carol])
    assert two.witness.of(LOBBY)[-1].reason == "connection lost"
    assert await outcome(two.presence.resume(carol, FIRST, SECOND)) == "no-session"
    await two.claimed(CAROL)
    for each in (alice, bob):
        await two.presence.release(each, "")
    assert not {"orphans", "reaping"} & set(chat.keys(server))


@promise
async def test_an_ended_grace_is_noticed_by_whoever_resumes(
    chat: RedisChat, redis: RedisServer
) -> None:
    """Between the end of the grace and the next tick nobody comes back either."""
    one = await chat.start(redis.url, grace=0.0)
    two = await chat.start(redis.url, "two", tick=60, lease=120)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    await one.presence.stop()
    assert await outcome(two.presence.resume(alice, FIRST, SECOND)) == "no-session"
    await two.witness.heard(LOBBY, "+alice", "alice>alice", "-alice (connection lost)")
    await two.claimed(ALICE)


@promise
async def test_thousands_who_are_not_back_leave_in_steps(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """The end of many graces at once does not hold up the others, nor is told twice."""
    server = new_redis()
    dying = await chat.start(server.url, "dying", lease=5, grace=0.2)
    await dying.crowd(2100, LOBBY, key=FIRST)
    survivors = [await chat.start(server.url, name) for name in ("two", "three")]
    await dying.presence.stop()
    for survivor in survivors:
        await survivor.witness.until(
            lambda witness: sum(len(change.left) for change in witness.changes) == 2100
        )
        told = survivor.witness.changes
        assert [len(change.renamed) for change in told if change.renamed] == [1000, 1000, 100]
        assert [len(change.left) for change in told if change.left] == [1000, 1000, 100]
    assert "orphans" not in chat.keys(server)


@promise
async def test_nobody_ends_while_the_store_settles(chat: RedisChat, new_redis: NewRedis) -> None:
    """Who waits to be resumed is not ended by a clock that jumped, before that is settled."""
    server = new_redis()
    one = await chat.start(server.url, grace=600)
    two = await chat.start(server.url, "two", settle=1.0)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    await one.presence.stop()
    server.command("HINCRBY", f"{chat.prefix}:epoch", "seen", -3_600_000)
    await two.until_settled(False)
    server.command("ZINCRBY", f"{chat.prefix}:orphans", -3_600_000, alice)
    settled = server.command("HGET", f"{chat.prefix}:epoch", "settled")
    told = await two.witness.heard(LOBBY, "+alice", "alice>alice", "-alice (connection lost)")
    assert isinstance(settled, bytes)
    assert told[-1].at * 1000 >= int(settled)


@promise
async def test_a_clock_that_is_put_back_keeps_no_orphan(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """Who waits to be resumed when the clock is put back by an hour is not shown for an hour."""
    server = new_redis()
    one = await chat.start(server.url)
    two = await chat.start(server.url, "two", grace=0.5)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    await one.presence.stop()
    server.command("ZINCRBY", f"{chat.prefix}:orphans", 3_600_000, alice)
    server.command("HINCRBY", f"{chat.prefix}:session:{alice}", "grace_until", 3_600_000)
    server.command("HINCRBY", f"{chat.prefix}:epoch", "seen", 3_600_000)
    await two.witness.heard(LOBBY, "+alice", "alice>alice", "-alice (connection lost)")


@promise
async def test_a_server_hears_at_once_who_went_elsewhere(
    chat: RedisChat, redis: RedisServer
) -> None:
    """A connection that is half dead is closed as soon as its client has another."""
    one = await chat.start(redis.url, lease=600, tick=60)
    two = await chat.start(redis.url, "two", lease=600, tick=60)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    await two.presence.resume(alice, FIRST, SECOND)
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    assert alice not in one.presence.nicks()
    assert alice in two.presence.nicks()


@promise
async def test_a_server_that_missed_the_news_finds_out_by_itself(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Nobody is served twice because an announcement went unheard."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url)
    two = await chat.start(redis.url, "two")
    alice, bob = await one.claimed(ALICE, LOBBY, key=FIRST), await one.claimed(BOB, LOBBY)
    proxy.drop_if(a_publication)
    await two.presence.resume(alice, FIRST, SECOND)
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    proxy.drop_nothing()
    assert await outcome(one.presence.leave(bob, LOBBY, "")) == ""
    assert await two.names(LOBBY) == ["alice"]
    assert one.witness.lost_sessions == []


@promise
async def test_a_server_that_missed_the_news_finds_out_when_it_acts(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """What a session does after it was resumed elsewhere is refused, and tells its server."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=600, tick=60)
    two = await chat.start(redis.url, "two", lease=600, tick=60)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    proxy.drop_if(a_publication)
    await two.presence.resume(alice, FIRST, SECOND)
    assert await outcome(one.presence.join(alice, ATTIC, 0)) == "presence-unavailable"
    assert one.witness.moved_sessions == [alice]
    found = await two.presence.locate(ALICE)
    assert found and found.instance == two.presence.incarnation and found.rooms == (LOBBY,)


@promise
async def test_a_server_that_comes_back_finds_its_sessions_elsewhere(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Cut off from Redis alone, a server takes nobody back who went on elsewhere meanwhile."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url)
    two = await chat.start(redis.url, "two")
    alice, bob = [await one.claimed(nick, LOBBY, key=FIRST) for nick in (ALICE, BOB)]
    cut_off(proxy)
    await until_names(two, "alice*", "bob*")
    await two.presence.resume(alice, FIRST, SECOND)
    proxy.accept()
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    await until_names(two, "alice", "bob")
    found = await two.presence.locate(BOB)
    assert found and found.instance == one.presence.incarnation
    await two.presence.resume(bob, FIRST, SECOND)
    await one.witness.until(lambda witness: witness.moved_sessions == [alice, bob])
    assert one.witness.lost_sessions == two.witness.moved_sessions == []


@promise
@pytest.mark.parametrize("later", [True, False])
async def test_news_that_overtakes_the_answer_is_heeded(
    chat: RedisChat, redis: RedisServer, later: bool
) -> None:
    """A session that went on before its answer came is not kept here; by older news it is."""
    one = await chat.start(redis.url, lease=600, tick=60)
    two = await chat.start(redis.url, "two", lease=600, tick=60)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    await two.presence.resume(alice, FIRST, SECOND)
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    resuming = defer.Deferred.fromCoroutine(outcome(one.presence.resume(alice, SECOND, THIRD)))
    news = Moved(alice, tenure=3 if later else 1, holder=two.presence.incarnation)
    one.presence._instance._published(msgspec.msgpack.encode(news))
    assert await resuming == ("resumed-elsewhere" if later else "")
    held = one.presence._instance.holdings
    assert (alice in held.sessions) is not later
    assert not held.resuming and not held.overtaken


@promise
async def test_an_unanswered_resumption_leaves_nothing_behind(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Whose resumption got no answer tries again with the same token, or is gone in time."""
    proxy = new_proxy(redis)
    one = await chat.start(redis.url, lease=60)
    two = await chat.start(proxy.url, "two", lease=60, grace=0.6)
    alice, bob = [await one.claimed(nick, LOBBY, key=FIRST) for nick in (ALICE, BOB)]
    carol = await two.claimed(CAROL, LOBBY)
    proxy.drop_if(an_answer)
    failing = [two.presence.resume(each, FIRST, SECOND) for each in (alice, bob)]
    outcomes = [defer.Deferred.fromCoroutine(outcome(work)) for work in failing]
    assert await defer.gatherResults(outcomes) == ["presence-unavailable"] * 2
    proxy.drop_nothing()
    await one.witness.until(lambda witness: sorted(witness.moved_sessions) == sorted([alice, bob]))
    await one.presence.resume(alice, FIRST, THIRD)
    await until_names(one, "alice", "carol")
    assert await outcome(one.presence.resume(bob, FIRST, THIRD)) == "no-session"
    assert two.witness.moved_sessions == []
    await two.presence.release(carol, "")


@promise
async def test_a_suspension_is_made_good_when_redis_is_back(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """Whose connection broke while Redis was away is shown away afterwards, with its grace."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=60)
    two = await chat.start(redis.url, "two", lease=60)
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    cut_off(proxy)
    await eventually(lambda: proxy.connections == 0)
    suspending = one.presence.suspend(alice, 30, "until seven")
    assert await outcome(suspending) == "presence-unavailable"
    proxy.accept()
    await until_names(two, "alice*")
    left = grace_of(redis, chat, alice)
    assert 25_000 < left <= 30_000
    assert (await two.presence.resume(alice, FIRST, SECOND)).given == "until seven"
    assert await two.names(LOBBY) == ["alice"]


@promise
async def test_a_suspension_that_missed_the_assertion_is_made_good(
    chat: RedisChat, redis: RedisServer
) -> None:
    """While a big server comes back a suspension may be too late for it; the next tick has it."""
    one = await chat.start(redis.url)
    settings = RedisSettings(prefix=chat.prefix, lease=1.0, tick=0.2)
    instance = RedisInstance(
        reactor=reactor,
        settings=settings,
        address=lambda: RedisAddress.parse(redis.url),
        instance_name="two",
        fresh_id=secrets.token_urlsafe,
    )
    await instance.start()
    await instance.ask("claim", "s", ALICE.token, ALICE.display, FIRST)
    held = instance.holdings.sessions["s"] = Held(ALICE, 1, key=FIRST)
    await instance.ask("join", "s", LOBBY.token, LOBBY.display, 0)
    held.ends = boot_time() + 30
    instance.holdings.unmarked.add("s")
    await until_names(one, "alice*")
    assert 25_000 < grace_of(redis, chat, "s") <= 30_000
    await eventually(lambda: not instance.holdings.unmarked)
    await instance.stop()


def grace_of(server: RedisServer, chat: RedisChat, session: str) -> int:
    """The milliseconds for which a session can still be resumed."""
    ends = server.command("HGET", f"{chat.prefix}:session:{session}", "grace_until")
    now = server.command("TIME")
    assert isinstance(ends, bytes) and isinstance(now, list)
    seconds, microseconds = (int(part) for part in now if isinstance(part, bytes))
    return int(ends) - seconds * 1000 - microseconds // 1000


@promise
async def test_a_store_that_lost_everything_learns_the_keys_again(
    chat: RedisChat, new_redis: NewRedis, redis_kind: RedisKind
) -> None:
    """After a crash of Redis the clients' tokens are good as before, also the last but one."""
    server = new_redis(kind=redis_kind)
    one = await chat.start(server.url)
    two = await chat.start(server.url, "two")
    gone = await chat.start(server.url, "gone")
    alice = await one.claimed(ALICE, LOBBY, ATTIC, key=FIRST)
    bob = await one.claimed(BOB, LOBBY, key=FIRST)
    carol = await gone.claimed(CAROL, LOBBY, key=FIRST)
    await one.presence.resume(alice, FIRST, SECOND)
    await one.presence.suspend(bob, 30, "until seven")
    await gone.presence.stop()
    server.command("FLUSHALL")
    await one.until_settled(False)
    resumed = await two.presence.resume(alice, FIRST, THIRD)  # it waits for the store to settle
    assert resumed.rooms == (LOBBY, ATTIC)
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    assert await two.names(LOBBY) == ["alice", "bob*"]
    assert 25_000 < grace_of(server, chat, bob) <= 30_000
    assert await outcome(two.presence.resume(carol, FIRST, SECOND)) == "no-session"
    assert (await two.presence.resume(bob, FIRST, SECOND)).given == "until seven"
    assert await two.names(LOBBY) == ["alice", "bob"]


@promise
async def test_of_two_servers_that_assert_a_session_the_later_holder_is_right(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """A crash of Redis does not give a session back to the server that it had left."""
    server = new_redis()
    proxies = [new_proxy(server), new_proxy(server)]
    one = await chat.start(proxies[0].url)
    two = await chat.start(proxies[1].url, "two")
    alice = await one.claimed(ALICE, LOBBY, key=FIRST)
    proxies[0].refuse()
    proxies[0].cut()
    await two.presence.resume(alice, FIRST, SECOND)  # of which one does not hear
    proxies[1].refuse()
    server.kill()
    server.start()
    proxies[0].accept()
    await eventually(lambda: server.command("HGET", f"{chat.prefix}:nicks", "alice") is not None)
    proxies[1].accept()
    await one.witness.until(lambda witness: witness.moved_sessions == [alice])
    await two.until_settled(True)
    found = await two.presence.locate(ALICE)
    assert found and found.instance == two.presence.incarnation
    assert two.witness.moved_sessions == two.witness.lost_sessions == []


@promise
async def test_resuming_and_suspending_are_one_round_trip_each(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """A client that comes back is served at once."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=600, tick=60)
    alice = await one.claimed(ALICE, LOBBY, ATTIC)
    for work in (
        lambda: one.presence.arm(alice, FIRST),
        lambda: one.presence.suspend(alice, 30),
        lambda: one.presence.resume(alice, FIRST, SECOND),
        lambda: one.presence.settle(alice),
    ):
        proxy.forget()
        await work()
        assert [request.name for request in proxy.requests()] == ["EVALSHA"]
    proxy.forget()
    await one.presence.settle(alice)
    assert proxy.requests() == []


@promise
async def test_who_went_and_came_back_before_its_going_was_known_is_taken_up_anew(
    chat: RedisChat, redis: RedisServer, new_proxy: NewProxy
) -> None:
    """A server forgets what it knew of a session that was elsewhere, however late the news is."""
    proxy = new_proxy(redis)
    one = await chat.start(proxy.url, lease=600, tick=60)
    two = await chat.start(redis.url, "two", lease=600, tick=60)
    alice = await one.claimed(ALICE, LOBBY, ATTIC, key=FIRST)
    proxy.drop_if(a_publication)
    await two.presence.resume(alice, FIRST, SECOND)
    await two.presence.leave(alice, ATTIC, "")
    await two.presence.rename(alice, BOB)
    resumed = await one.presence.resume(alice, SECOND, THIRD)
    assert (str(resumed.nick), resumed.rooms) == ("bob", (LOBBY,))
    assert one.witness.moved_sessions == [alice]
    await one.presence.resume(alice, THIRD, FIRST)
    assert one.witness.moved_sessions == [alice]
    assert one.presence.nicks() == {alice: "bob"}
