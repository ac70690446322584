"""A stand-in of the Hugging Face hub's HTTP API: what `huggingface_hub` asks to send and load a repository.

It keeps repositories in memory: POST /api/repos/create, preupload, the LFS batch API with basic transfers, the commit,
lists of the files of a revision, and the files themselves (HEAD and GET with their ETag). Run as a program it prints
its address and serves until its input ends.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_BYTES = 1000
"""Larger files go by LFS, as on the hub larger ones do."""


class Hub(ThreadingHTTPServer):
    """Repositories as name -> path -> content; `token` is what a writer must send."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def answer(self, status, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline().strip(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def refused(self):
        return self.server.token is not None and self.headers.get("Authorization") != f"Bearer {self.server.token}"

    def do_POST(self):
        path, body = unquote(urlsplit(self.path).path), self.body()
        if self.refused():
            return self.answer(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repositories.setdefault(name, {})
            return self.answer(200, {"url": f"{self.server.url}/{name}", "name": name})
        if path == "/api/validate-yaml":  # the metadata of a model card
            return self.answer(200, {"errors": [], "warnings": []})
        if found := re.fullmatch(r"/api/models/(.+/.+)/preupload/main", path):
            files = json.loads(body)["files"]
            return self.answer(200, {"files": [
                {"path": file["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if file["size"] > LFS_BYTES else "regular"} for file in files
            ]})  # fmt: skip
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = {"href": f"{self.server.url}/lfs"}
            return self.answer(200, {"transfer": "basic", "objects": [
                {**item, "actions": {"upload": {"href": f"{upload['href']}/{item['oid']}"}}} for item in objects
            ]})  # fmt: skip
        if found := re.fullmatch(r"/api/models/(.+/.+)/commit/main", path):
            self.commit(self.server.repositories[found[1]], [json.loads(line) for line in body.splitlines()])
            url = f"{self.server.url}/{found[1]}/commit/{COMMIT}"
            return self.answer(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})
        return self.answer(404, {"error": f"no {path}"})

    def commit(self, repository, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repository[value["path"]]

    def do_PUT(self):
        content = self.body()
        digest = self.path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() != digest:
            return self.answer(400, {"error": "other content than was announced"})
        self.server.objects[digest] = content
        return self.answer(200)

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/(?:models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            return self.revision(found[1], found[2] or "main")
        if found := re.fullmatch(rf"/api/(?:models|datasets)/([^/]+/[^/]+)/tree/(?:main|{COMMIT})", path):
            files = self.server.repositories[found[1]]
            return self.answer(200, [
                {"type": "file", "path": name, "size": len(files[name]), "oid": "0" * 40} for name in sorted(files)
            ])  # fmt: skip
        if found := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.file(found[1], found[3])
        return self.answer(404, {"error": f"no {path}"})

    do_HEAD = do_GET

    def revision(self, name, revision):
        repository = self.server.repositories.get(name)
        if repository is None:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        if revision not in ("main", COMMIT):
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        files = [{"rfilename": path} for path in sorted(repository)]
        return self.answer(200, {"id": name, "modelId": name, "sha": COMMIT, "siblings": files, "private": False,
                                 "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def file(self, name, path):
        content = self.server.repositories.get(name, {}).get(path)
        if content is None:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        digest = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{digest}"', "X_Repo_Commit": COMMIT, "Content_Length": str(len(content))}
        return self.answer(200, content, **headers)


@contextmanager
def hub(token: str | None = None) -> Iterator[Hub]:
    """A hub that serves while the block runs."""
    with Hub(token) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with hub() as server:
        print(server.url, flush=True)
        sys.stdin.read()
