"""The web export: a folder that is whole, a server that gives nothing else, and a page that is driven in a browser."""

import http.client
import io
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_bench import data, formats, parity, store
from mnist_bench.cli import serve
from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.npm import ONNXRUNTIME_WEB
from mnist_bench.core.types import Artifact, Manifest
from mnist_bench.core.webserver import FileHandler, Handler, Server
from tests.browsers import needs_chromium, opened_browser
from tests.conftest import Run, heeds_ctrl_c, made_once
from tests.documents import edit
from tests.packages import needs_npm, put_into_cache

pytestmark = pytest.mark.programs

OF_CHROMIUM = "No available adapters."
"""What it says where a page asks whether there is a GPU, and there is none."""


@pytest.fixture
def run_with_page(shared: Path, light: Path, digits: data.Dataset) -> Path:
    """The folder of a run on the digits with its page; to read and never to write."""
    put_into_cache(ONNXRUNTIME_WEB, shared)

    def make(folder: Path) -> None:
        shutil.copytree(light, folder)
        record = store.load_record(folder)
        done = formats.export(folder, record, "web", reference=lambda: parity.reference_answers(folder, record))
        assert isinstance(done, Artifact)

    return made_once(shared / "web" / "digits-relu", make)


# The folder


@needs_npm
def test_the_folder_holds_all_that_the_page_asks_for(run_with_page: Path, digits: data.Dataset) -> None:
    folder = run_with_page / "model.web"
    about = json.loads((folder / "run.json").read_text())
    images = len(digits.test)
    assert about["classes"] == list(digits.classes)
    assert (folder / "images.bin").read_bytes() == digits.test.pixels.tobytes()
    assert (folder / "labels.bin").read_bytes() == digits.test.labels.tobytes()
    logits = np.frombuffer((folder / "logits.bin").read_bytes(), "<f8").reshape(images, 10)
    record = store.load_record(run_with_page)
    bounds = parity.certify(parity.weights_of(run_with_page, record), data.to_input(digits.test.pixels))
    assert np.allclose(logits, bounds.logits, rtol=1e-12)
    assert (folder / "certified.bin").read_bytes() == bounds.certified.tobytes()
    assert about["tolerance"] == pytest.approx(32 * 2**-23 * np.abs(logits).max())
    ours = [path for path in (*folder.glob("*.html"), *folder.glob("*.js")) if not path.name.startswith("ort")]
    pages = "".join(path.read_text(encoding="utf-8") for path in ours)
    for name in re.findall(r"[\"'`(/]([a-z.-]+\.(?:js|css|svg|json|bin|onnx))\b", pages):
        assert (folder / name).is_file(), name
    assert not list(folder.glob("*.mjs"))


@needs_npm
def test_two_exports_are_equal_byte_for_byte(run_with_page: Path, tmp_path: Path, run: Run) -> None:
    folder = Path(shutil.copytree(run_with_page, tmp_path / "exports" / "digits-relu"))
    before = store.load(folder, Manifest)
    shutil.rmtree(folder / "model.web")
    assert run("export", "--format", "web", "--quiet") == 0
    after = store.load(folder, Manifest)
    assert before
    assert after
    assert [one.sha256 for one in after.artifacts] == [one.sha256 for one in before.artifacts]


