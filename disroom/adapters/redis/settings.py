"""How presence is kept in Redis; the defaults are for production."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Times in seconds.

    Attributes:
        prefix: Of all keys and of the channel; all instances of a chat have the same.
        lease: How long an instance that no longer renews is taken for alive.
        tick: Between two renewals; well below a lease.
        settle: How long the instances have to assert their sessions in a store that came back.
        jump: After how long without any tick nobody is reaped before such a window has passed.
        grace: How long a session that can be resumed outlives its instance; the same everywhere.
        timeout: For a connection to be made, and for each command.
        start_timeout: For which a start goes on trying to connect.
        stop_timeout: For the release of everything at the end.
        keeps_empty: Whether `IPresence.emptied` lists rooms; its entries stay until forgotten.
    """

    prefix: str = "disroom"
    lease: float = 10.0
    tick: float = 1.0
    settle: float = 3.0
    jump: float = 5.0
    grace: float = 30.0
    timeout: float = 0.9
    start_timeout: float = 5.0
    stop_timeout: float = 2.0
    keeps_empty: bool = False

    @property
    def longest_pause(self) -> float:
        """Between two attempts to connect: half a second, or half of what there is to settle in.

        The first instance to find a store empty opens the window; the others must be back in it.
        """
        return min(0.5, self.settle / 2)
