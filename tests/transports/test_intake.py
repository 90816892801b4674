"""When a client is read no further, and when it is again."""

from twisted.internet.task import Clock

from disroom.transports.intake import FLOOD_SECONDS, LOOK_AHEAD, OVERHEAD_BYTES, Intake


class Fed:
    """A client whose transport is paused and read on.

    Attributes:
        reads: What the transport was told.
        floods: How often too much was told of.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.reads: list[bool] = []
        self.floods = 0
        self.intake = Intake(self.clock, self.reads.append, self.flooded)

    def flooded(self) -> None:
        """Count."""
        self.floods += 1

    def flood(self, seconds: float) -> None:
        """Send as much as is taken that asks for nothing, for so long."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            if not self.intake.held:
                self.intake.took_overhead(OVERHEAD_BYTES)
            self.clock.advance(0.125)


def test_who_sends_ahead_of_what_is_carried_out_is_held_back() -> None:
    """It is told once, and read on as soon as less waits."""
    client = Fed()
    for size in (LOOK_AHEAD - 1, LOOK_AHEAD, LOOK_AHEAD + 1, LOOK_AHEAD - 1, 0):
        client.intake.waits(size)
    assert client.reads == [False, True]


def test_either_reason_holds_a_client_back() -> None:
    """It is read on when neither is left."""
    client = Fed()
    client.intake.took_overhead(2 * OVERHEAD_BYTES)
    client.intake.waits(LOOK_AHEAD)
    client.clock.advance(1)
    assert client.reads == [False]
    client.intake.waits(0)
    assert client.reads == [False, True]


def test_what_asks_for_nothing_costs_one_timer() -> None:
    """However many pieces it comes in."""
    client = Fed()
    for _ in range(3):
        client.intake.took_overhead(2 * OVERHEAD_BYTES)
    assert len(client.clock.getDelayedCalls()) == 1
    assert client.reads == [False]


def test_only_who_floods_for_long_is_told_of() -> None:
    """What was sent before a pause does not count, however long ago the client came."""
    client = Fed()
    for _ in range(3):
        client.clock.advance(2 * FLOOD_SECONDS)
        client.flood(FLOOD_SECONDS - 2)
    assert client.floods == 0
    client.clock.advance(2 * FLOOD_SECONDS)
    client.flood(FLOOD_SECONDS + 2)
    assert client.floods > 0


def test_who_floods_an_instance_that_never_keeps_up_is_told_of() -> None:
    """Where each rest ends late, it takes longer, and not for ever."""
    client = Fed()
    while not client.floods and client.clock.seconds() < 10 * FLOOD_SECONDS:
        client.intake.took_overhead(4 * OVERHEAD_BYTES)
        for timer in client.clock.getDelayedCalls():
            client.clock.advance(timer.getTime() - client.clock.seconds() + 0.5)
    assert client.floods
    assert client.clock.seconds() > 2 * FLOOD_SECONDS


def test_after_the_end_nothing_is_changed() -> None:
    """Whatever of a client that is gone still has to be looked at."""
    client = Fed()
    client.intake.took_overhead(2 * OVERHEAD_BYTES)
    for _ in range(2):
        client.intake.stop()
    client.intake.took_overhead(2 * OVERHEAD_BYTES)
    client.intake.waits(LOOK_AHEAD)
    assert client.reads == [False]
    assert not client.clock.getDelayedCalls()
