"""A web server for one machine's own browser: a fixed set of files, on loopback. Standard library alone."""

import http
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LOOPBACK, HTTP = "127.0.0.1", 80
TYPES = {
    "bin": "application/octet-stream",
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "onnx": "application/octet-stream",
    "svg": "image/svg+xml",
    "wasm": "application/wasm",
}
ISOLATED = {
    # Without these two a page gets no shared memory, so no threads, and a clock that is twenty times as coarse.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # a page cannot say this of itself
}
INDEX = "index.html"
SILENCE_S = 30.0
"""How long a connection may say nothing: each holds a thread."""


class Server(ThreadingHTTPServer):
    """Serves files by name, from memory: there is no folder that a path could lead out of.

    `files` are their contents by name. Raises OSError where the port cannot be had; 0 is any that is free.
    """

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes], port: int = 0, handler: "type[Handler] | None" = None) -> None:
        super().__init__((LOOPBACK, port), handler or FileHandler)
        self.files = files
        shown = "" if self.server_port == HTTP else f":{self.server_port}"  # as browsers write it
        self.hosts = {f"{name}{shown}" for name in (LOOPBACK, "localhost")}

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        """Say nothing: a browser that goes away in the middle of an answer is no error."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; waits for as long as the other side is silent, which may compute for minutes."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mnist-bench", ""

    def do_GET(self) -> None:
        """Answer with a file."""
        if not self.is_local():
            return
        try:
            path = urlsplit(self.path).path
        except ValueError:  # such as http://[::1
            self.answer(http.HTTPStatus.BAD_REQUEST, b"this is no address\n", "text/plain")
        else:
            self.give(unquote(path).removeprefix("/") or INDEX)

    do_HEAD = do_GET  # noqa: N815

    def is_local(self) -> bool:
        """Refuse who asks by another name than loopback's: a page elsewhere whose name was made to lead here."""
        if self.headers.get("Host") in self.server.hosts:
            return True
        self.close_connection = True
        self.answer(http.HTTPStatus.FORBIDDEN, b"this server answers to its own address alone\n", "text/plain")
        return False

    def give(self, name: str) -> None:
        """Answer with the file of a name."""
        content = self.server.files.get(name)
        if content is None:
            self.answer(http.HTTPStatus.NOT_FOUND, b"there is no such file here\n", "text/plain")
        else:
            self.answer(http.HTTPStatus.OK, content, TYPES.get(name.rpartition(".")[2], TYPES["bin"]))

    def answer(self, status: http.HTTPStatus, content: bytes, kind: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {**ISOLATED, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: who looks at a page has its own tools."""


class FileHandler(Handler):
    """Answers GET and HEAD, and lets go of who is silent: a browser opens its connection again."""

    timeout = SILENCE_S