def test_without_its_package_the_remedy_is_told(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("export", "--format", "web", "--quiet") == 3
    assert "mnist-bench hosts --install browser" in capsys.readouterr().err
    assert not (own_copy / "model.web").exists()


def test_a_caller_without_a_reference_is_told(own_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_bench.formats.web.why_unavailable", lambda: None)
    done = formats.export(own_copy, store.load_record(own_copy), "web")
    assert isinstance(done, Skipped)
    assert "mnist-bench export --format web" in done.remedy


# The server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


@contextmanager
def started(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve some files."""
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Callable[..., Answer]]:
    """Serve some files, and give what asks for a path; `{port}` in a header is the server's."""
    with started(files) as server:

        def ask(path: str, method: str = "GET", **headers: str) -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            with closing(connection):
                connection.putrequest(method, path, skip_host="Host" in headers)
                for name, value in headers.items():
                    connection.putheader(name, value.format(port=server.server_port))
                connection.endheaders()
                found = connection.getresponse()
                return Answer(found.status, dict(found.headers), found.read())

        yield ask


def test_files_come_with_their_types_and_what_gives_a_page_threads() -> None:
    files = {"index.html": b"<p>", "a.js": b"1", "a.wasm": b"\0asm", "a.mjs": b"2", "a.bin": b"3"}
    types = {"index.html": "text/html", "a.js": "text/javascript", "a.wasm": "application/wasm"}
    with serving(files) as ask:
        for name, content in files.items():
            answer = ask(f"/{name}")
            assert (answer.status, answer.content) == (200, content)
            assert answer.headers["Content-Type"].startswith(types.get(name, answer.headers["Content-Type"]))
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ask("/").content == b"<p>"
        assert ask("/?query").content == b"<p>"
        head = ask("/a.wasm", "HEAD")
        assert (head.status, head.headers["Content-Length"], head.content) == (200, "4", b"")


@pytest.mark.parametrize(
    "path",
    ["/../run.json", "/%2e%2e/run.json", "/..%2frun.json", "//etc/passwd", "/etc/passwd", "/.", "/nothing", "/a\\b"],
)
def test_nothing_but_the_files_is_given(path: str) -> None:
    with serving({"index.html": b"<p>"}) as ask:
        assert ask(path).status == 404
        assert ask("/index.html", "POST").status == 501


def test_an_address_that_is_none_is_refused() -> None:
    with (
        started({"index.html": b"<p>"}) as server,
        socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection,
    ):
        host = f"Host: 127.0.0.1:{server.server_port}\r\n\r\n".encode()
        connection.sendall(b"GET http://[::1 HTTP/1.1\r\n" + host)  # http.client would not send it
        assert connection.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_who_falls_silent_holds_no_thread(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileHandler, "timeout", 0.1)
    with (
        started({"index.html": b"<p>"}) as server,
        socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection,
    ):
        connection.sendall(sent)
        assert connection.recv(1) == b""  # it is closed


def test_other_handlers_wait_for_as_long_as_it_takes() -> None:
    """The page of the host "browser" computes for minutes, and then sends its answer by the same connection."""
    assert FileHandler.timeout
    assert Handler.timeout is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_who_asks_by_another_name_is_refused(host: str) -> None:
    """So that no page elsewhere, whose name leads to this machine, reads what is here."""
    with serving({"index.html": b"<p>"}) as ask:
        answer = ask("/", Host=host)
        assert answer.status == 403
        assert b"<p>" not in answer.content
        for own in ("127.0.0.1:{port}", "localhost:{port}"):
            assert ask("/", Host=own).status == 200


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--web",), 2, "has no page for browsers: mnist-bench export --run digits-relu --format web"),
        ((), 2, "name either --web or --runtime NAME"),
        (("--web", "--runtime", "onnxruntime"), 2, "name either --web or --runtime NAME"),
        (("--runtime", "onnxruntime", "--port", "1"), 2, "--run and --port are of --web"),
        (("--web", "--run", "ghost"), 2, "no run 'ghost'"),
        (("--web", "--port", "70000"), 2, "70000 is not in the range"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    words: tuple[str, ...], code: int, line: str, own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("serve", *words) == code
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_a_port_in_use_is_told_and_the_usual_one_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=rf"port {port} of 127\.0\.0\.1 is in use: .*--port 0"):
            serve._listening({}, port)
        monkeypatch.setattr(serve, "PORT", port)
        with serve._listening({}, None) as server:
            assert server.server_port != port


@needs_npm
def test_a_page_of_older_weights_or_one_that_was_changed_is_refused(
    run_with_page: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run_with_page, tmp_path / "exports" / "digits-relu"))
    with (folder / "model.web" / "page.js").open("a") as file:
        file.write("alert(1);")
    assert run("serve", "--web") == 2
    assert "page.js differs from what was saved" in capsys.readouterr().err
    edit(folder / "manifest.json", lambda one: one["artifacts"][-1].update(weights_sha256="0" * 64))
    assert run("serve", "--web") == 2
    assert "is of older weights: mnist-bench export" in capsys.readouterr().err


# From a drawing or a picture to pixels


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no Node on the PATH")


def by_node(folder: Path, expression: str, content: bytes) -> bytes:
    """Return what an expression of preparing.js makes of `bytes`, one array after another."""
    source = Path(formats.__file__).parent / "_web" / "preparing.js"
    shutil.copy(source, folder / "preparing.mjs")  # under its own name Node takes it for a script and no module
    script = f"""
        import {{ inkOf, prepared }} from "./preparing.mjs";
        import {{ readFileSync, writeSync }} from "node:fs";
        const bytes = new Uint8Array(readFileSync(0));
        for (const one of {expression}) for (let at = 0; at < one.length;) at += writeSync(1, one, at);
    """
    (folder / "script.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run(["node", "script.mjs"], cwd=folder, input=content, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@needs_node
@pytest.mark.mnist
def test_what_is_prepared_as_mnist_s_images_are_leaves_these_as_they_are(mnist_root: Path, tmp_path: Path) -> None:
    images = data.load("mnist", mnist_root).test.pixels[:500].reshape(500, 784)
    each = "Array.from({ length: 500 }, (_, n) => prepared(bytes.subarray(784 * n, 784 * (n + 1)), 28, 28))"
    found = np.frombuffer(by_node(tmp_path, each, images.tobytes()), np.uint8).reshape(500, 784)
    assert (found == images).all(axis=1).mean() >= 0.99


def from_picture(folder: Path, picture: Image.Image) -> tuple[np.ndarray[Any, Any], bool]:
    """Return what the network gets of a picture, uint8 (28, 28), and whether it was inverted."""
    width, height = picture.size
    expression = f"""(() => {{
        const {{ ink, inverted }} = inkOf(bytes, {width}, {height});
        return [prepared(ink, {width}, {height}) ?? new Uint8Array(784), Uint8Array.of(inverted)];
    }})()"""
    found = np.frombuffer(by_node(folder, expression, picture.convert("RGBA").tobytes()), np.uint8)
    return found[:784].reshape(28, 28), bool(found[784])


@needs_node
@pytest.mark.parametrize(
    ("ground", "ink", "inverted"),
    [
        ("#ffffff00", "#ffffff", False),  # white on nothing: its alpha is the ink
        ("#00000000", "#000000", False),
        ("#ff0000ff", "#ff000000", False),  # a hole in one colour
        ("#787878", "#000000", True),  # on grey, on the side where it lies
        ("#828282", "#ffffff", False),
        ("#ffffff", "#000000", True),
        ("#000000", "#ffffff", False),
    ],
)
def test_ink_is_found_on_every_ground(ground: str, ink: str, inverted: bool, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (100, 100), ground)
    ImageDraw.Draw(picture).rectangle([45, 10, 54, 89], fill=ink)
    found, was = from_picture(tmp_path, picture)
    assert found[4:24, 13:15].min() > 200
    assert np.count_nonzero(found) <= 20 * 3
    assert was is inverted


@needs_node
def test_what_is_faint_everywhere_is_no_ink(tmp_path: Path) -> None:
    """A photograph of paper, lighter in the middle than at its border."""
    picture = Image.new("RGB", (100, 100), "#c0c0c0")
    ImageDraw.Draw(picture).rectangle([5, 5, 94, 94], fill="#d8d8d8")
    ImageDraw.Draw(picture).rectangle([45, 10, 54, 89], fill="#101010")
    found, inverted = from_picture(tmp_path, picture)
    assert inverted
    assert np.count_nonzero(found) <= 20 * 3


@needs_node
@pytest.mark.parametrize("line", [(10, 10, 270, 270), (140, 10, 140, 270), (10, 10, 270, 140)])
def test_a_thin_stroke_is_as_dark_as_mnist_s(line: tuple[int, ...], tmp_path: Path) -> None:
    picture = Image.new("RGB", (280, 280), "white")
    ImageDraw.Draw(picture).line(line, fill="black", width=1)
    found, _ = from_picture(tmp_path, picture)
    assert found.max() >= 254
    assert np.count_nonzero(found > 100) >= 15


# The page


@pytest.fixture
def url(run_with_page: Path) -> Iterator[str]:
    """Where `mnist-bench serve --web` shows the page; it ends as Ctrl-C ends everything."""
    command = [sys.executable, "-m", "mnist_bench", "serve", "--web", "--port", "0"]
    command += ["--out", str(run_with_page.parent), "--run", run_with_page.name]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heeds_ctrl_c) as served:  # noqa: PLW1509
        assert served.stdout
        yield served.stdout.readline().strip()
        served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=30)
    assert served.returncode == 130
    assert "Traceback" not in err


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as chromium:
        yield chromium


@pytest.fixture
def tab(browser: Any, url: str) -> Iterator[Any]:
    """A tab with the page, once it has compared all images."""
    with opened(browser, url) as page:
        yield page


@contextmanager
def opened(browser: Any, url: str, before: Callable[[Any], object] = lambda _: None, **look: Any) -> Iterator[Any]:
    """Open the page, wait for its verdict, and see afterwards that it asked nobody else, and complained of nothing."""
    page = browser.new_page(**look)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda one: said.append(str(one)))
    before(page)
    page.goto(url)
    page.locator(".verdict.same, .verdict.different").wait_for()
    page.locator("#samples:not(:empty)").wait_for()
    yield page
    page.close()
    assert [one for one in asked if not one.startswith(url)] == []
    assert [one for one in said if one != OF_CHROMIUM] == []


