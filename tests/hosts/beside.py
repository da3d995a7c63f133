"""What every host is asked that is installed beside this Python."""

from pathlib import Path

from mnist_bench import data, hosts, parity, store
from mnist_bench.core.types import ParityRecord
from tests.conftest import Run

KINDS = ("onnxruntime", "onnxruntime fp16", "onnxruntime int8", "onnxruntime int8-dynamic")


def gives_the_reference_s_answers(name: str, folder: Path, dataset: data.Dataset) -> ParityRecord:
    """Ask ONNX Runtime there about all four ONNX files of a run, and return what it answered."""
    plan = parity.Plan(batch_sizes=(1, 128), threads=(1, 2), on=(hosts.Host(name),))
    found = parity.verify(folder, dataset, plan, lambda _: None)
    assert [result.failures for result in found.results] == [()] * 16
    assert {result.configuration.target for result in found.results} == {f"{kind} on {name}" for kind in KINDS}
    return found


def makes_one_flip_matrix_with_here(name: str, runtime: str, folder: Path, run: Run) -> None:
    words = ("--runtime", runtime, "--threads", 1, "--batch-size", 128, "--quiet")
    assert run("verify", "--host", "here", "--host", name, *words) == 0
    saved = store.load(folder, ParityRecord)
    assert saved
    assert {result.configuration.host for result in saved.results} == {"", name}
