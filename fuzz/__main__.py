"""Fuzz a target: python -m fuzz line|telnet|frame|json|websocket [options of libFuzzer]."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["disroom"]):
    from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Run until an input fails or libFuzzer's options end it; new inputs go into the corpus."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    name, *options = sys.argv[1:]
    if all(option[0] == "-" and not option.startswith("-merge") for option in options):
        options.append(str(CORPUS / name))
    # libFuzzer starts itself again, by a shell, where it merges.
    atheris.Setup([f"{sys.executable} -m fuzz {name}", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
