"""Durations and sizes, as people write them and as processes tell each other."""

import msgspec
import pytest

from disroom.units import Duration, Size, decode_unit, encode_unit

DAY = 86400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("7d", 7 * DAY), ("12h", DAY / 2), ("30m", 1800), ("10s", 10), ("250ms", 0.25)),
        *(("1.5h", 5400), ("10", 10), (10, 10), (0, 0), (2.5, 2.5), (" 2 w ", 14 * DAY)),
    ],
)
def test_a_duration_is_written_as_people_write_it(value: object, seconds: float) -> None:
    """Days, hours and the rest need no arithmetic."""
    assert Duration.parse(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "d", "-1s", "1y", "1 d 2 h", "1e3", None, [], "ten", "1.d", "999999d", "9" * 400, 1e300],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """A unit that is not known is not guessed."""
    with pytest.raises(ValueError, match="7d"):
        Duration.parse(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        *(("512KiB", 512 << 10), ("64 MiB", 64 << 20), ("10GiB", 10 << 30), ("1TiB", 1 << 40)),
        *(("100B", 100), ("100", 100), (0, 0), (1 << 50, 1 << 50)),
    ],
)
def test_a_size_is_written_as_people_write_it(value: object, size: int) -> None:
    """Sizes in units of 1024 are written out."""
    assert Size.parse(value) == size


@pytest.mark.parametrize(
    "value", ["", "KiB", "-1", "1KB", "1.5GiB", "1 K", None, True, "1kib", "9999999TiB", "9" * 5000]
)
def test_what_is_no_size_is_refused(value: object) -> None:
    """A unit that could mean two things is not guessed."""
    with pytest.raises(ValueError, match="512KiB"):
        Size.parse(value)


@pytest.mark.parametrize("value", [Duration(0.25), Duration(7 * DAY), Size(0), Size(10 << 30)])
def test_a_worker_is_told_the_same_number(value: Duration | Size) -> None:
    """What is configured for all workers reaches each as it is."""
    told = msgspec.json.encode(value, enc_hook=encode_unit)
    assert msgspec.json.decode(told, type=type(value), dec_hook=decode_unit) == value
