"""The inputs that fuzzing has collected, replayed: see fuzz/README.md."""

from pathlib import Path

import pytest

import fuzz
from fuzz.targets import TARGETS

CORPUS = Path(fuzz.__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_no_collected_bytes_break_what_reads_them(name: str) -> None:
    """Whatever was ever found to reach a corner of the parsers does no harm there."""
    inputs = sorted((CORPUS / name).iterdir())
    assert len(inputs) > 20
    for path in inputs:
        try:
            TARGETS[name](path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name}: {path.read_bytes()!r}") from error
