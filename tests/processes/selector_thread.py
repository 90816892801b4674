"""Sockets served by a thread of their own, which tests ask to do things."""

import queue
import selectors
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class SelectorThread:
    """Calls back when sockets are ready and does jobs in between, all in one daemon thread.

    What only callbacks and jobs touch needs no lock. A callback that raises ends the thread and
    closes the sockets.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._run_jobs)
        self._running = True
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="selector", daemon=True)
        self._thread.start()

    def ask(self, job: Callable[[], T]) -> T:
        """Have the thread do a job and return its result; in the thread itself, do it at once.

        Raises:
            RuntimeError: An earlier callback failed, which ended the thread.
        """
        if threading.current_thread() is self._thread or not self._running:
            if self._failure is not None:
                raise RuntimeError("the thread ended with an error") from self._failure
            return job()
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(job())
            except Exception as error:
                done.set_exception(error)

        self._jobs.put(run)
        self._wake_writer.send(b"\0")
        return done.result(timeout=10)

    def watch(self, watched: socket.socket, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready(events)` when one of these events is there; 0 events: stop watching."""
        known = watched in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(watched)
        elif known:
            self._selector.modify(watched, events, ready)
        else:
            self._selector.register(watched, events, ready)

    def end(self) -> None:
        """End the thread; harmless when done twice. Sockets are closed by whom they belong to."""
        if self._running:

            def stop() -> None:
                self._running = False

            self.ask(stop)
        self._thread.join()
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _run(self) -> None:
        try:
            while self._running:
                for key, events in self._selector.select():
                    current = self._selector.get_map().get(key.fd)
                    # An earlier callback may have closed it, and another got its number.
                    if current is not None and current.fileobj is key.fileobj:
                        current.data(events)
        except Exception as error:
            self._failure = error
            self._running = False
            for key in self._selector.get_map().values():  # let nobody wait at the other end
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()

    def _run_jobs(self, events: int) -> None:
        self._wake_reader.recv(4096)
        while not self._jobs.empty():
            self._jobs.get()()
