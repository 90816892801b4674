"""A pytest plugin: at the end of a run, one line for each fault that was caused."""

import pytest

PROPERTY = "fault"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "faults: a fault at its full length, for make test-faults; make test leaves it out",
    )


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that tests noted, under xdist those of all workers."""
    lines = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)


class Fault:
    """What a test notes about the fault that it causes; `tests/faults/conftest.py` reports it."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._proofs: list[str] = []

    def proved(self, proof: str) -> None:
        """Note a proof that the fault happened."""
        self._proofs.append(proof)

    def reported(self, what: str, *results: object) -> None:
        """Have a line printed: what was done, its proof, and what came of it.

        Raises:
            AssertionError: There is no proof.
        """
        assert self._proofs, f"{what}: nothing shows that it happened"
        parts = [f"{what} [{'; '.join(self._proofs)}]", *map(str, results)]
        self._item.user_properties.append((PROPERTY, " | ".join(parts)))
