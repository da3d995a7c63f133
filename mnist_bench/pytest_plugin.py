"""The pytest plug-in: a test marked `parity("model.onnx")` fails where a runtime gives other answers than it should.

pytest imports this in every environment that has mnist-bench: nothing else is imported before a marked test runs.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from mnist_bench.core.kinds import Precision
    from mnist_bench.core.types import ParityRecord
    from mnist_bench.data import Dataset
    from mnist_bench.parity import Plan

BATCH_SIZES, THREADS = (1, 128), (1,)
"""Each with each, unless told otherwise."""

HELP = (
    "parity(model, *, run=None, runtimes=(), batch_sizes=(1, 128), threads=(1,), dataset=None, data_dir=None, "
    "precision=None, output='', assume=(), trust_code=False): fail unless every runtime that opens this model file "
    "gives the reference's answers; paths are relative to pytest's rootdir (mnist-bench)"
)
FOUND = pytest.StashKey["dict[int, ParityRecord]"]()
"""What was found, by the place of its marker among those of the test: the closest is the first."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a test's marker asks for.

    `model` is the file, `run` the folder of the run that it is compared with; without, that is the file's own network
    in float64. No `runtimes` are all that open the file here. `dataset` is the run's unless told, or mnist. The others
    are those of `mnist-bench verify`.
    """

    model: str | Path
    _: dataclasses.KW_ONLY
    run: str | Path | None = None
    runtimes: str | tuple[str, ...] = ()
    batch_sizes: int | tuple[int, ...] = BATCH_SIZES
    threads: int | tuple[int, ...] = THREADS
    dataset: str | None = None
    data_dir: str | Path | None = None
    precision: Precision | None = None
    output: str = ""
    assume: str | tuple[str, ...] = ()
    trust_code: bool = False

    def below(self, root: Path) -> Asked:
        """Return the same with its paths below a folder, unless they are absolute."""
        given = self.data_dir or os.environ.get("MNIST_BENCH_DATA")
        return dataclasses.replace(
            self,
            model=root / self.model,
            run=root / self.run if self.run else None,
            data_dir=root / given if given else None,
        )

    @property
    def named(self) -> tuple[str, ...]:
        """The runtimes that were named."""
        from mnist_bench.stages.options import words

        return words("runtimes", self.runtimes)

    def plan(self, runtimes: tuple[str, ...]) -> Plan:
        """Return what to ask which runtimes."""
        from mnist_bench import parity
        from mnist_bench.stages import options

        return parity.Plan(
            runtimes,
            options.numbers("batch_sizes", self.batch_sizes) or BATCH_SIZES,
            options.threads(self.threads) or THREADS,
            precision=self.precision,
            output=self.output,
            assumption=parity.Assumption.of(options.words("assume", self.assume)),
        )

    def images(self, usual: str) -> Dataset:
        """Load the dataset that was named, or the usual one."""
        from mnist_bench import data

        return data.load(self.dataset or usual, Path(self.data_dir) if self.data_dir else None)


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Verify the models of a marked test before its body runs: of several markers, each."""
    for place, marker in enumerate(item.iter_markers("parity")):
        _check(_found(item, marker, place), marker)


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> ParityRecord:
    """What was found of the model that the test is marked with: a `ParityRecord`; the body sees one that passed.

    Of several markers, that of the closest.
    """
    marker = request.node.get_closest_marker("parity")
    if marker is None:
        _fail("the fixture parity is of tests that are marked: add @pytest.mark.parity(MODEL)")
    return _found(request.node, marker, 0)


def _found(item: pytest.Item, marker: pytest.Mark, place: int) -> ParityRecord:
    """Verify what a marker asks for, once a test."""
    from mnist_bench.core.errors import MnistBenchError

    known = item.stash.setdefault(FOUND, {})
    if place in known:
        return known[place]
    try:
        asked = Asked(*marker.args, **marker.kwargs).below(item.config.rootpath)
    except TypeError as error:
        _fail(f"@pytest.mark.parity: {str(error).partition('.__init__() ')[2] or error}; it is {HELP}")
    try:
        known[place] = _against_run(asked) if asked.run else _against_itself(asked)
    except MnistBenchError as error:
        _fail(f"{_model(marker)} could not be verified: {error}")
    return known[place]


def _model(marker: pytest.Mark) -> object:
    """Return the model as it is written in a marker that names one."""
    return marker.args[0] if marker.args else marker.kwargs["model"]


def _against_run(asked: Asked) -> ParityRecord:
    from mnist_bench import parity, store
    from mnist_bench.core.events import ignore

    folder = Path(str(asked.run))
    record = store.load_record(folder)
    images = asked.images(record.config.dataset).with_classes_of(record.dataset.classes)
    plan = asked.plan(asked.named)
    return parity.verify_file(Path(asked.model), folder, images, plan, ignore, trusted=asked.trust_code)


def _against_itself(asked: Asked) -> ParityRecord:
    """Make a run of the file, as `mnist-bench import` does, and verify that in the runtimes that open the file."""
    from mnist_bench import importing, parity, store
    from mnist_bench.core import scratch
    from mnist_bench.core.events import ignore

    images = asked.images("mnist")
    wanted = importing.Wanted(Path(asked.model), images, asked.output, trusted=asked.trust_code)
    with scratch.folder() as place:
        folder = place / "imported"
        with store.locked(folder):
            importing.bring(wanted, folder, lambda _: None)
        return parity.verify(folder, images, asked.plan(asked.named or _openers(folder)), ignore)


def _openers(folder: Path) -> tuple[str, ...]:
    """Return the runtimes that open the file of an imported run here.

    Raises:
        BadInput: none does.
    """
    from mnist_bench import parity, runtimes, store
    from mnist_bench.core.errors import BadInput
    from mnist_bench.core.types import Manifest

    manifest = store.load(folder, Manifest)
    formats = {one.format for one in manifest.artifacts} if manifest else set()
    able = [name for name in runtimes.names() if runtimes.load(name).FORMAT in formats]
    if usable := tuple(name for name in able if not parity.absence(name, "cpu")):
        return usable
    raise BadInput("no runtime opens this file here: export it to ONNX, and name the run that it is of with run=")


def _check(record: ParityRecord, marker: pytest.Mark) -> None:
    """Fail a test where a runtime answers otherwise, or could not be asked, and say which and what is wrong."""
    from mnist_bench.analysis import cases
    from mnist_bench.core import text

    lines = [f"{one.name}: {one.words}" for one in cases.of_parity(record) if one.outcome in ("failed", "error")]
    lines += [f"{one.target}: {cause.says}; {cause.remedy}" for one in record.diagnoses if (cause := one.cause)]
    if lines:
        what = f"{_model(marker)} does not give the reference's answers"
        _fail("\n".join([what, *(f"  {text.line(line)}" for line in lines)]))


def _fail(words: str) -> NoReturn:
    raise pytest.fail.Exception(words, pytrace=False) from None
