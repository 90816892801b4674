"""A cluster of three NATS nodes loses some of them, or all, while people talk on two instances."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.chat import Chat
from tests.faults.notices import judge_notices
from tests.faults.proof import ASK_SECONDS, Elections, gone, leader_of
from tests.faults.report import Fault
from tests.faults.talk import Talk
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.rawnats import JetStreamError, RawNats
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients

AFTER_ELECTION_SECONDS = 2.0

LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n'
"""The shortest; a node with few clients is done a little after the grace period."""


@pytest.fixture(scope="module")
def module_nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three nodes that take little time for leaving in good order."""
    directory = tmp_path_factory.mktemp("cluster")
    with NatsCluster(directory, extra_config=LAME_DUCK) as cluster:
        yield cluster


@pytest.fixture
def servers(
    nats_cluster: NatsCluster,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    unique: str,
) -> tuple[Chat, list[DisroomProcess]]:
    """Two instances on the cluster, with three replicas of the stream."""
    chat = Chat(new_disroom, nats_cluster.urls[0], redis.url, unique)
    chat.settings["DISROOM_STREAM_REPLICAS"] = "3"
    return chat, [chat.instance(nats=nats_cluster.urls) for _ in range(2)]


@pytest.mark.parametrize("rate", [100, pytest.param(500, marks=pytest.mark.faults)])
def test_the_leader_of_the_stream_is_killed(
    nats_cluster: NatsCluster,
    servers: tuple[Chat, list[DisroomProcess]],
    clients: Clients,
    fault: Fault,
    rate: int,
) -> None:
    """Nothing is lost, and people talk again by themselves within 2 s of the election."""
    chat, instances = servers
    talk = Talk(chat, clients, instances, rate=rate)
    talk.run(2)
    leader = nats_cluster.stream_leader(chat.name)
    other = next(node for node in nats_cluster.nodes if node is not leader)
    with other.connect() as watching:
        elections = Elections(watching, chat.name)
        leader.kill()
        killed = time.monotonic()
        fault.proved(gone(leader))
        assert talk.run_until(elections.look, 30), "no leader was elected"
        fault.proved(
            f"leader {leader.name} -> {elections.leader} after {elections.at - killed:.1f} s"
        )
        assert elections.leader != leader.name
        talk.run_until(lambda: talk.answered_since(elections.at), 10)
        talk.run(1)
    with other.connect() as raw:
        verdict = talk.verdict(raw)
    flowed = talk.flowed(elections.at)
    notices = judge_notices(talk.here)
    fault.reported(
        f"leader of the stream killed at {rate} messages/s",
        verdict,
        notices,
        f"flow again {flowed:.1f} s after the election, for all {talk.resumed(elections.at):.1f} s",
    )
    verdict.check()
    notices.check()
    assert notices.senders, "nobody had to wait"
    assert talk.resumed(elections.at) < AFTER_ELECTION_SECONDS


def test_all_nodes_are_killed_at_once(
    nats_cluster: NatsCluster,
    servers: tuple[Chat, list[DisroomProcess]],
    clients: Clients,
    fault: Fault,
) -> None:
    """When a quorum is back people talk again within 2 s, and nothing is lost."""
    chat, instances = servers
    talk = Talk(chat, clients, instances, rate=40)
    talk.run(1)
    for node in nats_cluster.nodes:
        node.kill()
    killed = time.monotonic()
    fault.proved(", ".join(gone(node) for node in nats_cluster.nodes))
    talk.run(2)
    for node in nats_cluster.nodes:
        node.launch()
    launched = time.monotonic()
    assert talk.run_until(lambda: leader_of(nats_cluster, chat.name), 30), "no leader was elected"
    elected = time.monotonic()
    talk.run_until(lambda: talk.answered_since(elected), 10)
    talk.run(1)
    nats_cluster.wait_in_sync(chat.name)
    with nats_cluster.connect() as raw:
        verdict = talk.verdict(raw)
    resumed = talk.resumed(elected)
    fault.reported(
        f"all three nodes killed for {launched - killed:.1f} s",
        verdict,
        f"a leader {elected - launched:.1f} s after their start, all talk {resumed:.1f} s later",
    )
    verdict.check()
    judge_notices(talk.here).check()
    assert all(talker.told("delayed", killed) for talker in talk.here)
    assert resumed < AFTER_ELECTION_SECONDS


def ended(node: NatsServer) -> bool:
    """Whether a node has gone."""
    return not node.running


