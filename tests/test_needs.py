"""What a run says about the tests that it had to leave out."""

import os
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.needs("telnet")
def test_one():
    pass

@pytest.mark.needs("telnet", "nc")
def test_two():
    pass

def test_three():
    pass
"""


@pytest.fixture
def bare_machine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A machine without telnet and nc, outside CI."""
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", str(pytester.mkdir("empty")))
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(TESTS)
    return pytester


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_the_last_lines_name_what_was_left_out(bare_machine: pytest.Pytester, workers: str) -> None:
    """Who tests on a bare machine reads at the end what to install, and for which tests."""
    result = bare_machine.runpytest_subprocess("-p", "no:twisted", "-p", "tests.needs", workers)
    result.assert_outcomes(passed=1, skipped=2)
    module = next(bare_machine.path.glob("test_*.py")).name
    assert result.outlines[-5:] == [
        "nc is missing (Debian package netcat-openbsd): 1 test left out",
        f"    {module}::test_two",
        "telnet is missing (Debian package telnet): 2 tests left out",
        f"    {module}::test_one",
        f"    {module}::test_two",
    ]


def test_ci_leaves_nothing_out(
    bare_machine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A green CI run means that every test ran."""
    monkeypatch.setenv("CI", "true")
    result = bare_machine.runpytest_subprocess("-p", "no:twisted", "-p", "tests.needs")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["telnet is missing (Debian package telnet): 2 tests failed"])
    assert result.ret != 0


def test_a_machine_that_has_all_runs_all(
    bare_machine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the programs installed nothing is left out and nothing is said."""
    for program in ("telnet", "nc"):
        path = bare_machine.path / "empty" / program
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    result = bare_machine.runpytest_subprocess("-p", "no:twisted", "-p", "tests.needs")
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*is missing*")


def test_an_unknown_program_is_a_mistake_in_the_test(bare_machine: pytest.Pytester) -> None:
    """No test is left out without a package to install being named."""
    bare_machine.makepyfile(
        "import pytest\n@pytest.mark.needs('telnte')\ndef test_one():\n    pass\n"
    )
    result = bare_machine.runpytest_subprocess("-p", "no:twisted", "-p", "tests.needs")
    result.assert_outcomes(errors=1)
