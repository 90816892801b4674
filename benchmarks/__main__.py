"""Measure what the service takes, beside a bare NATS and a bare JetStream on the same machine.

Without a command everything is measured, in rounds, so that what is compared takes turns; then,
once, 10,000 connections; at last rooms that are cold in a large stream. That is some fourteen
minutes, and wants a machine that does nothing else. The figures are printed as a table and saved as
JSON; docs/performance.md says what they mean.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import cold
from benchmarks.cores import Layout, pinned
from benchmarks.plot import plot
from benchmarks.report import report
from benchmarks.results import NotMeasured, Results, about, compare
from benchmarks.scenarios import Plan, Scenario
from benchmarks.stage import Stage

RESULTS = Path(__file__).parent / "results"
RUNS = 5
COLD = "cold rooms"

EXAMPLES = """\
examples:
  python -m benchmarks --quick                     is anything much amiss?
  python -m benchmarks --only fan-out --runs 3     some scenarios alone
  python -m benchmarks --only 10,000               what takes so many open files (ulimit -Hn)
  python -m benchmarks compare benchmarks/results/baseline.json mine.json
"""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=run)
    parser.add_argument("--runs", type=int, metavar="N", help=f"rounds [{RUNS}; quick: 1]")
    parser.add_argument("--quick", action="store_true", help="about a minute; not for comparing")
    parser.add_argument(
        "--only", default="", help="scenarios with TEXT in their name alone", metavar="TEXT"
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="where to [benchmarks/results/TIME.json]"
    )
    commands = parser.add_subparsers(metavar="{compare,plot,show}")
    comparing = commands.add_parser("compare", help="tell in what two runs differ")
    comparing.set_defaults(do=lambda given: _print(compare(_load(given.a), _load(given.b))))
    comparing.add_argument("a", type=Path, help="the JSON file of the run before")
    comparing.add_argument("b", type=Path, help="and of the one after")
    plotting = commands.add_parser("plot", help="draw how cost grows")
    plotting.set_defaults(do=lambda given: plot(_load(given.a), given.png))
    plotting.add_argument("a", type=Path, help="a run's JSON file")
    plotting.add_argument("png", type=Path, help="the picture to write")
    showing = commands.add_parser("show", help="print a run's table again")
    showing.set_defaults(do=lambda given: _print(report(_load(given.a))))
    showing.add_argument("a", type=Path, help="its JSON file")
    given = parser.parse_args()
    given.do(given)


def run(given: argparse.Namespace) -> None:
    """Measure; the exit status is 1 where something was delivered wrongly."""
    layout = Layout.of(os.sched_getaffinity(0))
    runs = given.runs or (1 if given.quick else RUNS)
    plan = Plan(quick=given.quick)
    directory = Path(tempfile.mkdtemp(prefix="disroom-bench-"))
    results = Results(
        about=about(runs=runs, quick=given.quick, layout=str(layout), directory=directory)
    )
    try:
        with Stage(directory, layout) as stage, pinned([layout.generator]):
            for number in range(runs):
                for scenario in _chosen(plan.rounds, given.only):
                    _measure(results, scenario, stage, f"{number + 1}/{runs}")
            for scenario in _chosen(plan.once, given.only):
                _measure(results, scenario, stage, "once")
            if plan.cold_messages and given.only in COLD:
                _measure_cold(results, plan, stage, runs)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    path = given.save or RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    results.save(path)
    _print(report(results))
    print(f"Saved as {path}")
    if results.failures:
        sys.exit(1)


def _chosen(scenarios: list[Scenario], only: str) -> list[Scenario]:
    return [scenario for scenario in scenarios if only in scenario.name]


def _measure_cold(results: Results, plan: Plan, stage: Stage, runs: int) -> None:
    """At the end, since from here on the stream is a large one."""
    print("... filling the stream", file=sys.stderr, flush=True)
    cold.fill(stage, plan.cold_messages)
    for number in range(runs):
        scenario = Scenario(COLD, lambda stage: cold.cold(stage, plan.times // 2))
        _measure(results, scenario, stage, f"{number + 1}/{runs}")


def _measure(results: Results, scenario: Scenario, stage: Stage, number: str) -> None:
    print(f"... {number} {scenario.name}", file=sys.stderr, flush=True)
    try:
        results.add(scenario.measure(stage))
    except NotMeasured as reason:
        results.missing.append(f"{scenario.name}: {reason}")
    # Each is a finding about what is measured; the other scenarios are worth having all the same.
    except (AssertionError, OSError) as error:
        results.failures.append(f"{scenario.name}: {error}")


def _load(path: Path) -> Results:
    return Results.load(path)


def _print(lines: list[str]) -> None:
    print("\n".join(lines))


if __name__ == "__main__":
    main()
