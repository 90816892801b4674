"""A pytest plugin for tests that need a program which the machine may lack.

`@pytest.mark.needs("telnet")` skips the test where the program is missing; the last lines of the
run then name each missing program, the Debian package that brings it and the tests left out. With
CI=true in the environment nothing is left out: the test fails instead.
"""

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Generator

import pytest

DEBIAN_PACKAGES = {
    "chromium": "chromium",
    "docker": "docker.io",
    "nc": "netcat-openbsd",
    "plink": "putty-tools",
    "redis-server": "redis-server",
    "socat": "socat",
    "systemd-analyze": "systemd",
    "telnet": "telnet",
    "tmux": "tmux",
    "unshare": "util-linux, and leave to make a user namespace",
}

PROBES = {"unshare": ["unshare", "--map-root-user", "--mount", "true"]}
"""What tells of programs that may be there and not work."""

PROPERTY = "missing-program"


class LeftOut:
    """Collects the tests left out, from the reports: under xdist those of all workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: defaultdict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what was missing; it was found in the setup phase."""
        if report.when == "setup":
            for name, program in report.user_properties:
                if name == PROPERTY:
                    self._tests[str(program)].append(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """Print after everything else, the count of passed and failed tests included."""
        yield
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        outcome = "failed" if in_ci() else "left out"
        for program, tests in sorted(self._tests.items()):
            count = f"{len(tests)} test{'s' if len(tests) > 1 else ''}"
            terminal.write_line(
                f"{program} is missing (Debian package {DEBIAN_PACKAGES[program]}): "
                f"{count} {outcome}"
            )
            for test in sorted(tests):
                terminal.write_line(f"    {test}")


def in_ci() -> bool:
    """Whether a missing program is a failure."""
    return os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "needs(*programs): leave the test out where one of the programs is missing"
    )
    config.pluginmanager.register(LeftOut(config), "left-out")


def _works(program: str) -> bool:
    if shutil.which(program) is None:
        return False
    probe = PROBES.get(program)
    return probe is None or subprocess.run(probe, capture_output=True).returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the test out, or fail it, before its fixtures are made."""
    programs = [program for mark in item.iter_markers("needs") for program in mark.args]
    unknown = [program for program in programs if program not in DEBIAN_PACKAGES]
    if unknown:
        pytest.fail(f"tests/needs.py does not know {', '.join(unknown)}", pytrace=False)
    missing = [program for program in dict.fromkeys(programs) if not _works(program)]
    if not missing:
        return
    item.user_properties += [(PROPERTY, program) for program in missing]
    reason = f"needs {', '.join(missing)}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
