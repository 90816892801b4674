"""The room log on a real cluster of three NATS nodes: replicas that lag, leaders that die."""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredList

from tests.adapters.jetstream.nats_log import (
    TEA,
    Follower,
    NatsLogs,
    Talk,
    draft,
    following,
    stored_texts,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.nats_cluster import NatsCluster


@promise
async def test_each_message_is_on_three_nodes(
    replicated: NatsLogs, nats_cluster: NatsCluster
) -> None:
    """With replicas = 3 the cluster keeps the messages and the topics on three nodes."""
    log = await replicated.log(*nats_cluster.urls)
    await log.append(TEA, draft("a"))
    await log.append(TEA, draft("topic", kind="topic"))
    nats_cluster.wait_in_sync(replicated.settings.name)
    with nats_cluster.connect() as raw:
        for stream in (replicated.settings.name, f"KV_{replicated.settings.bucket}"):
            info = raw.stream_info(stream)
            assert info["config"]["num_replicas"] == 3
            assert len(info["cluster"]["replicas"]) == 2 and info["cluster"]["leader"]
            assert info["state"]["consumer_count"] == 0


@promise
async def test_a_lagging_replica_hides_nothing_that_was_seen(
    replicated: NatsLogs, nats_cluster: NatsCluster
) -> None:
    """Who has the receipt of a message, or has seen it, reads it back at once, on any node."""
    one, two, three = [await replicated.log(node.url) for node in nats_cluster.nodes]
    followers = [await following(log) for log in (one, two, three)]
    for number in range(200):
        log = (one, two, three)[number % 3]
        await log.append(TEA, draft(f"{number}"))
        page = await log.history(TEA, 1, None)
        assert [message.text for message in page.messages] == [f"{number}"]
        await log.append(TEA, draft(f"topic {number}", kind="topic"))
    for follower in followers:
        await eventually(lambda: all(len(follower.events) == 400 for follower in followers))
        assert follower.events == followers[0].events


@promise
async def test_a_killed_leader_loses_nothing_that_was_acknowledged(
    replicated: NatsLogs, nats_cluster: NatsCluster
) -> None:
    """Through the death of the stream's leader everybody sees the same, in order, and once."""
    members = [await replicated.log(*nats_cluster.urls) for _ in range(3)]
    followers = [await following(log) for log in members]
    talks = [Talk(log, name) for log, name in zip(members, ("ann", "bob", "cat"), strict=True)]
    for talk in talks:
        await talk.more()
    leader = nats_cluster.stream_leader(replicated.settings.name)
    leader.kill()
    late = await replicated.log(*nats_cluster.urls)
    await late.follow(TEA, Follower(), 10)  # people can join meanwhile
    for talk in talks:
        await talk.more(seconds=30.0)
    leader.start()
    for talk in talks:
        await talk.more()
    await DeferredList([Deferred.fromCoroutine(talk.end()) for talk in talks])
    assert [talk.failed for talk in talks] == [[], [], []]
    with nats_cluster.connect() as raw:
        stored = stored_texts(raw, replicated.settings)
    assert sorted(stored) == sorted(text for talk in talks for text in talk.acknowledged)
    for talk, name in zip(talks, ("ann", "bob", "cat"), strict=True):
        assert [text for text in stored if text.startswith(name)] == talk.acknowledged
    for follower in followers:
        await follower.hears(*stored)
    page = await late.history(TEA, 1000, None)
    assert [message.text for message in page.messages] == stored[-1000:]


@promise
async def test_the_other_nodes_are_found_by_themselves(
    replicated: NatsLogs, nats_cluster: NatsCluster
) -> None:
    """An instance that was given one node goes on with another when that one dies."""
    first = nats_cluster.nodes[0]
    log = await replicated.log(first.url)
    follower = await following(log)
    await log.append(TEA, draft("a"))
    first.kill()
    await log.append(TEA, draft("b"))
    await follower.hears("a", "b")
    first.start()
