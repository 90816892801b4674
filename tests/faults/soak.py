"""A long conversation during which an instance or a broker is killed every so often.

    python -m tests.faults.soak --minutes 20 --users 500

Two instances, three NATS nodes and a Redis; one at a time, chosen at random, is killed with -9 and
started again 5 s later. Users of a killed instance come back to either. It ends with status 1 if
anything that was acknowledged is lost, twice or out of order, if an instance's memory grows, if
JetStream has consumers, or if there are more subscriptions than rooms account for.
"""

import argparse
import contextlib
import json
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.chat import Chat
from tests.eventually import eventually_blocking
from tests.faults.count import Verdict, judge
from tests.faults.talk import read_truth
from tests.faults.talker import Talker
from tests.processes.child import Child
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients

USERS_A_ROOM = 10
DOWN_SECONDS = 5.0
TURN_SECONDS = 0.1
KNOCK_SECONDS = 2.0
SAMPLE_SECONDS = 5.0
LAST_SECONDS = 60.0
"""Without faults at the end, in which all must be made good."""

CONSTANT_SUBSCRIPTIONS = 12
"""Of one instance, besides one for each of its rooms: answers, announcements, private messages."""

MOST_GROWTH = 1.1
MONITOR = re.compile(r"Starting http monitor on (127\.0\.0\.1:\d+)")


@dataclass
class Seat:
    """A place in a room, and who has it at present.

    Attributes:
        entered: Whether the user is in the room, so that it may talk.
        knocked: When it last asked to be let in.
    """

    room: str
    talker: Talker
    entered: bool = False
    knocked: float = 0.0


@dataclass
class Soak:
    """The conversation.

    Attributes:
        talkers: Everybody who ever had a seat.
        samples: Seconds since the start, and the resident bytes of an instance then.
    """

    chat: Chat
    cluster: NatsCluster
    redis: RedisServer
    instances: Sequence[DisroomProcess]
    clients: Clients
    rate: float
    chance: random.Random
    talkers: list[Talker] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    samples: list[tuple[float, int]] = field(default_factory=list)
    scheduled: int = 0
    kills: int = 0

    def fill(self, users: int) -> None:
        """Give everybody a seat."""
        for number in range(users):
            room = f"r{number // USERS_A_ROOM}"
            self.seats.append(Seat(room, self._arrive(room)))
        deadline = time.monotonic() + 120
        while not all(seat.entered for seat in self.seats):
            assert time.monotonic() < deadline, "not everybody can come in"
            self.look_after_seats()
            self.clients.pump(TURN_SECONDS)

    def _arrive(self, room: str) -> Talker:
        server = self.chance.choice([i for i in self.instances if i.running and i.listening])
        talker = Talker(LineClient(self.clients, server.address), f"u{len(self.talkers)}", room)
        self.talkers.append(talker)
        return talker

    def look_after_seats(self) -> None:
        """Take in what was read; bring back who was cut off; knock again where nobody opened."""
        now = time.monotonic()
        for seat in self.seats:
            talker = seat.talker
            talker.flush()
            talker.look()
            talker.forget()
            if talker.client.ended:
                talker.client.close()
                with contextlib.suppress(OSError):  # its server died just now
                    seat.talker, seat.entered, seat.knocked = self._arrive(seat.room), False, 0.0
            elif not seat.entered:
                seat.entered = bool(talker.told(f"Joined room {seat.room} "))
                if not seat.entered and now > seat.knocked + KNOCK_SECONDS:
                    seat.knocked = now
                    talker.client.send_line(f"nick {talker.nick}\njoin {seat.room}")

    def talk(self, seconds: float, began: float, *, faults_every: float = 0.0) -> None:
        """Talk for so long."""
        start = time.monotonic()
        said = 0
        next_kill = start + faults_every if faults_every else float("inf")
        back_at, victim = float("inf"), None
        next_sample = start
        while (now := time.monotonic()) < start + seconds:
            speakers = [seat.talker for seat in self.seats if seat.entered and seat.talker.here]
            while speakers and said < (now - start) * self.rate:
                said += 1
                self.scheduled += 1
                self.chance.choice(speakers).say()
            self.clients.pump(0.02)
            if now > next_sample:
                next_sample = now + SAMPLE_SECONDS
                self.samples += [(now - began, i.rss()) for i in self.instances if i.running]
            self.look_after_seats()
            if now > next_kill:
                victim, next_kill, back_at = self._kill(), now + faults_every, now + DOWN_SECONDS
            if victim is not None and now > back_at:
                _start(victim)
                victim = None
        if victim is not None:
            _start(victim)

    def _kill(self) -> Child:
        victim = self.chance.choice([*self.instances, *self.cluster.nodes, self.redis])
        pid = victim.pid
        victim.kill()
        self.kills += 1
        print(f"{time.strftime('%H:%M:%S')} {victim.name}: pid {pid} killed", flush=True)
        return victim

    def verdict(self) -> Verdict:
        """Wait for word about every message, and judge."""
        deadline = time.monotonic() + 60
        while any(seat.talker.open > 0 for seat in self.seats) and time.monotonic() < deadline:
            self.clients.pump(TURN_SECONDS)
            self.look_after_seats()
        with self.cluster.connect() as raw:
            truth = read_truth(raw, self.chat.name)
        for _ in range(100):  # what the last ones lack is on its way
            self.clients.pump(TURN_SECONDS)
            self.look_after_seats()
        return judge(self.talkers, truth, scheduled=self.scheduled)

    def growth(self, minutes: float) -> float:
        """The memory at the end against that at the beginning: medians over a quarter each."""
        quarter = minutes * 60 / 4
        early = [rss for at, rss in self.samples if quarter <= at < 2 * quarter]
        late = [rss for at, rss in self.samples if 3 * quarter <= at < 4 * quarter]
        return statistics.median(late) / statistics.median(early)

    def leftovers(self) -> list[str]:
        """What should not be there: consumers, and subscriptions beyond those of the rooms."""
        wrongs = []
        with self.cluster.connect() as raw:
            consumers = raw.consumer_count(self.chat.name)
        if consumers:
            wrongs.append(f"{consumers} consumers")
        allowed = len({seat.room for seat in self.seats}) + CONSTANT_SUBSCRIPTIONS
        found = {}
        for node in self.cluster.nodes:
            for connection in _monitored(node, "connz")["connections"]:
                if connection.get("lang") == "python3":
                    found[connection.get("name", "")] = connection["subscriptions"]
        print(f"subscriptions: {found}, at most {allowed} allowed")
        wrongs += [f"{name}: {n} subscriptions" for name, n in found.items() if n > allowed]
        if len(found) != len(self.instances):
            wrongs.append(f"{len(found)} clients of NATS")
        return wrongs


