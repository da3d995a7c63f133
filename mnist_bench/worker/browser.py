"""A worker whose session is in a browser: this process carries messages between stdin, stdout and a page.

`python -P -m mnist_bench.worker.browser FOLDER BROWSER SECONDS`: where ONNX Runtime for the web lies, the browser's
program, and how long it may take to open the page. It starts without msgspec or click, as every worker.
"""

import http
import io
import os
import queue
import secrets
import sys
from pathlib import Path
from typing import IO, NoReturn

import psutil

from mnist_bench.core import process, protocol
from mnist_bench.core.messages import taken_stdout
from mnist_bench.core.protocol import Message
from mnist_bench.core.webserver import Handler, Server
from mnist_bench.worker import JAVASCRIPT

MOST_BYTES = 2**32
"""More than any model, any set of images, or any answer to it."""

ENGINE = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
LOOK_S, ASK_AGAIN_S = 0.25, 30.0
ENDED = 3  # this machine lacks something
QUIET = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--password-store=basic",
    "--use-mock-keychain",
)
"""No window, and no word with anybody but us."""

HERE = Path("/proc/self/cwd")
"""The folder that a process runs in, by a name that is always short: a browser ends at once where the path of its
temporary files is too long for a socket's name, of which Linux takes 107 characters."""


class BrowserLost(Exception):
    """The browser did not start, or has ended."""


class Bridge(Server):
    """Serves the page, and what the page is to answer: one message at a time.

    All is behind a word that nobody can guess: what else runs on this machine can reach the port too.
    """

    def __init__(self, folder: Path) -> None:
        sources = (*map(folder.joinpath, ENGINE), *JAVASCRIPT.iterdir())
        files = {path.name: path.read_bytes() for path in sources}
        self.secret = secrets.token_urlsafe(24)
        super().__init__({f"{self.secret}/{name}": content for name, content in files.items()}, handler=Exchange)
        self.questions: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[bytes] = queue.Queue()


class Exchange(Handler):
    """Takes an answer, and gives the next message."""

    server: Bridge

    def do_POST(self) -> None:  # noqa: N802 the name is http.server's
        """See `exchange` in browser.mjs; nothing to answer yet is status 204."""
        if not self.is_local():
            return
        if self.path != f"/{self.server.secret}/exchange":
            self.close_connection = True  # what else was sent is not read
            self.give(self.path)
            return
        self.server.answers.put(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        try:
            question = self.server.questions.get(timeout=ASK_AGAIN_S)
        except queue.Empty:
            self.answer(http.HTTPStatus.NO_CONTENT, b"", "text/plain")
        else:
            self.answer(http.HTTPStatus.OK, question, "application/octet-stream")


class Browser:
    """A browser in a process group of its own, with a profile in the present folder, which is this worker's."""

    def __init__(self, program: str, url: str) -> None:
        home = Path.cwd() / "browser"
        home.mkdir()
        # As root the browser's sandbox cannot be set up, and it refuses to start without this word. It opens no page
        # but ours.
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        # What it keeps beside its profile, it keeps in its home.
        environment = {**os.environ, **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(home))}
        if HERE.exists():
            environment["TMPDIR"] = str(HERE)
        self._advice = f"see what `{program} --headless=new --dump-dom about:blank` says, or put another first in PATH"
        command = (program, *QUIET, *sandbox, f"--user-data-dir={home / 'profile'}", url)
        self._process = process.start(command, environment=environment, folder=home)
        assert self._process.stdout
        assert self._process.stderr
        process.LastWords(self._process.stdout)  # read, so that it never has to wait for us
        self._last_words = process.LastWords(self._process.stderr)
        self._page: psutil.Process | None = None
        self._over = False

    def check(self) -> None:
        """Raise BrowserLost where it has ended, or the process that the page runs in: a browser outlives that."""
        status = self._process.poll()
        if status is not None:
            how = process.epitaph(status, _cause(self._last_words.text()))
            raise BrowserLost(f"the browser has ended: {how}; {self._advice}")
        if self._page and not self._page.is_running():
            raise BrowserLost("the page's process has ended, perhaps for want of memory: see --memory-limit")

    def give_up(self, waited_s: float) -> NoReturn:
        """Raise BrowserLost: the page does not come."""
        raise BrowserLost(f"the browser has not opened the page within {waited_s:g} s; {self._advice}")

    def page_process(self) -> int | None:
        """Look for the process that the page runs in, the largest of those that draw pages; None where none is seen.

        Chromium draws its own toolbar, which nobody sees here, in such a process too.
        """
        drawing = []
        for one in process.descendants(self._process.pid):
            try:
                words = one.cmdline()
                if "--type=renderer" in words and "--top-chrome-webui" not in words:
                    drawing.append((one.memory_info().rss, one))
            except psutil.Error:
                continue
        self._page = max(drawing, key=lambda pair: pair[0])[1] if drawing else None
        return self._page.pid if self._page else None

    def end(self) -> None:
        """Kill it and what it has started, and wait until they are gone: what they still write is in our folder."""
        if self._over:
            return
        self._over = True  # its number may be another's from now on
        below = process.descendants(self._process.pid)
        process.kill_group(self._process)
        self._process.wait()
        psutil.wait_procs(below, timeout=5)


