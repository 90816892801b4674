"""What is installed, and what installs it."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import DEBIAN_PACKAGES
from tests.processes.client import ProgramClient
from tests.processes.text_client import Clients

ROOT = Path(__file__).parent.parent
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "disroom", "twisted")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources: building leaves files beside them."""
    directory = tmp_path_factory.mktemp("wheel")
    copy = directory / "disroom"
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.cache"))
        else:
            shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-deps", "--wheel-dir", str(directory), str(copy))
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' directory of an environment that has the wheel, and what it depends on."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, with_pip=False)
    pip("--python", str(environment / "bin" / "python"), "install", str(wheel))
    return environment / "bin"


def pip(*arguments: str) -> None:
    """Run pip; its output is shown if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def run(directory: Path, program: Path, *arguments: str) -> str:
    """Return what a program writes that is run away from the sources."""
    return subprocess.run(
        [str(program), *arguments], cwd=directory, capture_output=True, text=True, check=True
    ).stdout


def test_twistd_finds_disroom_where_the_wheel_is_installed(installed: Path, tmp_path: Path) -> None:
    """`pip install` is all that twistd needs to offer `disroom`, with its options."""
    assert re.search(r"^ +disroom ", run(tmp_path, installed / "twistd", "--help"), re.M)
    assert "--apply-stream" in run(tmp_path, installed / "twistd", "disroom", "--help")


def test_disroom_chat_says_what_its_prompt_needs(
    installed: Path, tmp_path: Path, clients: Clients
) -> None:
    """Without the extra it still teaches, and works in a pipe; at a terminal it says what to do."""
    assert "Tab completes names" in run(tmp_path, installed / "disroom-chat", "--help")
    person = ProgramClient(clients, [str(installed / "disroom-chat")])
    person.expect(r"a prompt needs pip install 'disroom\[client\]'$")
    assert person.wait_exit() == 2


def test_the_wheel_has_all_that_the_sources_have(installed: Path, tmp_path: Path) -> None:
    """Scripts for Redis, types and all modules are installed, and nothing of the tests is."""
    where = "import disroom; print(disroom.__path__[0])"
    package = Path(run(tmp_path, installed / "python", "-c", where).strip())
    assert set(files(package)) == set(files(ROOT / "disroom"))
    assert not (package.parent / "tests").exists()


def files(package: Path) -> Iterator[Path]:
    """Yield the package's files, relative to it."""
    for path in package.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(package)


def test_ci_installs_every_program_that_a_test_needs(request: pytest.FixtureRequest) -> None:
    """No test fails in CI because .ci/run does not know of its program."""
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    installs = dict(re.findall(r"^ +([a-z-]+):([a-z-]+)$", text, re.M))
    needed = {
        program
        for item in request.session.items
        for mark in item.iter_markers("needs")
        for program in mark.args
    }
    missing = {program: DEBIAN_PACKAGES[program] for program in needed - set(installs)}
    assert not missing
    assert all(installs[program] == DEBIAN_PACKAGES[program] for program in needed)


@pytest.mark.parametrize(
    ("python", "hint"),
    [
        ("#!/bin/sh\nexit 1\n", "needs Python 3.11 or later"),
        ('#!/bin/sh\ncase "$2" in *venv*) exit 1 ;; esac\n', "apt-get install python3-venv"),
    ],
    ids=["old", "without-venv"],
)
def test_make_says_what_is_missing(python: str, hint: str, tmp_path: Path) -> None:
    """Whoever has the wrong Python is told so, before anything is installed."""
    program = tmp_path / "python3"
    program.write_text(python, encoding="utf-8")
    program.chmod(0o755)
    # Without what a `make` outside of this test passes on to those inside.
    environment = {name: v for name, v in os.environ.items() if name not in ("MAKEFLAGS", "PYTHON")}
    environment["PATH"] = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    result = subprocess.run(
        ["make", "--no-print-directory", "run", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert hint in result.stdout
    assert not (tmp_path / "venv").exists()


def test_make_alone_lists_what_can_be_made() -> None:
    """Who types `make` to see what there is starts nothing."""
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"^make run ", listed, re.M)
    assert re.search(r"^make test ", listed, re.M)
