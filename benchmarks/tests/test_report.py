"""The table that a run prints."""

from pathlib import Path

from benchmarks.report import report
from benchmarks.results import Results, about


def lines_of(results: Results) -> list[str]:
    """The lines, with one space between words."""
    results.about |= about(runs=3, quick=False, layout="anywhere", directory=Path("/proc"))
    return [" ".join(line.split()) for line in report(results)]


def test_many_at_once_are_shown_with_what_the_others_notice() -> None:
    """Those who come back, and beside them how long the others wait with and without that."""
    found = Results()
    found.add({"crowding 1000 per_s": 2000.0, "crowding 1000 cpu_us": 250.0})
    found.add({"storm 1000 back_s": 0.5, "storm 1000 cpu_us": 300.0})
    found.add({"storm 1000 p50_ms": 20.0, "storm 1000 p99_ms": 40.0})
    found.add({"storm 1000 calm p50_ms": 1.0, "storm 1000 calm p99_ms": 5.0})
    lines = lines_of(found)
    assert "1000 enter one room 0.5 250" in lines
    assert "1000 are cut off and come back 0.5 300 20 40" in lines
    assert "nobody does 1 5" in lines


def test_what_cannot_be_measured_here_is_told_and_is_no_failure() -> None:
    """A machine that allows too few open files gets the other figures, and the reason."""
    found = Results(missing=["connecting: too few open files"])
    lines = lines_of(found)
    assert "NOT MEASURED: connecting: too few open files" in lines
    assert "the same, 10,000 in one room not measured - <= 8192 bytes" in lines
    assert not any(line.startswith("FAILED:") for line in lines)


def test_a_message_is_told_apart_from_its_deliveries() -> None:
    """What four members more take, and one takes a fourth of, is not the message's."""
    found = Results()
    found.add({"storing cpu_us": 28.0, "storing heard cpu_us": 48.0})
    lines = lines_of(found)
    assert "a stored message, before its deliveries met 23 <= 25 us" in lines
    assert "a stored message and one delivery missed 28 <= 25 us" in lines


def test_a_delivery_is_judged_by_what_core_nats_took_in_the_same_round() -> None:
    """An hour in which everything is twice as slow changes no verdict."""
    found = Results()
    for slow in (1.0, 2.0, 1.0):
        found.add({"fan-out 1 x 100, 1 x window 1 NATS core cpu_us": 8.0 * slow})
        found.add({"growth members 1 x 10, 1 x window 1 message_cpu_us": 100.0 * slow})
        found.add({"growth members 1 x 1000, 1 x window 1 message_cpu_us": 5050.0 * slow})
    lines = lines_of(found)
    assert "each member more: 5 us" in lines
    assert "a delivery more / NATS, 1 x window 1 met 0.625 <= 0.915" in lines
