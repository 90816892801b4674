"""What is measured in each round; each scenario gives its figures by name.

A figure's name ends in its unit: us, ms, s, percent, bytes or per_s. Of the last more is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import verbs
from benchmarks.cores import cpu_seconds
from benchmarks.descriptors import descriptors
from benchmarks.dialects import DISROOM, NATS, Dialect
from benchmarks.load import Load, entered
from benchmarks.shapes import (
    CONNECTIONS,
    FANOUT,
    HEARD,
    INSTANCES,
    MEMBERS,
    RATED,
    ROOMS,
    STORING,
    Shape,
)
from benchmarks.stage import Stage
from benchmarks.storm import storm
from benchmarks.syncing import syncing
from benchmarks.traffic import Cost, Traffic, percentile
from tests.processes.workers import address_of, shares, workers_of

RATE = 100.0
WORKERS = 2
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that is measured once in each round."""

    name: str
    measure: Callable[[Stage], Figures]


class Plan:
    """The scenarios, and how long each lasts.

    Args:
        quick: Short and few, to see whether something is much amiss; not for comparing.
    """

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.seconds = 0.6 if quick else 2.0
        self.warm_up = 0.2 if quick else 0.5
        self.rated_seconds = 2.0 if quick else 6.0
        self.idle_seconds = 1.0 if quick else 4.0
        self.times = 30 if quick else 200
        self.connections = Shape(25, 20) if quick else Shape(100, 20)
        self.crowd = 200 if quick else 1000
        self.shared = (100,) if quick else (100, 1000)
        self.cold_messages = 0 if quick else 1_000_000

    @property
    def rounds(self) -> list[Scenario]:
        """What each round measures, yardsticks beside what they measure."""
        scenarios = [
            Scenario("latency, bare JetStream", partial(bare_latency, self)),
            Scenario("latency, one instance", partial(latency, self, 1)),
            Scenario("latency, two instances", partial(latency, self, 2)),
            Scenario("storing, bare nats-py", partial(bare_storing, self)),
            Scenario("storing", partial(storing, self, STORING, "storing")),
            Scenario("storing, heard", partial(storing, self, HEARD, "storing heard")),
            Scenario("storing, two workers", partial(workers, self)),
            *(Scenario(f"fan-out {shape}", partial(fan_out, self, shape)) for shape in FANOUT),
            Scenario("verbs, alone", lambda stage: verbs.idle(stage, self.times)),
            Scenario("connecting", partial(connecting, self, self.connections, "connecting")),
            Scenario("crowding", partial(crowding, self)),
            Scenario("storm", partial(coming_back, self)),
            *(self._growing("members", shape) for shape in self._members()),
            *(self._growing("rooms", Shape(rooms, 10, 1, 4)) for rooms in ROOMS[:-1]),
        ]
        if not self.quick:
            scenarios += [
                Scenario("verbs, among 1000", lambda stage: verbs.crowded(stage, self.times)),
                Scenario("latency, four instances", partial(latency, self, INSTANCES[-1])),
                Scenario("sync_interval", partial(waiting_for_the_disk, self)),
            ]
        return scenarios

    @property
    def once(self) -> list[Scenario]:
        """What is measured after the rounds, one time each: it takes long, and varies little."""
        if self.quick:
            return []
        return [
            Scenario(f"connecting, {name}", partial(connecting, self, shape, f"connecting {name}"))
            for name, shape in CONNECTIONS.items()
        ]

    def _growing(self, what: str, shape: Shape) -> Scenario:
        return Scenario(f"growth, {shape}", partial(growth, self, what, shape))

    def _members(self) -> list[Shape]:
        """Sizes of a room that are not among the fan-out's shapes."""
        shapes = [Shape(1, members, 4, 4) for members in MEMBERS[:-1]]
        if not self.quick:
            shapes += [Shape(1, members) for members in MEMBERS if members != 100]
        return shapes


def bare_latency(plan: Plan, stage: Stage) -> Figures:
    """A publish and its live copy, by the client library alone."""
    figures = stage.bare("republish", plan.rated_seconds, [stage.layout.generator])
    return {f"latency bare {name}": figure for name, figure in figures.items()}


def latency(plan: Plan, instances: int, stage: Stage) -> Figures:
    """From sending to each delivery, at 100 messages a second over 10 rooms of 20."""
    pids = stage.pids(instances)
    with entered(DISROOM, stage.addresses(instances), RATED) as load:
        cost = Traffic(load, pids).at_rate(RATE, plan.warm_up, plan.rated_seconds)
    name = f"latency {instances}"
    return {
        f"{name} p50_ms": 1e3 * percentile(cost.waits, 50),
        f"{name} p99_ms": 1e3 * percentile(cost.waits, 99),
        f"{name} p999_ms": 1e3 * percentile(cost.waits, 99.9),
        f"{name} cpu_us": cost.cpu_us_per_message,
        f"{name} generator_percent": cost.busy,
    }


def bare_storing(plan: Plan, stage: Stage) -> Figures:
    """Messages a second by the client library alone, 50 under way."""
    figures = stage.bare("store", plan.seconds, sorted(stage.layout.instance(0)))
    return {f"storing bare {name}": figure for name, figure in figures.items()}


