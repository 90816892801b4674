"""How long a user waits for an answer: join, leave, users, history."""

from __future__ import annotations

import itertools
from contextlib import ExitStack

from benchmarks.dialects import DISROOM
from benchmarks.load import Load
from benchmarks.prober import Prober
from benchmarks.shapes import Shape
from benchmarks.stage import Stage
from benchmarks.traffic import percentile

HISTORY = 50
"""Messages asked for."""

CROWD = Shape(1, 1000)

_numbers = itertools.count()


def idle(stage: Stage, times: int) -> dict[str, float]:
    """Times where nobody else is: the room is opened by the join and closed by the leaving."""
    room = f"v{next(_numbers)}"
    return _verbs(stage, room, "alone", times)


def crowded(stage: Stage, times: int) -> dict[str, float]:
    """Times in a room of 1,000 users, to all of whom each join and leaving is shown."""
    with Load(DISROOM, stage.addresses(1), CROWD) as crowd:
        crowd.set_up()
        crowd.settle()
        figures = _verbs(stage, crowd.rooms[0], "among 1000", times)
        crowd.settle()
    return figures


def _verbs(stage: Stage, room: str, where: str, times: int) -> dict[str, float]:
    waits: dict[str, list[float]] = {"join": [], "leave": [], "users": [], "history 50": []}
    address = stage.addresses(1)[0]
    with ExitStack() as stack:
        user = stack.enter_context(Prober(address, f"p{next(_numbers)}"))
        user.ask(f"join {room}", b"-- #")
        for number in range(HISTORY + 10):
            user.ask(f"send message {number}", b"[")
        for _ in range(times):
            waits["leave"].append(user.ask("leave", b"Left room"))
            waits["join"].append(user.ask(f"join {room}", b"-- #"))
        for _ in range(times):
            waits["users"].append(user.ask("users", b"Users in"))
            waits[f"history {HISTORY}"].append(user.ask(f"history {HISTORY}", b"-- #"))
    figures = {}
    for what, seconds in waits.items():
        seconds.sort()
        figures[f"{what} {where} p50_ms"] = 1e3 * percentile(seconds, 50)
        figures[f"{what} {where} p99_ms"] = 1e3 * percentile(seconds, 99)
    return figures
