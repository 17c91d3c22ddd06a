"""A model hub on localhost: the part of Hugging Face's HTTP API that huggingface_hub asks of a model.

It serves listings (`/api/models/...`) and content (GET with Range) of files over real HTTP, notes
every request, and fails where it is told to.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import cast
from urllib.parse import unquote, urlsplit

REVISION = "c0ffee" + "0" * 34
"""The one commit of every repository, unless a test says otherwise."""

LARGE = "model.bin"
"""The file in large-file storage, whose SHA-256 the hub tells."""


@dataclass
class FakeHub:
    """What the hub holds and how it fails; a test may change it between requests.

    `refusals` maps a repository to a status and the hub's own error code; `cuts` a file name to
    the numbers of body bytes after which its next GETs are cut off; `failing` names files whose
    GET with a Range is answered with 503, `rangeless` those whose Range is not heeded; `served`
    maps a file name to what comes in place of what is listed; `overrides` to fields that its
    listing says in place of the truth. `cdn` is where the content is, if elsewhere. A file that
    `stalls` sends half of its body and no more, until `released`.
    """

    repositories: dict[str, dict[str, bytes]]
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    rangeless: set[str] = field(default_factory=set)
    stalls: set[str] = field(default_factory=set)
    served: dict[str, bytes] = field(default_factory=dict)
    overrides: dict[str, dict[str, object]] = field(default_factory=dict)
    cdn: "FakeHub | None" = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    revision: str = REVISION
    endpoint: str = ""

    @contextmanager
    def serving(self) -> Iterator["FakeHub"]:
        """Serve on a free port of localhost until the block ends."""
        server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def fetched(self, name: str) -> list[str | None]:
        """The Range headers of the GETs of a file, in order; None for the whole."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(f"/{name}")]

    def siblings(self, repository: str) -> list[Mapping[str, object]]:
        return [self._sibling(name, body) for name, body in self.repositories[repository].items()]

    def _sibling(self, name: str, body: bytes) -> Mapping[str, object]:
        sibling: dict[str, object] = {"rfilename": name, "size": len(body), "blobId": _blob_id(body)}
        if name == LARGE:
            sibling["lfs"] = {"sha256": _sha256(body), "size": len(body), "pointerSize": 134}
        return sibling | self.overrides.get(name, {})


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return cast(_Server, self.server).hub

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        self.hub.tokens.append(self.headers.get("Authorization"))
        api, resolve = (
            re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path),
            re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path),
        )
        repository = (api or resolve or [None, ""])[1]
        if repository in self.hub.refusals:
            self._refuse(*self.hub.refusals[repository])
        elif repository not in self.hub.repositories:
            self._refuse(HTTPStatus.NOT_FOUND, "RepoNotFound")
        elif api and api[2] not in (None, self.hub.revision):
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        elif api:
            self._list(repository)
        elif resolve and self.hub.cdn:
            self._send(HTTPStatus.FOUND, b"", {"Location": self.hub.cdn.endpoint + self.path})
        elif resolve:
            name = resolve[2]
            self._serve(name, self.hub.served.get(name, self.hub.repositories[repository][name]))

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code})

    def _list(self, repository: str) -> None:
        info = {"id": repository, "sha": self.hub.revision, "siblings": self.hub.siblings(repository)}
        self._send(HTTPStatus.OK, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _serve(self, name: str, body: bytes) -> None:
        """The content has no ETag: the hub's own storage gives none with the bytes of large files."""
        start = 0 if name in self.hub.rangeless else int(re.sub(r"\D", "", self.headers.get("Range") or "0"))
        if start and name in self.hub.failing:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Failing")
        if start and start >= len(body):
            return self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "Range")
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        cuts = self.hub.cuts.get(name, [])
        cut = cuts.pop(0) if cuts else (len(body) + 1) // 2 if name in self.hub.stalls else None
        self._send(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK, body[start:], headers, cut)
        if name in self.hub.stalls:
            self.wfile.flush()
            self.hub.released.wait(30)
        return None

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], cut: int | None = None) -> None:
        """Answer and close; a `cut` body ends early against its Content-Length."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _blob_id(body: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
