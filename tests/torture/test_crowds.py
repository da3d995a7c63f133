"""Many processes at once, in one folder of runs and in one cache: each ends as alone, or says who is at work."""

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_bench import store
from mnist_bench.core.types import Manifest, ParityRecord
from tests.torture import small_data
from tests.torture.harness import START, assert_sound, note, sized

QUICK = ("--batch-size", "128", "--threads", "1", "-q")


def at_once(folder: Path, *commands: tuple[str, ...], **variables: str) -> list[tuple[int, str]]:
    """Run commands beside each other; return the exit code of each, and what it said."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    started = [
        subprocess.Popen([*START, *command], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    found = [(one.communicate(timeout=200)[1], one.returncode) for one in started]
    assert all("Traceback" not in err and "bug:" not in err for err, _ in found), found
    return [(status, err) for err, status in found]


def test_training_and_exports_beside_verify_give_no_false_alarm(own_copy: Path, tmp_path: Path) -> None:
    """Verify tells of the state at its beginning, whatever becomes of the run meanwhile."""
    name = own_copy.name
    for epochs in range(6, 6 + sized(1, 10)):
        found = at_once(
            tmp_path,
            ("verify", "--runtime", "onnxruntime", "--runtime", "torch-eager", *QUICK),
            ("train", "--resume", "--run", name, "--epochs", str(epochs), "-q"),
            ("verify", "--runtime", "onnxruntime", *QUICK),
            ("export", "--run", name, "--format", "torchscript", "-q"),
        )
        assert {found[0][0], found[2][0]} <= {0, 2}, found  # 2 where the run has no file of its present weights
        for status, err in found[1], found[3]:
            assert status == 0 or (status == 2 and "being written by another process" in err), found
        assert_sound(own_copy, swept=False)
        compared = store.load(own_copy, ParityRecord)
        assert not compared or not [result for result in compared.results if result.failures]


def test_two_of_everything_do_each_other_no_harm(own_copy: Path, tmp_path: Path) -> None:
    name = own_copy.name
    found = at_once(
        tmp_path,
        *(("report", "--run", name, "--html"),) * 3,
        *(("export", "--run", name, "--format", "torch-export", "-q"),) * 3,
    )
    assert [status for status, _ in found[:3]] == [0, 0, 0]
    assert sorted(status for status, _ in found[3:])[0] == 0
    assert all(status in (0, 2) for status, _ in found), found
    assert (own_copy / "report.html").read_text().rstrip().endswith("</html>")
    assert store.load(own_copy, Manifest)
    assert_sound(own_copy, swept=False)


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare: no process ids of one's own")
def test_processes_of_the_same_number_share_a_folder_without_harm(own_copy: Path, tmp_path: Path) -> None:
    """As in two containers: in a namespace of its own the command is always process 1."""
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process ids of one's own may be had here")
    command = ["unshare", "--pid", "--fork", *START, "report", "--run", own_copy.name, "--html"]
    started = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    found = [(one.communicate(timeout=120)[1], one.returncode) for one in started]
    assert [status for _, status in found] == [0] * 4, found
    assert not list(own_copy.glob(".*.tmp"))


class Wayward(http.server.BaseHTTPRequestHandler):
    """Serves the files that it should, now and then as networks do: cut short, changed, sent elsewhere, or stalling."""

    files: dict[str, bytes]
    asked = 0
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Answer."""
        Wayward.asked += 1
        turn, content = Wayward.asked, self.files[self.path.rpartition("/")[2]]
        if turn % 11 == 3 and "elsewhere" not in self.path:
            self.send_response(302)
            self.send_header("Location", "/elsewhere/" + self.path.rpartition("/")[2])
            self.end_headers()
            return
        self.send_response(503 if turn % 13 == 5 else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if turn % 5 == 1:
            content = content[: len(content) // 2]
        elif turn % 7 == 2:
            content = content[:-10] + bytes(10)
        elif turn % 17 == 4:
            time.sleep(2)
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def wayward() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wayward)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


LOADS = """
import sys
from mnist_bench.core.errors import MnistBenchError
from tests.torture.small_data import source
try:
    print("whole", len(source(sys.argv[1]).load(None).train))
except MnistBenchError as error:
    print("refused", error.exit_code)
"""


def test_many_processes_fill_one_cache_from_a_wayward_server(wayward: str, tmp_path: Path) -> None:
    Wayward.files = small_data.ARCHIVES
    rounds, crowd, refused = sized(1, 50), sized(4, 16), 0
    for number in range(rounds):
        cache = tmp_path / str(number)
        environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(Path(__file__).parents[2])}
        started = [
            subprocess.Popen([sys.executable, "-c", LOADS, wayward], env=environment, stdout=-1, stderr=-1, text=True)
            for _ in range(crowd)
        ]
        ended = [(one.communicate(timeout=250), one.returncode) for one in started]
        assert all(status == 0 for _, status in ended), ended
        answers = [out.strip().splitlines()[-1] for (out, _), _ in ended]
        assert set(answers) <= {"whole 6", "refused 3", "refused 2"}, answers
        refused += sum(answer != "whole 6" for answer in answers)
        if "whole 6" in answers:
            small_data.source().read(cache / "mnist-bench" / "MNIST" / "raw")
        assert not list(cache.rglob(".download-*"))
    note("cold starts", processes=rounds * crowd, refused=refused, requests=Wayward.asked)