def _start(victim: Child) -> None:
    """Start it again, without waiting where that takes long."""
    if isinstance(victim, NatsServer | DisroomProcess):
        victim.launch()
    else:
        victim.start()


def _monitored(node: NatsServer, page: str) -> dict[str, Any]:
    address = eventually_blocking(lambda: MONITOR.search(node.output()), message="no monitor")[1]
    with urllib.request.urlopen(f"http://{address}/{page}", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, of all")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        place = Path(directory)
        monitor = 'http: "127.0.0.1:-1"\n'
        cluster = running.enter_context(NatsCluster(place / "nats", extra_config=monitor))
        redis = running.enter_context(RedisServer(place / "redis"))

        def new(**arguments: Any) -> DisroomProcess:
            return running.enter_context(DisroomProcess(place, **arguments))

        chat = Chat(new, cluster.urls[0], redis.url, "soak")
        chat.settings |= {"DISROOM_STREAM_REPLICAS": "3", "DISROOM_STREAM_MAX_BYTES": "1GiB"}
        instances = [chat.instance(name=f"disroom{n}", nats=cluster.urls) for n in (1, 2)]
        clients = running.enter_context(Clients())
        chance = random.Random(options.seed)
        soak = Soak(chat, cluster, redis, instances, clients, options.rate, chance)
        soak.fill(options.users)
        began = time.monotonic()
        soak.talk(options.minutes * 60 - LAST_SECONDS, began, faults_every=options.every)
        soak.talk(LAST_SECONDS, began)
        verdict = soak.verdict()
        growth = soak.growth(options.minutes)
        wrongs = verdict.wrongs + soak.leftovers()
        print(f"{options.minutes:g} minutes, {soak.kills} kills: {verdict}; memory x{growth:.2f}")
        if verdict.sent < verdict.scheduled:
            wrongs.append(f"sent {verdict.sent} of {verdict.scheduled}")
        if growth > MOST_GROWTH:
            wrongs.append(f"memory grew to {growth:.2f} times")
        print("\n".join(wrongs[:40]))
        return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
