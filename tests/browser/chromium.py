"""A browser, and the pages that people have open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.eventually import eventually_blocking

T = TypeVar("T")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 15_000.0
"""Milliseconds that anything on a page may take."""

SAID = ".timeline:not([hidden]) :is(.said, .sent, .received) .text"
"""What was said in the open conversation."""

_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""

_UNREACHABLE = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")
"""How the console begins where a server is away, which is no fault of the page."""


class Chromium:
    """Headless Chromium: a context manager.

    Playwright's blocking interface refuses a thread with an asyncio loop, as the tests' is, so all
    of it runs in a thread of its own.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "chromium")
        self.run(self._launch)

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the browser's thread."""
        return self._thread.submit(work).result()

    def _launch(self) -> None:
        from playwright.sync_api import sync_playwright  # of the extra browser-tests

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )

    def close(self) -> None:
        """End the browser."""
        self.run(self._browser.close)
        self.run(self._playwright.stop)
        self._thread.shutdown()

    def open(self, url: str, **options: Any) -> Page:
        """Open a page in a browser window of its own, with storage of its own."""
        context = self.run(lambda: self._browser.new_context(**options))
        return Page(self, context, url)


class Page:
    """What one person sees and does.

    Attributes:
        problems: What the console said was wrong, and what broke the security policy.
    """

    def __init__(self, chromium: Chromium, context: Any, url: str) -> None:
        self._run = chromium.run
        self._chromium = chromium
        self.context = context
        self.url = url
        self.problems: list[str] = []
        self._run(self._open)

    def _open(self) -> None:
        self.context.set_default_timeout(TIMEOUT)
        self.context.add_init_script(_WATCH_POLICY)
        self._page = self.context.new_page()
        self._page.on("pageerror", lambda error: self.problems.append(str(error)))
        self._page.on("console", self._console)
        self._page.goto(self.url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(
            known in message.text for known in _UNREACHABLE
        ):
            self.problems.append(message.text)

    def another_tab(self) -> Page:
        """Open the page once more in the same window, with a copy of this tab's session."""
        kept = self.evaluate("JSON.stringify(sessionStorage)")
        tab = Page(self._chromium, self.context, "about:blank")
        tab.url = self.url
        copy = "(kept) => Object.assign(sessionStorage, JSON.parse(kept))"
        tab.visit(f"{self.url}/icon.svg")
        tab.evaluate(copy, kept)
        tab.visit(self.url)
        return tab

    def visit(self, url: str) -> None:
        """Go to an address."""
        self._run(lambda: self._page.goto(url))

    def close(self) -> None:
        """Close the window."""
        self._run(self.context.close)

    def check(self) -> None:
        """Fail if anything was wrong with the page."""
        assert self.evaluate("window.violations") == []
        assert self.problems == []

    # What one does.

    def enter(self, nick: str, room: str) -> None:
        """Choose a name and a room and come in."""
        self.try_to_enter(nick, room)
        self.shows("#chat")
        self.wait_for("document.body.dataset.connection === 'online'")

    def try_to_enter(self, nick: str, room: str) -> None:
        """The same, where it may be refused."""
        self.fill("#enter-nick", nick)
        self.fill("#enter-room", room)
        self.click("#enter [type=submit]")

    def write(self, text: str) -> None:
        """Write a line and press Enter."""
        self.fill("#text", text)
        self.press("Enter")

    def go_to(self, name: str) -> None:
        """Go to one of one's conversations by its name."""
        self.click(f"#sidebar .entry:has(.name:text-is('{name}'))")

    def fill(self, selector: str, text: str) -> None:
        """Write into a field."""
        self._run(lambda: self._page.fill(selector, text))

    def click(self, selector: str) -> None:
        """Click something."""
        self._run(lambda: self._page.click(selector))

    def press(self, key: str) -> None:
        """Press a key, with the focus where it is."""
        self._run(lambda: self._page.keyboard.press(key))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self._run(lambda: self._page.keyboard.type(text))

    def reload(self) -> None:
        """Reload the page."""
        self._run(self._page.reload)

    # What one sees.

    def shows(self, selector: str) -> None:
        """Wait until something is there to see."""
        self._run(lambda: self._page.wait_for_selector(selector, state="visible"))

    def hides(self, selector: str) -> None:
        """Wait until something is not there to see."""
        self._run(lambda: self._page.wait_for_selector(selector, state="hidden"))

    def says(self, *texts: str) -> None:
        """Wait until the open conversation has a row with each of these texts."""
        for text in texts:
            self._says(f".timeline:not([hidden]) .row:not(.unsent):has-text({_quoted(text)})")

    def _says(self, row: str) -> None:
        self._run(lambda: self._page.wait_for_selector(row, state="attached"))

    def texts(self, selector: str) -> list[str]:
        """The texts of all that match, in order, white space made one space."""
        found: list[str] = self._run(lambda: self._page.locator(selector).all_text_contents())
        return [" ".join(text.split()) for text in found]

    def reads(self, selector: str, *texts: str) -> None:
        """Wait until these are the texts of all that match, in order."""
        wanted = list(texts)
        eventually_blocking(
            lambda: self.texts(selector) == wanted,
            TIMEOUT / 1000,
            lambda: f"{selector} reads {self.texts(selector)} and not {wanted}",
        )

    def said(self) -> list[str]:
        """What was said in the open conversation, as the page has it, in order."""
        return self.texts(SAID)

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression or function is true.

        It is asked for from outside: the page's policy lets nothing in that would look by itself.
        """
        eventually_blocking(lambda: self.evaluate(condition), TIMEOUT / 1000, condition)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """What a JavaScript expression or function gives."""
        return self._run(lambda: self._page.evaluate(script, argument))

    def count(self, selector: str) -> int:
        """How many match."""
        return int(self._run(lambda: self._page.locator(selector).count()))

    def outline(self) -> str:
        """The page as assistive technology is told of it."""
        return str(self._run(lambda: self._page.locator("body").aria_snapshot()))

    def screenshot(self, path: Path) -> None:
        """Take a picture."""
        self._run(lambda: self._page.screenshot(path=path))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
