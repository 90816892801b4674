"""docker/: the image and the example, as far as they can be tried without a container engine."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from disroom.config import load
from tests.conf.dockerfile import Stage, build
from tests.processes.child import Child
from tests.processes.ports import ReservedPort

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"


Compose = Callable[..., subprocess.CompletedProcess[str]]


class Container(Child):
    """What a container of the image runs, with other ports."""

    def __init__(self, image: Stage, directory: Path) -> None:
        super().__init__("container", directory)
        self._image = image
        self._chat, self._admin = ReservedPort(), ReservedPort()

    def start(self) -> Self:
        """Start the entry point and wait until the container is healthy."""
        inside = {name: self._image.inside(v) for name, v in self._image.environment.items()}
        assert inside["DISROOM_ADMIN"].endswith(":8079")
        ports = {
            "DISROOM_PORT": str(self._chat.number),
            # On all addresses it would also clash with a connection from another one.
            "DISROOM_INTERFACE": "127.0.0.1",
            "DISROOM_ADMIN": f"127.0.0.1:{self._admin.number}",
        }
        self._launch(self._image.command("ENTRYPOINT"), {**inside, **ports})
        self._wait_ready(lambda: self.healthy)
        return self

    @property
    def healthy(self) -> bool:
        """Whether the health check succeeds, run as the engine would."""
        check = [
            word.replace(":8079/", f":{self._admin.number}/")
            for word in self._image.command("HEALTHCHECK")
        ]
        proxy = {"http_proxy": "http://127.0.0.1:1"}  # in the way of a check that heeds it
        return subprocess.run(check, env=proxy, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Stop it."""
        super().close()
        self._chat.release()
        self._admin.release()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """What the Dockerfile makes."""
    return build(DOCKERFILE, ROOT, tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="module")
def compose() -> Compose:
    """Run `docker compose -f compose.yaml`, which needs no engine for what is asked of it here."""
    docker = shutil.which("docker")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [docker or "docker", "compose", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if docker is None or run("version").returncode != 0:
        pytest.skip("needs docker with its compose plugin")
    return lambda *arguments: run("-f", str(COMPOSE), *arguments)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of secrets, filled in."""
    text = (ROOT / "docker" / ".env.example").read_text(encoding="utf-8")
    filled_in = tmp_path_factory.mktemp("compose") / "env"
    filled_in.write_text(re.sub(r"=$", "=p455w0rd", text, flags=re.M), encoding="utf-8")
    return filled_in


def test_the_image_has_the_service_and_no_build_tools(image: Stage) -> None:
    """Twistd finds its plugin in the image, and nothing in there can install or build."""
    twistd = image.command("ENTRYPOINT")[0]
    listed = subprocess.run([twistd, "--help"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^ +disroom ", listed, re.M)
    assert not list(Path(twistd).parent.glob("pip*"))
    assert sorted(path.name for path in image.root.iterdir()) == ["opt", "var"]


def test_a_container_is_healthy_when_it_serves_and_stops_in_time(
    image: Stage, tmp_path: Path
) -> None:
    """The health check says what it should, and SIGTERM ends a container in order."""
    with Container(image, tmp_path / "container") as container:
        assert image.settings["STOPSIGNAL"] == "SIGTERM"
        container.terminate()
        # twistd ends itself by the signal it got; as a container's first process it cannot, and
        # its status is 0.
        assert container.wait_exit(5.0).code in (0, -signal.SIGTERM)
        assert "Server Shut Down" in container.output()
        assert not container.healthy


def test_the_image_does_not_run_as_root(image: Stage) -> None:
    """An orchestrator that forbids root can see from the number that the image is none."""
    user, _, group = image.settings["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_example_names_files_and_settings_that_exist() -> None:
    """Nothing in compose.yaml has been left behind by a renaming."""
    text = COMPOSE.read_text(encoding="utf-8")
    for path in re.findall(r'"(\.\./[^:"]+):', text):
        assert (COMPOSE.parent / path).exists(), path
    names = set(re.findall(r"\b(DISROOM_\w+):", text))
    assert "DISROOM_STREAM_REPLICAS" in names
    load(environment={name: "3" for name in names})


def test_compose_takes_the_example(compose: Compose, example: Path) -> None:
    """`docker compose` understands the file, and each instance gets the three nodes and Redis."""
    result = compose("--env-file", str(example), "config", "--format", "json")
    assert result.returncode == 0, result.stderr
    services: dict[str, Any] = json.loads(result.stdout)["services"]
    for instance in ("disroom-1", "disroom-2"):
        config = load(environment=services[instance]["environment"])
        assert config.stream.replicas == len(config.nats.url) == 3
        assert not config.embedded
        waits_for = services[instance]["depends_on"]
        assert all(each["condition"] == "service_healthy" for each in waits_for.values())
        brokers = {*config.nats.url, config.redis.url}
        assert {url.split("/")[2].partition(":")[0] for url in brokers} == set(waits_for)
    ports = [port["published"] for each in services.values() for port in each.get("ports", [])]
    assert sorted(ports) == ["8080", "8081"]


def test_compose_refuses_the_example_without_passwords(compose: Compose) -> None:
    """Nobody runs with empty passwords without knowing."""
    unfilled = ROOT / "docker" / ".env.example"
    result = compose("--env-file", str(unfilled), "config", "--quiet")
    assert result.returncode != 0
    assert "fill in docker/.env" in result.stderr
