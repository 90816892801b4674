"""The sizes in docs/performance.md are those of what is sent."""

from pathlib import Path

from benchmarks.sizes import sizes, table

PERFORMANCE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_the_documented_sizes_are_those_of_today() -> None:
    """Whoever reckons what a device's line must carry reckons with the right figures."""
    assert table() in PERFORMANCE.read_text(encoding="utf-8"), table()


def test_frames_are_less_than_half_of_http() -> None:
    """A device that speaks frames sends and receives less than half of what HTTP would take."""
    by_name = {found.name: found for found in sizes()}
    frames, http = by_name["frames (MessagePack)"], by_name["HTTP, JSON"]
    assert frames.sent * 3 < http.sent
    assert frames.receipt * 2 < http.receipt
    assert frames.received * 2 < http.received
