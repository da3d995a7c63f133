"""Fixtures: every test has an empty cache folder and no dataset of its user's; real MNIST only where it is marked."""

import importlib
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch

import mnist_bench
from mnist_bench import data, formats, store, training
from mnist_bench.cli import _main
from mnist_bench.core import child, locks
from mnist_bench.core.events import ignore
from mnist_bench.core.kinds import PROGRAM, Skipped
from mnist_bench.core.types import Artifact, Record, TrainConfig
from mnist_bench.formats import _request

pytest_plugins = ("pytester",)
# What tests start must not find MNIST, but processes that share the tests have to: they inherit it by another name.
MNIST_ROOT = Path(os.environ.pop("MNIST_BENCH_DATA", "") or os.environ.get("MNIST_OF_TESTS", "/nowhere"))
os.environ["MNIST_OF_TESTS"] = str(MNIST_ROOT)
Run = Callable[..., int]
IN_PROCESS = ("c", "cpp", "litert", "ncnn", "onnx", "ort-fixed", "ort-runtime", "scikit-learn")
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported: its kernels run, slowly, without a GPU


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = not (MNIST_ROOT / "MNIST" / "raw").is_dir()
    no_mnist = pytest.mark.skip(reason="no real MNIST: set MNIST_BENCH_DATA to a torchvision root")
    no_gpu = pytest.mark.skip(reason="no CUDA device: torch.cuda.is_available() is False")
    for item in items:
        if missing and "mnist" in item.keywords and item.get_closest_marker("mnist"):
            item.add_marker(no_mnist)
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(no_gpu)


def heeds_ctrl_c() -> None:
    """For `preexec_fn`: what tests start that run in the background of a script would ignore Ctrl-C, as they do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of all processes that take tests of this session, and the cache of what is made before a test begins."""
    own = tmp_path_factory.getbasetemp()
    place = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(_new_cache(tmp_path_factory, place)))
        yield place


def _new_cache(factory: pytest.TempPathFactory, shared: Path) -> Path:
    """Make a cache folder in which only what takes seconds to compile is shared: its name is a hash of its source."""
    cache = factory.mktemp("cache")
    (cache / PROGRAM).mkdir()
    for name in ("compiled", "torch-inductor"):
        (shared / name).mkdir(exist_ok=True)
        (cache / PROGRAM / name).symlink_to(shared / name)
    return cache


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Let the first of these processes make a folder, and return it."""
    folder.parent.mkdir(exist_ok=True)
    with locks.exclusive(Path(f"{folder}.lock"), timeout_s=600):
        if not folder.exists():
            try:
                make(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder


@pytest.fixture(autouse=True)
def alone(shared: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or fills its user's cache, and the screen has one width everywhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(_new_cache(tmp_path_factory, shared)))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mnist_root() -> Path:
    return MNIST_ROOT.resolve()


class Plugins:
    """Adds modules to the package: to this process's, and to a copy of it, which is what workers import."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self._own, self._patch = folder / "site", folder / "own", monkeypatch
        ours = Path(mnist_bench.__file__).parent
        shutil.copytree(ours, self.site / "mnist_bench", ignore=shutil.ignore_patterns("*.pyc"))
        monkeypatch.setenv("PYTHONPATH", str(self.site))

    def add(self, room: str, name: str, text: str) -> None:
        """Add one source file: `add("runtimes", "abacus", …)`; it takes the place of an earlier one of its name."""
        for folder in (self._own / room, self.site / "mnist_bench" / room):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        package = importlib.import_module(f"mnist_bench.{room}")
        if str(self._own / room) not in package.__path__:
            self._patch.setattr(package, "__path__", [*package.__path__, str(self._own / room)])
        sys.modules.pop(f"mnist_bench.{room}.{name}", None)
        importlib.invalidate_caches()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """Add modules to the package while a test runs."""
    before = set(sys.modules)
    yield Plugins(tmp_path / "plugins", monkeypatch)
    for name in set(sys.modules) - before:
        if name.startswith("mnist_bench."):
            del sys.modules[name]


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command line in an empty folder, in this process, and return its exit code."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    yield lambda *arguments: _main.run([str(argument) for argument in arguments])
    torch.set_num_threads(threads)


class StopAfter:
    """Asks to stop, as Ctrl-C would, once it has been asked so many times."""

    def __init__(self, steps: int | None = None) -> None:
        self.left = steps

    def __call__(self) -> int | None:
        if self.left is None:
            return None
        self.left -= 1
        return 2 if self.left <= 0 else None


def train_digits(folder: Path, digits: data.Dataset, stop: StopAfter | None = None, **settings: object) -> Record:
    """Train on the digits into a folder, one thread, two epochs unless told otherwise."""
    config = TrainConfig(**({"dataset": "digits", "epochs": 2} | settings))  # type: ignore[arg-type]
    record = training.new_record(folder.name, config, digits)
    folder.mkdir(parents=True, exist_ok=True)
    return training.train(record, digits, folder, ignore, stop or StopAfter())


@pytest.fixture(scope="session")
def trained(shared: Path, digits: data.Dataset) -> tuple[Path, Record]:
    """A finished run on the digits, to read and never to write: its folder and its record."""
    folder = made_once(shared / "trained" / "digits-relu", lambda place: train_digits(place, digits, epochs=15))
    return folder, store.load_record(folder)


@pytest.fixture(scope="session")
def exported(shared: Path, light: Path) -> Path:
    """The folder of a run on the digits with all files that this machine can export; to read and never to write."""

    def make(folder: Path) -> None:
        shutil.copytree(light, folder)
        export_into(folder, set(formats.names()) - {"onnx"})

    return made_once(shared / "exported" / "digits-relu", make)


@pytest.fixture(scope="session")
def light(shared: Path, digits: data.Dataset) -> Path:
    """The folder of a run on the digits with its ONNX files alone; to read and never to write."""

    def make(folder: Path) -> None:
        train_digits(folder, digits, epochs=5)
        export_into(folder, ["onnx"])

    return made_once(shared / "light" / "digits-relu", make)


def export_into(folder: Path, names: Iterable[str]) -> None:
    """Export, in this process what gives the same bytes there: it has imported torch already."""
    record = store.load_record(folder)
    for name in sorted(names):
        with pytest.MonkeyPatch.context() as patch:
            if name in IN_PROCESS:
                patch.setattr(child, "call", lambda _function, request, _type, **_limits: _request.serve(request))
            for precision in formats.precisions(name):
                assert isinstance(formats.export(folder, record, name, precision=precision), Artifact | Skipped)


@pytest.fixture
def own_copy(exported: Path, tmp_path: Path) -> Path:
    """A copy of that folder, elsewhere, to do as one likes with."""
    return Path(shutil.copytree(exported, tmp_path / "exports" / "digits-relu"))