def _cause(said: str) -> str:
    """Return the line that tells the cause, where one does; browsers complain of much, before and after."""
    return next((line for line in said.splitlines() if ":FATAL:" in line), said)


def _waited_for(bridge: Bridge, browser: Browser, limit_s: float = float("inf")) -> bytes | None:
    """Return what the page answers; None where it takes longer. Raises BrowserLost where it cannot come any more."""
    waited = 0.0
    while waited < limit_s:
        try:
            return bridge.answers.get(timeout=LOOK_S)
        except queue.Empty:
            waited += LOOK_S
            browser.check()
    return None


def _asked(bridge: Bridge, browser: Browser, message: Message) -> Message:
    """Let the page answer a message."""
    question = io.BytesIO()
    protocol.write(question, message)
    bridge.questions.put(question.getvalue())
    while not (content := _waited_for(bridge, browser)):
        continue  # the page had waited, and asks again
    answer = protocol.read(io.BytesIO(content), MOST_BYTES)
    if answer is None:
        raise BrowserLost("the page has answered nothing")
    if answer.kind == "hello":
        return Message("hello", {**answer.fields, "pid": browser.page_process()})
    return answer


def carry(folder: Path, program: str, ready_s: float, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Start the browser, and carry messages until one says that it is over, or none comes any more.

    Raises:
        BrowserLost: it does not start, does not open the page, or has ended.
        ProtocolError: what came is no message.
    """
    import threading

    with Bridge(folder) as bridge:
        threading.Thread(target=bridge.serve_forever, daemon=True).start()
        browser = Browser(program, f"{bridge.url}{bridge.secret}/browser.html")
        try:
            if _waited_for(bridge, browser, ready_s) is None:
                browser.give_up(ready_s)
            while message := protocol.read(incoming, MOST_BYTES):
                answer = _asked(bridge, browser, message)
                if message.kind == "close":
                    browser.end()  # nothing of it is left when the other side learns that all is over
                protocol.write(outgoing, answer)
                if message.kind == "close":
                    return
        finally:
            browser.end()
            bridge.shutdown()


def main() -> int:
    """Carry messages between stdin, stdout and a page."""
    folder, program, ready_s = sys.argv[1:]
    outgoing = taken_stdout()
    try:
        carry(Path(folder), program, float(ready_s), sys.stdin.buffer, outgoing)
    except (BrowserLost, protocol.ProtocolError) as error:
        sys.stderr.write(f"{error}\n")
        return ENDED
    except BrokenPipeError:  # nobody listens any more
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