def certified(folder: Path) -> int:
    return sum((folder / "model.web" / "certified.bin").read_bytes())


@needs_chromium
@needs_npm
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_compares_this_browser_s_answers_with_the_reference_s(
    browser: Any, url: str, run_with_page: Path, digits: data.Dataset, width: int, scheme: str
) -> None:
    with opened(browser, url, viewport={"width": width, "height": 800}, color_scheme=scheme) as tab:
        count = f"{certified(run_with_page):,}"
        line = tab.inner_text("#verdict-line")
        assert re.fullmatch(rf"{count} of {count} certified images, 0 flips; fp32, wasm SIMD, \d threads?\.", line)
        assert tab.inner_text("#verdict-more").startswith(f"All {len(digits.test):,} images: 0 predicted differently")
        assert tab.locator("#verdict").get_attribute("class") == "verdict same"
        assert re.search(r"the median of [\d,]+ calls", tab.inner_text("#samples"))
        assert tab.inner_text("#isolated").startswith("yes")
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        ink, paper = tab.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        assert (brightness(ink) > brightness(paper)) is (scheme == "dark")


def brightness(color: str) -> int:
    return sum(map(int, re.findall(r"\d+", color)[:3]))


@needs_chromium
@needs_npm
def test_a_digit_is_drawn_with_the_mouse_and_cleared(tab: Any) -> None:
    box = tab.locator("#canvas").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    tab.mouse.move(*at(0.5, 0.2))
    tab.mouse.down()
    tab.mouse.move(*at(0.5, 0.8), steps=8)
    tab.mouse.up()
    tab.locator("tr.first").wait_for()
    drawn = seen(tab)
    assert drawn[6:23, 13:15].min() > 200  # fitted into 20 × 20, in the middle
    assert drawn[:4].max() == drawn[25:].max() == drawn[:, :9].max() == 0
    shares = [float(text.rstrip("%")) for text in tab.locator("#classes tr td:last-child").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    tab.get_by_role("button", name="Clear").click()
    assert tab.inner_text("#sure") == "nothing drawn yet"
    assert seen(tab).max() == 0


def seen(tab: Any) -> np.ndarray[Any, Any]:
    """Return what is shown as what the network gets: uint8 (28, 28)."""
    values = tab.evaluate("[...document.getElementById('preview').getContext('2d').getImageData(0, 0, 28, 28).data]")
    return np.array(values, np.uint8).reshape(28, 28, 4)[:, :, 0]


@needs_chromium
@needs_npm
def test_everything_can_be_done_with_keys(tab: Any, digits: data.Dataset) -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "canvas"
    for key in ["ArrowUp"] * 5 + ["Space"] + ["ArrowDown"] * 10:
        tab.keyboard.press(key)
    tab.locator("#said", has_text="Pen down").wait_for(state="attached")
    tab.keyboard.press("Space")
    assert seen(tab)[6:23, 13:15].min() > 200
    tab.locator("#said", has_text="%").wait_for(state="attached")
    tab.keyboard.press("Delete")
    assert tab.inner_text("#sure") == "nothing drawn yet"
    assert tab.text_content("#said") == ""
    tab.get_by_role("button", name="Next test image").focus()
    tab.keyboard.press("Enter")
    tab.locator("#source", has_text="Test image 0").wait_for()
    assert np.array_equal(seen(tab), digits.test.pixels[0])
    tab.get_by_label("Number of the test image").fill("7")
    tab.keyboard.press("Enter")
    tab.locator("#source", has_text="Test image 7").wait_for()
    assert np.array_equal(seen(tab), digits.test.pixels[7])
    tab.get_by_role("button", name="Previous test image").press("Space")
    tab.locator("#source", has_text="Test image 6").wait_for()
    reached = set()
    for _ in range(12):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id"))
        visible = "(({outlineStyle}) => outlineStyle)(getComputedStyle(document.activeElement))"
        assert tab.evaluate(visible) != "none" or tab.evaluate("document.activeElement === document.body")
    assert {"next", "engine"} <= reached


@needs_chromium
@needs_npm
def test_an_image_is_dropped_and_what_is_none_is_refused(tab: Any) -> None:
    picture = Image.new("RGB", (300, 200), "#e8e4d8")
    ImageDraw.Draw(picture).line([(140, 40), (140, 160)], fill="#203060", width=14)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    drop(tab, "one.png", encoded.getvalue())
    tab.locator("#source", has_text="inverted, since its ground is light").wait_for()
    assert seen(tab)[6:23, 13:15].min() > 200
    drop(tab, "words.txt", b"no image")
    tab.locator("#warning", has_text="words.txt is no image that this browser can read: choose a PNG").wait_for()
    blank = io.BytesIO()
    Image.new("RGB", (30, 30), "white").save(blank, "PNG")
    tab.set_input_files("#file", {"name": "blank.png", "mimeType": "image/png", "buffer": blank.getvalue()})
    tab.locator("#source", has_text="This image is of one colour").wait_for()
    assert not tab.locator("#warning").is_visible()
    assert seen(tab).max() == 0


@needs_chromium
@needs_npm
@pytest.mark.parametrize("what", ["clear", "draw", "test image"])
def test_a_complaint_is_over_with_what_is_done_next(tab: Any, what: str) -> None:
    drop(tab, "words.txt", b"no image")
    tab.locator("#warning", has_text="words.txt is no image").wait_for()
    if what == "clear":
        tab.get_by_role("button", name="Clear").click()
    elif what == "draw":
        tab.locator("#canvas").click()
    else:
        tab.get_by_role("button", name="Next test image").click()
    tab.locator("#warning").wait_for(state="hidden")
    assert tab.text_content("#warning") == ""


@needs_chromium
@needs_npm
def test_of_two_fingers_the_first_draws(tab: Any) -> None:
    box = tab.locator("#canvas").bounding_box()
    fingers = tab.context.new_cdp_session(tab)

    def touch(kind: str, *places: tuple[int, float, float]) -> None:
        points = [
            {"id": finger, "x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            for finger, x, y in places
        ]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (0, 0.2, 0.2))
    touch("touchStart", (0, 0.2, 0.2), (1, 0.8, 0.2))
    for y in (0.4, 0.6, 0.8):
        touch("touchMove", (0, 0.2, y), (1, 0.8, y))
    touch("touchEnd")
    assert inked(tab) == (True, False)
    touch("touchStart", (0, 0.8, 0.2))  # lifted: the next one draws
    touch("touchMove", (0, 0.8, 0.8))
    touch("touchEnd")
    assert inked(tab) == (True, True)


def inked(tab: Any) -> tuple[bool, bool]:
    """Return whether something is drawn in the left half, and in the right."""
    values = tab.evaluate("[...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280).data]")
    alpha = np.array(values, np.uint8).reshape(280, 280, 4)[:, :, 3]
    return bool(alpha[:, :140].any()), bool(alpha[:, 140:].any())


def drop(tab: Any, name: str, content: bytes) -> None:
    """Drop a file onto the page."""
    transfer = tab.evaluate_handle(
        """([name, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name));
          return transfer;
        }""",
        [name, list(content)],
    )
    tab.dispatch_event("#canvas", "drop", {"dataTransfer": transfer})


@needs_chromium
@needs_npm
def test_an_answer_that_differs_is_told_with_its_image(browser: Any, url: str, run_with_page: Path) -> None:
    folder = run_with_page / "model.web"
    logits = bytearray((folder / "logits.bin").read_bytes())
    sure = [place for place, one in enumerate((folder / "certified.bin").read_bytes()) if one][5]
    winner = np.frombuffer(bytes(logits), "<f8").reshape(-1, 10)[sure].argmin()
    struct.pack_into("<d", logits, 8 * (10 * sure + int(winner)), 99.0)

    def change(page: Any) -> None:
        page.route("**/logits.bin", lambda route: route.fulfill(body=bytes(logits)))

    with opened(browser, url, change) as tab:
        count = certified(run_with_page)
        assert tab.inner_text("#verdict-line").startswith(f"{count - 1:,} of {count:,} certified images, 1 flip;")
        assert tab.locator("#verdict").get_attribute("class") == "verdict different"
        assert "1 image beyond what is allowed" in tab.inner_text("#verdict-more")
        tab.get_by_role("button", name=f"Show test image {sure}").click()
        tab.locator("#source", has_text=f"Test image {sure:,}").wait_for()


@needs_chromium
@needs_npm
def test_another_engine_is_compared_anew(tab: Any) -> None:
    options = tab.locator("#engine option").all_inner_texts()
    assert options[-1] == "wasm SIMD, 1 thread"
    if len(options) > 1:
        tab.select_option("#engine", options[-1])
        tab.locator("#verdict-line", has_text="0 flips; fp32, wasm SIMD, 1 thread.").wait_for()


@needs_chromium
@needs_npm
def test_behind_a_server_without_the_headers_it_has_one_thread_and_says_so(browser: Any, run_with_page: Path) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]
    folder = run_with_page / "model.web"
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as served:
        try:
            assert served.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+/", served.stdout.readline())
            assert found
            with opened(browser, found[0]) as tab:
                assert tab.inner_text("#verdict-line").endswith("0 flips; fp32, wasm SIMD, 1 thread.")
                assert tab.inner_text("#isolated").startswith("no: one thread, and a clock of 100 µs")
        finally:
            served.kill()


@needs_chromium
@needs_npm
def test_a_folder_that_is_not_whole_is_told(browser: Any, url: str) -> None:
    page = browser.new_page()
    page.route("**/labels.bin", lambda route: route.fulfill(status=404, body="nothing"))
    page.goto(url)
    page.locator("#verdict-line", has_text="labels.bin cannot be loaded (404): is the folder complete?").wait_for()
    assert page.locator("#verdict").get_attribute("class") == "verdict different"
    page.close()
