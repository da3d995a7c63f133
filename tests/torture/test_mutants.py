"""Damaged files: a line each, and never a traceback, a hang, or the machine's memory."""

import contextlib
import gzip
import random
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import mnist_bench.report as report
from mnist_bench import hosts, runtimes, store
from mnist_bench.core.architecture import SHAPES
from mnist_bench.core.bench_types import InferenceBenchRecord
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import MnistBenchError
from mnist_bench.core.types import Manifest, ParityRecord, Record, SavedFile
from tests.bench import made
from tests.documents import sealed, unsealed
from tests.torture import small_data
from tests.torture.conftest import fresh
from tests.torture.harness import Commands, note, sized

SEED = 0
SLOWEST_S = 20.0
MOST_BYTES = 2 * 2**30
TOKENS = [
    *(b"0", b"-1", b"1e308", b"9" * 30, b"null", b"true", b'""', b"[]", b"{}", b'"\\u001b[2J"', b"1e-320", b"NaN"),
    *(b"\xff", b"\x00", b'"', b"[" * 2000, b"\xe2\x80\xae", b"\\ud800", b"0.5", b"18446744073709551616"),
]


def mutated(content: bytes, drawn: random.Random) -> bytes:
    """Change some bytes: flip bits, cut, double, move, or put in what parsers stumble over."""
    found = content
    for _ in range(drawn.choice((1, 1, 1, 2, 5))):
        at, size = drawn.randrange(len(found) or 1), drawn.randrange(1, 64)
        before, part, rest = found[:at], found[at : at + size], found[at + size :]
        flipped = bytes([(found[at] if found else 0) ^ (1 << drawn.randrange(8))])
        number = struct.pack("<Q", drawn.choice((0, 1, 2**31, 2**40, 2**62, 2**64 - 1)))
        ways = (
            before + flipped + found[at + 1 :],
            before,
            before + rest,
            before + part + part + rest,
            before + drawn.choice(TOKENS) + found[at + drawn.randrange(5) :],
            before + drawn.randbytes(8) + found[at + 8 :],
            before + number + found[at + 8 :],
        )
        found = drawn.choice(ways)
    return found


def numbers_changed(content: bytes, drawn: random.Random) -> bytes:
    """Change a value of a JSON document and leave it JSON: what is well-formed and wrong goes further."""
    document = msgspec.json.decode(content)
    at = document
    while isinstance(at, (dict, list)) and at:
        keys: list[Any] = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = drawn.choice(keys)
        below = at[key]
        if not isinstance(below, (dict, list)) or not below or drawn.random() < 0.1:
            at[key] = drawn.choice((0, -1, 1, 10, 2**40, 1e308, 0.5, "", "x\u202e\x1b[2J", None, [], {}, True, [0]))
            break
        at = below
    return msgspec.json.encode(document)


def survived(act: Callable[[], object], what: str) -> bool:
    """Do something with a mutant; an error of ours is an answer. Return whether it was taken."""
    began, error = time.monotonic(), None
    try:
        act()
    except MnistBenchError as refusal:
        error = refusal
    assert time.monotonic() - began < SLOWEST_S, what
    assert error is None or (str(error) and error.exit_code in (2, 3)), (what, error)
    return error is None


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No mutant takes more memory than is stated."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_BYTES // 1024


KINDS: dict[str, type[store.Saved]] = {
    "run.json": Record,
    "manifest.json": Manifest,
    "parity.json": ParityRecord,
    "bench.json": InferenceBenchRecord,
}


@pytest.mark.parametrize("name", KINDS)
def test_mutants_of_documents(name: str, commands: Commands, begun: Path) -> None:
    folder = fresh(commands, begun) / "d"
    store.save(folder, made.record([made.row([1e-5] * 6)]))
    path, drawn = folder / name, random.Random(SEED)
    own = store.load_record(folder).checkpoint
    assert own
    plain = unsealed(path.read_bytes())
    count, taken, options = sized(600, 25_000), 0, report.ViewOptions()
    for number in range(count):
        change = numbers_changed if number % 2 else mutated
        path.write_bytes(sealed(change(plain, drawn)))  # so that what is within it is looked at
        if survived(lambda: store.read(path, KINDS[name]), f"{name} {number}"):
            taken += 1
            if taken % 5 == 1:  # what is read is also shown
                survived(lambda: list(report.all_tables(report.gather([folder]), options)), f"{name} {number}")
    assert 0 < taken < count  # some changes, of a time perhaps, contradict nothing
    note("mutants", kind=name, mutants=count, taken=taken)