@pytest.mark.faults
def test_all_nodes_are_restarted_in_turn(
    nats_cluster: NatsCluster,
    servers: tuple[Chat, list[DisroomProcess]],
    clients: Clients,
    fault: Fault,
) -> None:
    """A rolling restart (lame duck) is no error to anybody, and nothing is lost."""
    chat, instances = servers
    talk = Talk(chat, clients, instances, rate=100)
    talk.run(1)
    for node in nats_cluster.nodes:
        old = node.pid
        os.kill(old, signal.SIGUSR2)
        assert talk.run_until(partial(ended, node), 45), f"{node.name} stays"
        node.launch()
        fault.proved(f"{node.name}: pid {old} -> {node.pid}")
        talk.run(1)
        node.wait_ready()
        nats_cluster.wait_in_sync(chat.name)
        talk.run(2)
    with nats_cluster.connect() as raw:
        verdict = talk.verdict(raw)
    delays = sum(len(talker.told("delayed")) for talker in talk.here)
    slowest = max(at - t.said[id_] for t in talk.here for id_, at in t.heard.items())
    fault.reported(
        "rolling restart of three nodes",
        verdict,
        f"{delays} times told of a delay, the longest {slowest:.1f} s",
    )
    verdict.check()
    assert not [line.text for talker in talk.here for line in talker.told("Error")]


@pytest.mark.faults
def test_nodes_are_added_and_an_original_one_is_removed(
    tmp_path: Path,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    clients: Clients,
    fault: Fault,
    unique: str,
) -> None:
    """A cluster that moves to other machines under talk is no error to anybody; nothing is lost."""
    with NatsCluster(tmp_path / "nats", extra_config=LAME_DUCK) as cluster, ExitStack() as added:
        chat = Chat(new_disroom, cluster.urls[0], redis.url, unique)
        chat.settings["DISROOM_STREAM_REPLICAS"] = "3"
        instances = [chat.instance(nats=cluster.urls) for _ in range(2)]
        talk = Talk(chat, clients, instances, rate=100)
        talk.run(1)
        for name in ("n4", "n5"):
            node = added.enter_context(further_node(cluster, tmp_path, name))
            cluster.nodes.append(node)
            talk.run(1)
        original = cluster.nodes[0]
        with cluster.nodes[1].connect() as raw:
            for stream in (chat.name, f"KV_{chat.name}_TOPICS"):
                peers = stream_peers(raw, stream)
                if original.name in peers:
                    raw.jetstream(f"STREAM.PEER.REMOVE.{stream}", {"peer": original.name})
                assert talk.run_until(partial(moved, raw, stream, original.name), 30), "not moved"
                fault.proved(f"{stream.split('_')[-1]}: {peers} -> {stream_peers(raw, stream)}")
        os.kill(original.pid, signal.SIGUSR2)
        assert talk.run_until(partial(ended, original), 45), "the original node stays"
        fault.proved(gone(original))
        talk.run(3)
        with cluster.connect() as raw:
            verdict = talk.verdict(raw)
        slowest = max(at - t.said[id_] for t in talk.here for id_, at in t.heard.items())
    fault.reported(
        "two nodes added and an original one removed", verdict, f"slowest message {slowest:.1f} s"
    )
    verdict.check()
    assert not [line.text for talker in talk.here for line in talker.told("Error")]


def further_node(cluster: NatsCluster, directory: Path, name: str) -> NatsServer:
    """One more node of a cluster, not started; it knows the others, who learn of it."""
    routes = re.search(r"routes: \[.*?\]", cluster.nodes[0].extra_config)
    assert routes
    config = f'cluster {{ name: "tests", listen: "127.0.0.1:-1", {routes[0]} }}\n'
    return NatsServer(directory / name, name=name, extra_config=config + LAME_DUCK)


def stream_peers(raw: RawNats, stream: str) -> list[str]:
    """The nodes that have the stream, by name."""
    cluster = raw.stream_info(stream)["cluster"]
    return sorted([cluster.get("leader", ""), *(r["name"] for r in cluster.get("replicas", []))])


def moved(raw: RawNats, stream: str, away_from: str) -> bool:
    """Whether three other nodes have all of the stream; asked once, briefly."""
    try:
        replicas = raw.stream_info(stream, ASK_SECONDS)["cluster"].get("replicas", [])
        peers = stream_peers(raw, stream)
    except (JetStreamError, OSError):  # while it has no leader
        return False
    whole = all(replica["current"] for replica in replicas)
    return len(peers) == 3 and "" not in peers and away_from not in peers and whole
