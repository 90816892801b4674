"""What a verb costs in Redis, counted at a proxy between the service and it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import disroom.adapters.redis
from tests.cluster.chat import Chat, user
from tests.eventually import eventually_blocking
from tests.processes.client import LineClient
from tests.processes.redis_proxy import CountingProxy
from tests.processes.text_client import Clients

LUA = Path(disroom.adapters.redis.__file__).parent / "lua"

HEARTBEAT = {"PING", "tick"}
"""Once a second, on the connection for changes and on that for commands."""

COMPARISON = "versions"
"""Of all rooms, every 10 s, whatever people do meanwhile."""


def script_names() -> dict[bytes, str]:
    """The scripts by the hash that EVALSHA names them by."""
    shared = (LUA / "store.lua").read_bytes()
    return {
        hashlib.sha1(shared + file.read_bytes()).hexdigest().encode(): file.stem
        for file in LUA.glob("*.lua")
    }


class Redis:
    """What goes to Redis, by the names of the scripts."""

    def __init__(self, proxy: CountingProxy) -> None:
        self.proxy = proxy
        self._names = script_names()
        self._looked_at = 0

    def _all(self) -> list[str]:
        return [
            self._names[request.arguments[0]] if request.name == "EVALSHA" else request.name
            for request in self.proxy.requests()
        ]

    def since(self) -> list[str]:
        """The requests since the last look, without those that nobody has caused."""
        requests = self._all()
        new, self._looked_at = requests[self._looked_at :], len(requests)
        return [name for name in new if name not in HEARTBEAT and name != COMPARISON]

    def wait_for_heartbeat(self) -> None:
        """Return when all that had been asked for before is through."""
        before = len(self._all())
        eventually_blocking(lambda: set(self._all()[before:]) >= HEARTBEAT)

    def comparisons(self) -> int:
        """How often all rooms were compared."""
        return self._all().count(COMPARISON)


def test_one_round_trip_each(chat: Chat, clients: Clients) -> None:
    """Joining, leaving and listing are one each, whoever is in the room, here or elsewhere."""
    with CountingProxy(("127.0.0.1", int(chat.redis_url.rpartition(":")[2]))) as proxy:
        counted, other = chat.instance(redis=proxy.url), chat.instance()
        cat = user(clients, other, "cat", "rum")
        redis = Redis(proxy)
        people = {nick: LineClient(clients, counted.address) for nick in ("ann", "ben")}
        redis.wait_for_heartbeat()
        redis.since()

        def costs(nick: str, line: str, answer: str) -> list[str]:
            people[nick].send_line(line)
            people[nick].expect(answer)
            return redis.since()

        assert costs("ann", "nick ann", "You are ann") == ["claim"]
        assert costs("ben", "nick ben", "You are ben") == ["claim"]
        tea = r"-- #tea has no messages yet"
        # Nobody is in it; somebody is, here; somebody is, but not here.
        assert costs("ann", "join tea", tea) == ["join"]
        assert costs("ben", "join tea", tea) == ["join"]
        assert costs("ann", "join rum", r"-- #rum has no messages yet") == ["join"]
        cat.expect("--> ann joined")

        assert costs("ann", "users", "^Users in rum: cat, ann$") == ["listing"]
        assert costs("ann", "users tea", "^Users in tea: ann, ben$") == ["listing"]
        assert costs("ben", "users rum", "^Users in rum: cat, ann$") == ["listing"]
        assert costs("ben", "users pie", "^Users in pie: ") == ["listing"]

        assert costs("ben", "join tea", r"-- now talking in #tea") == ["listing"]
        assert costs("ben", "leave tea", "Left room tea") == ["leave"]
        assert costs("ann", "leave tea", "Left room tea") == ["leave"]
        assert costs("ann", "leave rum", "Left room rum") == ["leave"]
        cat.expect("<-- ann left")
        # One that was warm, and is so no longer.
        assert costs("ben", "join rum", r"-- #rum has no messages yet") == ["join"]
        cat.send_line("leave rum")
        people["ben"].expect("<-- cat left")
        cat.send_line("join rum")
        people["ben"].expect("--> cat joined")

        redis.wait_for_heartbeat()
        assert redis.since() == []
        assert redis.comparisons() <= 3
