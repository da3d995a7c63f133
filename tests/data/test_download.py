"""Downloads, from a server of our own on the loopback interface."""

import contextlib
import gc
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torchvision import datasets

from mnist_bench import data
from mnist_bench.core.errors import DataUnavailable
from mnist_bench.core.places import cache_folder

# torchvision leaves the connection of a failed download to the garbage collector, which warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let the garbage collector do that here, and not in whichever test comes later."""
    yield
    gc.collect()


Answer = Callable[[str, bytes], tuple[int, bytes]]


@contextlib.contextmanager
def server(folder: Path | None, answer: Answer) -> Iterator[str]:
    """Serve the files of a folder, each changed by `answer(name, content)`, which returns a status and a body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            path = folder and folder / name
            content = path.read_bytes() if path and path.is_file() else b""
            status, body = answer(name, content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) or len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/"
        finally:
            running.shutdown()
            thread.join()


def assert_nothing_left() -> None:
    left = [path for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda name, content: (404, b""),
        lambda name, content: (500, b"out of order"),
        lambda name, content: (200, b"<html>please log in</html>"),
        lambda name, content: (200, b""),
    ],
    ids=["refuses", "fails", "captive portal", "empty"],
)
def test_a_server_that_refuses_ends_with_both_ways_out(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(None, answer) as url:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
        with pytest.raises(DataUnavailable, match=r"--data-dir DIR, or use --dataset digits"):
            data.load("mnist")
    assert_nothing_left()


def test_no_server_at_all_ends_with_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataUnavailable, match=r"refused.*--data-dir DIR, or use --dataset digits"):
        data.load("mnist")
    assert_nothing_left()


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match="file"):
        data.load("mnist")


@pytest.mark.mnist
def test_a_server_that_truncates_leaves_nothing(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def truncate(name: str, content: bytes) -> tuple[int, bytes]:
        return 200, content[: len(content) // 2] if name.startswith("t10k-images") else content

    with server(mnist_root / "MNIST" / "raw", truncate) as url:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
        with pytest.raises(DataUnavailable, match="--dataset digits"):
            data.load("mnist")
    assert_nothing_left()


@pytest.mark.mnist
def test_a_download_is_cached_and_then_needs_no_server(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(name: str, content: bytes) -> tuple[int, bytes]:
        asked.append(name)
        return 200, content

    with server(mnist_root / "MNIST" / "raw", count) as url:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
        first = data.load("mnist")
        again = data.load("mnist")
    assert len(set(asked)) == 4
    assert first.sha256 == again.sha256
    assert first.origin == str(cache_folder() / "MNIST" / "raw")
    assert not list(cache_folder().rglob(".download-*"))
