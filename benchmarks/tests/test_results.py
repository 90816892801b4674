"""What a run's table and a comparison say is what was measured."""

from pathlib import Path

import pytest

from benchmarks.cores import Layout
from benchmarks.results import Results, about, compare
from benchmarks.traffic import percentile


def results(**values: list[float]) -> Results:
    """Five rounds' results."""
    return Results(values, about(runs=5, quick=False, layout="anywhere", directory=Path("/proc")))


def test_a_ratio_is_taken_within_each_round() -> None:
    """Noise that slows a round down for everybody does not change a ratio."""
    found = results(ours_us=[2.0, 20.0, 2.0], theirs_us=[1.0, 10.0, 1.0])
    assert found.ratio("ours_us", "theirs_us") == 2.0
    assert found.median("ours_us") == 2.0


def test_the_file_system_is_that_of_the_data() -> None:
    """Figures of a disk say of which kind it is, and not what is above it."""
    assert results().about["filesystem"] == "proc"


def test_what_is_saved_can_be_read_again(tmp_path: Path) -> None:
    """Yesterday's run can be compared with today's."""
    saved = results(a_us=[1.0, 2.0, 3.0])
    saved.failures.append("b: something was lost")
    saved.missing.append("c: too few open files")
    saved.save(tmp_path / "new" / "a.json")
    assert Results.load(tmp_path / "new" / "a.json") == saved


def test_a_comparison_tells_better_from_worse_and_both_from_chance() -> None:
    """Only what is outside the rounds' own range is called a change; of rates, more is better."""
    before = results(cost_us=[10, 11, 12], rate_per_s=[10, 11, 12], noisy_us=[1, 5, 9])
    after = results(cost_us=[20, 21, 22], rate_per_s=[20, 21, 22], noisy_us=[2, 8, 10])
    *changes, rest = compare(before, after)
    assert {change.split()[-1]: change.split()[2] for change in changes} == {
        "cost_us": "WORSE",
        "rate_per_s": "better",
    }
    assert rest.startswith("1 figures within the noise")


def test_a_generator_that_was_the_limit_is_told() -> None:
    """Figures of a run in which the generator could not keep up are called invalid."""
    name, other = "shape generator_percent", "other generator_percent"
    found = Results({name: [95.0, 96.0, 20.0], other: [20.0]})
    assert found.overrun == ["shape"]


@pytest.mark.parametrize(
    ("cores", "instances", "brokers", "generator"),
    [
        ({0, 1}, (0,), {0}, 1),
        ({0, 1, 2}, (0,), {1}, 2),
        ({2, 3, 4, 5}, (2, 3), {4}, 5),
    ],
)
def test_the_generator_has_a_core_of_its_own(
    cores: set[int], instances: tuple[int, ...], brokers: set[int], generator: int
) -> None:
    """What measures does not slow down what is measured."""
    assert Layout.of(cores) == Layout(instances, frozenset(brokers), generator)


def test_one_core_is_refused() -> None:
    """Who has too few cores is told so, instead of being given figures that mean nothing."""
    with pytest.raises(SystemExit, match="two cores"):
        Layout.of({0})


def test_percentiles_are_values_that_were_measured() -> None:
    """The 99th of a hundred is the 99th, and of few the last."""
    hundred = [float(number) for number in range(1, 101)]
    assert [percentile(hundred, p) for p in (50, 99, 99.9, 100)] == [50, 99, 100, 100]
    assert percentile([7.0], 50) == 7