def storing(plan: Plan, shape: Shape, name: str, stage: Stage) -> Figures:
    """Messages a second from 50 users, each waiting for its own receipt; others may hear them."""
    cost = _full_speed(plan, stage, DISROOM, shape)
    return {
        f"{name} per_s": cost.messages / cost.seconds,
        f"{name} cpu_us": cost.cpu_us_per_message,
        f"{name} generator_percent": cost.busy,
    }


def waiting_for_the_disk(plan: Plan, stage: Stage) -> Figures:
    """With `sync_interval: always` and without."""
    return syncing(stage, rate=RATE, warm_up=plan.warm_up, seconds=plan.seconds)


def workers(plan: Plan, stage: Stage) -> Figures:
    """The same on two workers, and with as many users on each; and who gets the connections.

    The parent's CPU is included.
    """
    server = stage.with_workers(WORKERS)
    figures: Figures = {}
    for count in plan.shared:  # first, while nobody else comes or goes
        for burst, how in ((True, "in a burst"), (False, "one by one")):
            fewest, *_, most = shares(server, count, burst=burst)
            figures[f"shares of {count} {how}_percent"] = 100 * (most / fewest - 1)
    pids = [server.pid, *workers_of(server).values()]
    shapes = {"workers": STORING, "busy workers": Shape(WORKERS * STORING.rooms, STORING.members)}
    for name, shape in shapes.items():
        with entered(DISROOM, [address_of(server)], shape) as load:
            cost = Traffic(load, pids).full_speed(plan.warm_up, plan.seconds)
        figures |= {
            f"storing {name} per_s": cost.messages / cost.seconds,
            f"storing {name} cpu_us": cost.cpu_us_per_message,
            f"storing {name} generator_percent": cost.busy,
        }
    return figures


def fan_out(plan: Plan, shape: Shape, stage: Stage) -> Figures:
    """A shape, and the same on core NATS right after."""
    figures: Figures = {}
    for dialect in (DISROOM, NATS):
        name = f"fan-out {shape} {dialect.name}"
        cost = _full_speed(plan, stage, dialect, shape)
        figures |= {
            f"{name} cpu_us": cost.cpu_us_per_delivery,
            f"{name} message_cpu_us": cost.cpu_us_per_message,
            f"{name} per_s": cost.deliveries / cost.seconds,
            f"{name} generator_percent": cost.busy,
        }
    return figures


def growth(plan: Plan, what: str, shape: Shape, stage: Stage) -> Figures:
    """A shape on the way from small to large."""
    cost = _full_speed(plan, stage, DISROOM, shape)
    return {
        f"growth {what} {shape} message_cpu_us": cost.cpu_us_per_message,
        f"growth {what} {shape} cpu_us": cost.cpu_us_per_delivery,
        f"growth {what} {shape} generator_percent": cost.busy,
    }


def connecting(plan: Plan, shape: Shape, name: str, stage: Stage) -> Figures:
    """Connections that come, enter a room each and stay, on an instance that had none before.

    Raises:
        NotMeasured: So many may not be open here.
    """
    count = shape.rooms * shape.members
    with descriptors(count), stage.fresh(0, name.replace(" ", "-")) as instance:
        before, cpu = instance.rss(), cpu_seconds([instance.pid])
        with Load(DISROOM, [("127.0.0.1", instance.port)], shape) as load:
            seconds = load.set_up()
            load.settle()
            cpu = cpu_seconds([instance.pid]) - cpu
            after = instance.rss()
            idle = cpu_seconds([instance.pid])
            load.wait(plan.idle_seconds)
            idle = cpu_seconds([instance.pid]) - idle
    return {
        f"{name} per_s": count / seconds,
        f"{name} cpu_us": 1e6 * cpu / count,
        f"{name} rss_bytes": (after - before) / count,
        f"{name} idle_percent": 100 * idle / plan.idle_seconds,
        f"{name} start_s": stage.start_seconds[-1],
    }


def crowding(plan: Plan, stage: Stage) -> Figures:
    """Many who enter one room at the same time, as after a fault, until all know of all."""
    pids = stage.pids(1)
    with Load(DISROOM, stage.addresses(1), Shape(1, plan.crowd)) as load:
        cpu = cpu_seconds(pids)
        seconds = load.set_up()
        load.settle()
        cpu = cpu_seconds(pids) - cpu
    return {
        f"crowding {plan.crowd} per_s": plan.crowd / seconds,
        f"crowding {plan.crowd} cpu_us": 1e6 * cpu / plan.crowd,
    }


def coming_back(plan: Plan, stage: Stage) -> Figures:
    """As many, cut off and back, while others talk."""
    return storm(stage, plan.crowd, rate=2 * RATE, seconds=plan.seconds)


def _full_speed(plan: Plan, stage: Stage, dialect: Dialect, shape: Shape) -> Cost:
    if dialect is NATS:
        addresses, pids = [("127.0.0.1", stage.plain_nats.port)], [stage.plain_nats.pid]
    else:
        addresses, pids = stage.addresses(1), stage.pids(1)
    with entered(dialect, addresses, shape) as load:
        return Traffic(load, pids).full_speed(plan.warm_up, plan.seconds)
