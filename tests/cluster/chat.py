"""What the cluster tests share: instances on the worker's brokers, and users that count."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.processes.client import LineClient, ProgramClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

User = LineClient | ProgramClient
"""Whatever a user types into."""

ID = re.compile(r"<[0-9a-z.-]+>")
DATED = re.compile(r"\[\d{4}-")


@dataclass
class Chat:
    """Instances of one chat, apart from every other on the same brokers.

    Attributes:
        name: Of the stream, and the prefix of its subjects and of Redis's keys.
    """

    new: Callable[..., DisroomProcess]
    nats_url: str
    redis_url: str
    name: str
    settings: dict[str, str] = field(default_factory=dict)

    def instance(self, **arguments: object) -> DisroomProcess:
        """Start an instance."""
        return self.new(**self.arguments(**arguments))

    def arguments(self, **arguments: object) -> dict[str, object]:
        """What an instance of this chat is started with."""
        extra = arguments.pop("env", {})
        assert isinstance(extra, dict)
        env = {
            "DISROOM_STREAM_NAME": self.name,
            "DISROOM_STREAM_SUBJECTS": self.name,
            "DISROOM_STREAM_MAX_BYTES": "64MiB",
            "DISROOM_REDIS_PREFIX": self.name,
            "DISROOM_PRESENCE_SETTLE": "100ms",
            **self.settings,
            **extra,
        }
        return {"nats": [self.nats_url], "redis": self.redis_url, "env": env, **arguments}


def user(clients: Clients, server: DisroomProcess, nick: str, room: str) -> LineClient:
    """Connect a user who joins a room; returns once it is in it."""
    client = LineClient(clients, server.address)
    enter(client, nick, room)
    return client


def enter(client: User, nick: str, room: str) -> None:
    """Have a connected user join a room and wait until it is in it."""
    client.expect("Welcome to DisRoom")
    client.send_line(f"join {room}")
    client.expect_prompt("Enter your user ID: ")
    client.send_line(nick)
    client.expect(f"Joined room {room} as {nick}")
    client.expect(f"-- #{room} ")


def ids(lines: list[str]) -> list[str]:
    """The ids of messages, in the order of the lines."""
    return [found[0] for line in lines if (found := ID.search(line))]


def history(client: User, room: str) -> list[str]:
    """The ids that `history` shows, oldest first."""
    client.send_line("ping\nhistory 1000")
    client.expect("^Pong$")
    lines = client.collect_until(f"^-- #{room} .*(older|messages)")
    return ids([line for line in lines if DATED.match(line)])
