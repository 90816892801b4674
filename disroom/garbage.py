"""The garbage collector, as a server wants it."""

from __future__ import annotations

import gc

THRESHOLD = 20_000


def rarely_collect_garbage() -> None:
    """Take what is there for permanent, and look for cycles seldom.

    Next to nothing here is in a cycle: messages and events die by their reference counts, and by
    default the collector takes a tenth of the time of a busy instance.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, 20, 20)
