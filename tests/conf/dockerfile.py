"""Carries out a Dockerfile in directories instead of containers, without an engine.

Each stage is a directory that stands for its root. What is checked so is that the files it copies
are there and that its commands work, in their order; not what the base image has, for which the
tests' own Python stands.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

INSTRUCTION = re.compile(r"(?P<name>[A-Z]+)\s+(?P<arguments>.*)", re.S)
OPTION = re.compile(r"--(?P<name>[a-z-]+)=(?P<value>\S+)\s+")
ABSOLUTE = re.compile(r"(?<![\w:/.])/(?!dev/)(?=[a-z])")
"""The first slash of a path; in a URL there is one before it."""


@dataclass
class Stage:
    """A stage, and what its image says of itself.

    Attributes:
        root: Stands for /.
        settings: The arguments of instructions that do nothing by themselves, by their names.
    """

    root: Path
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def inside(self, text: str) -> str:
        """Return a path, or a command, with this root in place of /."""
        return ABSOLUTE.sub(f"{self.root}/", text)

    def command(self, instruction: str) -> list[str]:
        """Return the words of an instruction in exec form, such as ENTRYPOINT."""
        words: list[str] = json.loads(self.settings[instruction].removeprefix("CMD "))
        return [self.inside(word) for word in words]


def build(file: Path, context: Path, directory: Path) -> Stage:
    """Carry out all instructions and return the last stage.

    Args:
        file: The Dockerfile; the ignore file is beside it.
        context: What COPY copies from, after the ignore file has taken out its part.
        directory: For the stages; empty.

    Raises:
        AssertionError: A command failed, or an instruction is not known here.
        OSError: What is to be copied is not there.
    """
    sent = directory / "context"
    _send(context, file.with_name(f"{file.name}.dockerignore"), sent)
    path = _tools(directory / "tools")
    stages: dict[str, Stage] = {}
    stage = Stage(directory)
    for name, arguments in _instructions(file.read_text(encoding="utf-8")):
        options: dict[str, str] = {}
        while option := OPTION.match(arguments):
            options.setdefault(option["name"], option["value"])
            arguments = arguments[option.end() :]
        match name:
            case "FROM":
                as_name = arguments.partition(" AS ")[2] or str(len(stages))
                stages[as_name] = stage = Stage(directory / as_name)
                stage.root.mkdir()
            case "WORKDIR":
                stage.directory = arguments
                Path(stage.inside(arguments)).mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(stage, stages[options["from"]].root if "from" in options else sent, arguments)
            case "RUN":
                _run(stage, stages, options.get("mount", ""), arguments, path)
            case "ENV":
                stage.environment |= dict(word.split("=", 1) for word in arguments.split())
            case "USER" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT":
                stage.settings[name] = arguments
            case _:
                raise AssertionError(f"{name} is not known here")
    return stage


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    matches = [INSTRUCTION.fullmatch(line) for line in whole]
    assert all(matches), whole
    return [(found["name"], found["arguments"]) for found in matches if found]


def _send(context: Path, ignore: Path, sent: Path) -> None:
    """Copy what the ignore file, a list of what is wanted, leaves over."""
    rules = [
        line
        for line in ignore.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*", "first nothing is sent, then what is named"
    wanted = [rule[1:] for rule in rules if rule.startswith("!")]
    unwanted = [rule for rule in rules[1:] if not rule.startswith("!")]

    def ignored(parent: str, names: list[str]) -> set[str]:
        here = Path(parent).relative_to(context)
        return {
            name
            for name in names
            for rule in unwanted
            if fnmatch.fnmatch(str(here / name), rule.replace("**/", "*"))
        }

    sent.mkdir()
    for name in wanted:
        if (context / name).is_dir():
            shutil.copytree(context / name, sent / name, ignore=ignored)
        else:
            shutil.copy(context / name, sent / name)


def _tools(directory: Path) -> str:
    """Return a PATH on which `python` and `pip` are those of the tests' environment."""
    directory.mkdir()
    for name, arguments in (("python", ""), ("pip", "-m pip")):
        tool = directory / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
        tool.chmod(0o755)
    return os.pathsep.join([str(directory), os.environ["PATH"]])


def _copy(stage: Stage, source: Path, arguments: str) -> None:
    *names, to = arguments.split()
    target = Path(stage.inside(to) if to.startswith("/") else stage.inside(stage.directory)) / (
        "" if to.startswith("/") else to
    )
    for name in names:
        found = source / name.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target)


def _run(stage: Stage, stages: dict[str, Stage], mount: str, command: str, path: str) -> None:
    mounted = dict(word.split("=", 1) for word in mount.split(",") if word)
    target = None
    if mounted.get("type") == "bind":
        target = Path(stage.inside(mounted["target"]))
        target.symlink_to(stages[mounted["from"]].inside(mounted["source"]))
    result = subprocess.run(
        ["/bin/sh", "-c", stage.inside(command)],
        cwd=stage.inside(stage.directory) if stage.directory != "/" else stage.root,
        env={**os.environ, **stage.environment, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if target is not None:
        target.unlink()
    assert result.returncode == 0, f"RUN {command}\n{result.stdout}"
