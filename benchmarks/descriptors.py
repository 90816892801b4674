"""How many files, and so connections, this process and what it starts may have open."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.results import NotMeasured

OTHERS = 200
"""What is open besides the connections."""


@contextmanager
def descriptors(connections: int) -> Iterator[None]:
    """Allow so many connections meanwhile, here and in what is started.

    Raises:
        NotMeasured: The hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHERS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NotMeasured(f"{needed:,} open files are needed, and {hard:,} allowed (ulimit -Hn)")
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
