"""A real S3 server in processes of its own: moto behind a proxy that answers 503, late, or not at all when asked to.

moto beside deltalake in one process can hang both. The proxy also lets one conditional put through at a time, since
moto checks and writes in two steps, or drops the condition, as stores do that know none.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONTROL = "/-control"
HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date"}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Faults:
    """Shares of requests: answered 503, answered `seconds` late, cut before they are done, cut after."""

    errors: float = 0.0
    slow: float = 0.0
    seconds: float = 0.5
    cut: float = 0.0
    lost: float = 0.0
    overwrites: bool = False
    seed: int = 0


@dataclass
class State:
    """What the proxy does, and what it has seen since it was told so."""

    faults: Faults = field(default_factory=Faults)
    chance: random.Random = field(default_factory=random.Random)
    counts: dict[str, int] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    conditional: threading.Lock = field(default_factory=threading.Lock)

    def set(self, faults: Faults) -> None:
        self.faults, self.chance = faults, random.Random(faults.seed)
        self.counts, self.keys = {}, set()

    def fate(self) -> str:
        """What becomes of the next request."""
        with self.lock:
            roll, faults = self.chance.random(), self.faults
            kinds = (("errors", faults.errors), ("slow", faults.slow), ("cut", faults.cut), ("lost", faults.lost))
            for name, share in kinds:
                if roll < share:
                    return name
                roll -= share
            return "passed"

    def count(self, *names: str) -> None:
        with self.lock:
            for name in names:
                self.counts[name] = self.counts.get(name, 0) + 1


class Proxy(BaseHTTPRequestHandler):
    """One request after another of one connection."""

    protocol_version = "HTTP/1.1"
    state = State()
    upstream = 0

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == CONTROL:
            self.control(body)
            return
        fate = self.state.fate()
        self.state.count(fate, self.command)
        self.state.keys.add(self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0])
        if fate == "errors":
            self.answer(503, [("Content-Type", "application/xml")], SLOW_DOWN)
        elif fate == "cut":
            self.reset()
        else:
            status, headers, content = self.passed_on(body)
            if fate == "slow":
                time.sleep(self.state.faults.seconds)
            if fate == "lost":
                self.reset()
            else:
                self.answer(status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve  # noqa: N815

    def control(self, body: bytes) -> None:
        if body:
            self.state.set(Faults(**json.loads(body)))
        seen = {"counts": self.state.counts, "keys": sorted(self.state.keys)}
        self.answer(200, [], json.dumps(seen).encode())

    def passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = dict(self.headers.items())
        conditional = "if-none-match" in {name.lower() for name in headers} and self.command == "PUT"
        if conditional and self.state.faults.overwrites:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        with self.state.conditional if conditional else contextlib.nullcontext():
            connection = http.client.HTTPConnection("127.0.0.1", self.upstream)
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        return response.status, [(k, v) for k, v in response.getheaders() if k.lower() not in HOP], content

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        given = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in given:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):  # one that was reset is closed
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@dataclass(frozen=True)
class S3:
    """The running server, as the tests see it."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets for a store of their own."""
        return {
            "AWS_ACCESS_KEY_ID": "some-key",
            "AWS_SECRET_ACCESS_KEY": "some-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def make_bucket(self, name: str) -> str:
        """The URI of a new, empty bucket."""
        self._request(f"/{name}", "PUT")
        return f"s3://{name}"

    def put(self, path: str, data: bytes = b"") -> None:
        """An object by its raw path `/bucket/key`, of which no client makes anything."""
        self._request(path, "PUT", data)

    @contextlib.contextmanager
    def failing(self, **faults: Any) -> Iterator[None]:
        """These faults for the block."""
        self._request(CONTROL, "POST", json.dumps(asdict(Faults(**faults))).encode())
        try:
            yield
        finally:
            self._request(CONTROL, "POST", json.dumps(asdict(Faults())).encode())

    def seen(self) -> dict[str, Any]:
        """`counts` of requests by fate and method, and the access `keys` that signed them, since the last change."""
        return dict(json.loads(self._request(CONTROL, "GET")))

    def _request(self, path: str, method: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, "the server ended at once"
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


@contextlib.contextmanager
def running() -> Iterator[S3]:
    """Both processes for the block."""
    moto, proxy = free_port(), free_port()
    commands = {
        moto: [sys.executable, "-m", "moto.server", "-p", str(moto)],
        proxy: [sys.executable, str(Path(__file__)), str(proxy), str(moto)],
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "PYTHONPATH": ""}}
    processes = {port: subprocess.Popen(command, **quiet) for port, command in commands.items()}  # type: ignore[call-overload]
    try:
        for port, process in processes.items():
            wait_for(port, process)
        yield S3(proxy)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


if __name__ == "__main__":
    Proxy.upstream = int(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Proxy).serve_forever()
