"""What the stream keeps, and what it lets go, as `history` shows it."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.chat import Chat, history, ids, user
from tests.eventually import eventually_blocking
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients


def say(client: LineClient, *texts: str) -> None:
    """Say something and wait until it is stored."""
    for text in texts:
        client.send_line(f"send {text}")
        client.expect(f": {text}")


def test_age(chat: Chat, clients: Clients) -> None:
    """What is older than max_age is gone, for members who are there as for those who join."""
    chat.settings["DISROOM_STREAM_MAX_AGE"] = "3s"
    server = chat.instance()
    ann = user(clients, server, "ann", "tea")
    say(ann, "<1>", "<2>")
    assert history(ann, "tea") == ["<1>", "<2>"]
    eventually_blocking(lambda: history(ann, "tea") == [], timeout=10)
    ben = user(clients, server, "ben", "tea")
    assert ids(ben.lines) == []
    say(ann, "<3>")
    assert history(ben, "tea") == ["<3>"]


def test_messages_a_room(chat: Chat, clients: Clients) -> None:
    """A room keeps its last messages, however many other rooms have."""
    chat.settings["DISROOM_STREAM_MAX_MESSAGES_PER_ROOM"] = "5"
    server = chat.instance()
    ann, ben = user(clients, server, "ann", "tea"), user(clients, server, "ben", "rum")
    say(ben, "<ben>")
    say(ann, *(f"<{n}>" for n in range(5)))
    assert history(ann, "tea") == [f"<{n}>" for n in range(5)]
    say(ann, *(f"<{n}>" for n in range(5, 8)))
    assert history(ann, "tea") == [f"<{n}>" for n in range(3, 8)]
    assert history(ben, "rum") == ["<ben>"]


def test_total_size(chat: Chat, clients: Clients) -> None:
    """Beyond max_bytes the oldest messages of all go first."""
    chat.settings["DISROOM_STREAM_MAX_BYTES"] = "20KiB"
    server = chat.instance()
    ann = user(clients, server, "ann", "tea")
    say(ann, *(f"<{n}> {'x' * 1000}" for n in range(10)))
    assert history(ann, "tea") == [f"<{n}>" for n in range(10)]
    say(ann, *(f"<{n}> {'x' * 1000}" for n in range(10, 40)))
    kept = history(ann, "tea")
    assert kept == [f"<{n}>" for n in range(40 - len(kept), 40)]
    assert 10 <= len(kept) < 20


def test_interest(chat: Chat, clients: Clients, nats: NatsServer) -> None:
    """A room is kept while somebody is in it, on any instance, and for the grace after that."""
    chat.settings["DISROOM_STREAM_RETENTION"] = "interest"
    chat.settings["DISROOM_STREAM_INTEREST_GRACE"] = "2s"
    first, second = chat.instance(), chat.instance()
    ann, ben = user(clients, first, "ann", "tea"), user(clients, second, "ben", "tea")
    cat = user(clients, second, "cat", "rum")
    say(cat, "<kept>")
    say(ann, "<1>", "<2>")
    ann.send_line("exit")
    ann.expect("Goodbye")
    ben.expect("ann: <2>")
    assert history(ben, "tea") == ["<1>", "<2>"]
    ben.send_line("leave tea")
    ben.expect("Left room tea")

    def stored(room: str) -> int:
        with nats.connect() as raw:
            return len(raw.stream_messages(chat.name, f"{chat.name}.room.{room}"))

    assert stored("tea") == 2
    eventually_blocking(lambda: stored("tea") == 0, timeout=20)
    assert stored("rum") == 1
    ben.send_line("join tea")
    ben.expect("-- #tea has no messages yet")
    say(ben, "<3>")
    assert history(ben, "tea") == ["<3>"]
    assert history(cat, "rum") == ["<kept>"]


def test_three_replicas(
    nats_cluster: NatsCluster,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    clients: Clients,
    unique: str,
) -> None:
    """`replicas = 3` is what the stream and the topics' bucket have on a real cluster."""
    chat = Chat(new_disroom, nats_cluster.urls[0], redis.url, unique)
    chat.settings["DISROOM_STREAM_REPLICAS"] = "3"
    server = chat.instance(nats=nats_cluster.urls)
    ann = user(clients, server, "ann", "tea")
    say(ann, "<1>")
    with nats_cluster.connect() as raw:
        for stream in (chat.name, f"KV_{chat.name}_TOPICS"):
            info = raw.stream_info(stream)
            assert info["config"]["num_replicas"] == 3
            assert len(info["cluster"]["replicas"]) == 2
