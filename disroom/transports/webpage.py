"""The web page's files, read once and served from memory."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from twisted.web.http import CACHED, NOT_FOUND
from twisted.web.resource import Resource
from twisted.web.server import Request

INDEX = "index.html"

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}


def page() -> Resource:
    """The tree of the page's files, flat, with the index at ``/``."""
    root = _Missing()
    for file in files("disroom").joinpath("web").iterdir():
        if content_type := _TYPES.get(file.name.rpartition(".")[2]):
            leaf = _File(file, content_type)
            root.putChild(file.name.encode(), leaf)
            if file.name == INDEX:
                root.putChild(b"", leaf)
    return root


class _Missing(Resource):
    """What is at any other path: nothing, in one line."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Find nothing below either."""
        return self

    def render_GET(self, request: Request) -> bytes:
        """Answer 404."""
        request.setResponseCode(NOT_FOUND)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"There is nothing here.\n"


class _File(Resource):
    """One file, compressed for whoever takes it so.

    A browser asks each time whether its copy is still good, and is told so by the ETag: a page of
    one version never runs with a part of another.
    """

    def __init__(self, file: Traversable, content_type: bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._type = content_type
        self._plain = file.read_bytes()
        self._compressed = gzip.compress(self._plain, mtime=0)
        self._tag = hashlib.sha256(self._plain).hexdigest()[:24]

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Find nothing below."""
        return _Missing()

    def render_GET(self, request: Request) -> bytes:
        """Answer with the file, or with 304 where the browser has it."""
        compressed = b"gzip" in _accepted(request)
        request.setHeader(b"cache-control", b"no-cache")
        request.setHeader(b"vary", b"accept-encoding")
        tag = f'"{self._tag}{"-gz" if compressed else ""}"'.encode()
        if request.setETag(tag) is CACHED:
            return b""
        request.setHeader(b"content-type", self._type)
        if compressed:
            request.setHeader(b"content-encoding", b"gzip")
        body = self._compressed if compressed else self._plain
        request.setHeader(b"content-length", str(len(body)).encode())
        return body


def _accepted(request: Request) -> set[bytes]:
    """The encodings that may be used; one with a weight of nothing may not."""
    written = request.requestHeaders.getRawHeaders(b"accept-encoding", [])
    codings = b",".join(written).replace(b" ", b"").lower().split(b",")
    return {c.partition(b";")[0] for c in codings if not c.endswith((b";q=0", b";q=0.0"))}
