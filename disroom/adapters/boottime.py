"""A clock that runs on while the machine sleeps, as the clocks of other machines do."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds that only grow, those of a suspended machine among them where the system has such."""
    return time.clock_gettime(_CLOCK)
