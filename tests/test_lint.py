"""What the tests themselves must keep to."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ALLOWED = {TESTS / "eventually.py"}
SLEEPERS = {"sleep", "deferLater", "call_later"}


def parse(source: str) -> ast.AST:
    """Parse, while no garbage is collected.

    A finalizer that has a traceback formatted parses as well, and CPython 3.11 fails the outer
    parsing for that (a SystemError on the depth of its recursion).
    """
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()


def sleeps(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that name a function which waits for a fixed time.

    A mention is enough, called or not: a sleep may be passed on as a function. `callLater` is one
    only on the reactor itself, since `task.Clock` has it too and waits for nobody.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in SLEEPERS:
                yield node.lineno
            case ast.Attribute(attr="callLater", value=ast.Name(id="reactor")):
                yield node.lineno
            case ast.Attribute(attr="callLater", value=ast.Attribute(attr="reactor")):
                yield node.lineno
            case ast.ImportFrom(names=names) if SLEEPERS & {alias.name for alias in names}:
                yield node.lineno
            case ast.List(elts=[ast.Constant(value="sleep"), *_]):
                yield node.lineno


def test_no_test_sleeps_for_a_fixed_time() -> None:
    """Nobody who runs the suite waits longer than they must, or sees it fail on a slow machine."""
    found = [
        f"{path.relative_to(TESTS.parent)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if path not in ALLOWED
        for line in sleeps(parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, f"wait with tests.eventually instead: {', '.join(found)}"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep as nap\nnap(1)",
        "import asyncio\nasync def f(): await asyncio.sleep(1)",
        "task.deferLater(reactor, 1)",
        "reactor.callLater(1, done.callback, None)",
        "internet.reactor.callLater(1, done.callback, None)",
        "loop.call_later(1, done.set_result, None)",
        "wait = time.sleep",
        "subprocess.run(['sleep', '1'])",
    ],
)
def test_the_lint_sees_every_way_to_sleep(source: str) -> None:
    """A sleep is found whichever library it comes from and whatever it is called."""
    assert list(sleeps(parse(source)))


def test_the_lint_leaves_simulated_clocks_alone() -> None:
    """Tests move a `task.Clock` by hand as they please."""
    assert not list(sleeps(parse("clock = Clock()\nclock.callLater(1, f)\nclock.advance(1)")))