def test_a_document_whose_bytes_changed_is_noticed(commands: Commands, begun: Path) -> None:
    folder, drawn = fresh(commands, begun) / "d", random.Random(SEED)
    content = (folder / "run.json").read_bytes()
    for _ in range(sized(300, 20_000)):
        changed = bytearray(content)
        at = drawn.randrange(len(changed))
        changed[at] ^= 1 << drawn.randrange(8)
        (folder / "run.json").write_bytes(changed)
        with pytest.raises(MnistBenchError):
            store.load_record(folder)


def test_mutants_of_checkpoints(tmp_path: Path) -> None:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    content, drawn = store.to_safetensors(arrays), random.Random(SEED)
    head = 8 + struct.unpack("<Q", content[:8])[0]
    count = sized(300, 25_000)
    for number in range(count):
        mutant = mutated(content[:head], drawn) + content[head:]
        (tmp_path / "w").write_bytes(mutant)
        saved = SavedFile(name="w", sha256=sha256(mutant), size_bytes=len(mutant))
        survived(lambda: store.load_weights(tmp_path, saved), f"safetensors {number}")  # noqa: B023 called at once
    note("mutants", kind="safetensors", mutants=count)


@pytest.mark.parametrize("packed", [False, True], ids=["idx", "gz"])
def test_mutants_of_datasets(packed: bool, tmp_path: Path) -> None:
    source = small_data.source()
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in (small_data.ARCHIVES if packed else small_data.FILES).items():
        (raw / name).write_bytes(content)
    drawn, count = random.Random(SEED), sized(300, 25_000)
    victim = next(raw.iterdir())
    content = victim.read_bytes()
    for number in range(count):
        victim.write_bytes(mutated(content, drawn))
        survived(lambda: source.read(raw), f"idx {number}")
    note("mutants", kind="gz" if packed else "idx", mutants=count)


def small_model() -> bytes:
    """A network of this signature in a few kilobytes."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["hidden"]),
        helper.make_node("Add", ["hidden", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["lit"]),
        helper.make_node("Gemm", ["lit", "v"], ["logits"], transB=1),
    ]
    weights = {
        "w": np.zeros((784, 2), np.float32),
        "b": np.ones(2, np.float32),
        "v": np.ones((10, 2), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def opened(worker: hosts.Worker, content: bytes, images: NDArray[np.float32]) -> None:
    model = runtimes.Model({"model.onnx": content}, "onnx", "fp32", "relu", foreign=True)
    worker.open(model, runtimes.Spec())
    worker.run(images, 2)


def test_mutants_of_models() -> None:
    """Each is opened, and asked, in a worker with limits; one that kills its worker is refused like the others."""
    content, drawn, count, died = small_model(), random.Random(SEED), sized(500, 60_000), 0
    limits = hosts.Limits(SLOWEST_S, MOST_BYTES)
    images = np.zeros((2, 1, 28, 28), np.float32)
    number = 0
    while number < count:
        with hosts.started(hosts.launch(hosts.HERE), None, limits) as worker:
            worker.greet("onnxruntime")
            opened(worker, content, images)
            while number < count and worker.alive:
                number += 1
                worker.restart_clock()
                at = drawn.choice((0, len(content) - 700))  # the names and the shapes, not the zeros in between
                mutant = content[:at] + mutated(content[at : at + 700], drawn) + content[at + 700 :]
                with contextlib.suppress(MnistBenchError):  # whatever it says: it is a line, and no traceback
                    opened(worker, mutant, images)
            died += not worker.alive
    note("mutants", kind="onnx", mutants=count, workers_died=died)


def test_an_unpacked_record_is_bounded(tmp_path: Path) -> None:
    """A few hundred kilobytes that unpack to more than any record may have."""
    bomb = tmp_path / "bomb.json.gz"
    one = gzip.compress(b" " * (16 << 20))
    bomb.write_bytes(one * 5)
    with pytest.raises(MnistBenchError, match="larger than 64 MiB when it is unpacked"):
        store.read(bomb, InferenceBenchRecord)
