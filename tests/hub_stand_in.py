"""A server on this machine that answers as the Hugging Face hub does where files are asked for.

The paths and headers are those of the hub's documentation and of its client: `/OWNER/REPO/resolve/REVISION/FILE` with
`X-Repo-Commit` and `ETag`, errors told by `X-Error-Code`. The real service was not asked.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class HubStandIn:
    """What the server holds, and what it was asked for."""

    endpoint: str
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    """By repository and commit, the files."""
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    """By repository and branch, the commit."""
    gated: set[str] = field(default_factory=set)
    """Repositories whose terms were not accepted."""
    asked: list[str] = field(default_factory=list)
    """The paths, in order."""

    def commit(self, repository: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Put files into a repository, and return the commit."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.files[repository, commit] = dict(files)
        self.branches[repository, branch] = commit
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if len(parts) < 5 or parts[2] != "resolve":
            return 200, {}, b"{}"
        repository, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if repository in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if repository not in {one for one, _ in self.files}:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        commit = self.branches.get((repository, revision), revision)
        if (repository, commit) not in self.files:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if name not in self.files[repository, commit]:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        body = self.files[repository, commit][name]
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body


@contextmanager
def serving() -> Generator[HubStandIn]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, *, with_body: bool) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = HubStandIn(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
