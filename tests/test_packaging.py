"""What is installed, and what installs it."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.chat import user
from tests.needs import DEBIAN_PACKAGES
from tests.processes.client import ProgramClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

ROOT = Path(__file__).parent.parent
LEFT_BEHIND = (".git", ".*_cache", ".hypothesis", ".venv", "*.egg-info", "build", "dist")
"""What tools have left beside the sources."""

PRIVATE = ("docker/.env", "benchmarks/results/mine.json", "twisted/plugins/dropin.cache")
"""What a repository has that is nobody else's."""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, built from a copy of the sources: building leaves files beside them."""
    directory = tmp_path_factory.mktemp("sdist")
    copy = directory / "disroom"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    for name in PRIVATE:
        (copy / name).write_text("secret", encoding="ascii")
    python("build", "--sdist", "--outdir", str(directory), str(copy))
    [built] = directory.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' directory of an environment in which the sdist is installed."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, with_pip=False)
    pip = ("pip", "--disable-pip-version-check", "--python", str(environment / "bin" / "python"))
    python(*pip, "install", f"{sdist}[embedded]")
    return environment / "bin"


def python(module: str, *arguments: str) -> None:
    """Run a module; its output is shown if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def run(directory: Path, program: Path, *arguments: str) -> str:
    """Return what a program writes that is run away from the sources."""
    return subprocess.run(
        [str(program), *arguments], cwd=directory, capture_output=True, text=True, check=True
    ).stdout


def test_twistd_finds_disroom_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
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


def test_the_sdist_has_all_that_the_sources_have(sdist: Path) -> None:
    """Who has no repository has the documentation, the examples of configuration, and the tests."""
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("CHANGELOG.md", "Makefile", "README.md", "pyproject.toml", "setup.cfg"):
        assert name in there
    for name in (".ci", "conf", "disroom", "docker", "docs", "examples", "fuzz", "tests"):
        paths = {f"{name}/{path.as_posix()}" for path in files(ROOT / name)}
        assert paths - there <= {*PRIVATE}
    assert not there & {*PRIVATE}


def test_what_is_installed_serves(installed: Path, tmp_path: Path, clients: Clients) -> None:
    """Two commands, and people can chat."""
    with _Installed(installed, tmp_path) as server:
        user(clients, server, "alice", "tea")
    assert "Traceback" not in server.output()


class _Installed(DisroomProcess):
    """The service of another environment, with brokers of its own."""

    def __init__(self, scripts: Path, directory: Path) -> None:
        super().__init__(directory)
        self._scripts = scripts

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [str(self._scripts / "twistd"), *super().command[1:]]


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
