"""Records, weights and settings that are well-formed and wrong: a line and the right exit code, and no abort."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_bench.core.digest import sha256
from tests.documents import edit
from tests.torture.conftest import RESUME, VERIFY, fresh
from tests.torture.harness import FULL, Commands

ODD: dict[str, Any] = {
    "config.threads": [100_000, 2_000_000_000],
    "config.batch_size": [10**12, 10**6],
    "config.engine": ["distributed", "batched", "cuda-graph", "../up", ""],
    "config.device": ["cuda:0", "cpu:5", "meta", "\u001b[2J"],
    "config.learning_rate": [1e308, 1e-320],
    "config.dropout": [0.9999999999999999],
    "config.processes": [2],
    "config.dataset": ["mnist", "nothing"],
    "config.epochs": [1, 10**9],
    "checkpoint": [None],
    "checkpoint.partial": [
        {"train": {"loss_sum": 1e308, "correct": 0, "images": 1437}, "train_s": 0},
        {"train": {"loss_sum": 0, "correct": 0, "images": 129}, "train_s": 0},
        {"train": {"loss_sum": 0, "correct": 0, "images": 128}, "train_s": 0},
    ],
    "checkpoint.weights.name": ["run.json", "../x", ".lock"],
    "dataset.train_images": [0, 1, 10**15],
    "dataset.classes": [[], ["a"], ["\u202e"] * 10, ["x"] * 1000],
    "epochs": [[]],
    "epochs.1.epoch": [7],
    "epochs.1.validation.loss_sum": [0, -1.0, 1e308],
    "final.test.correct": [0, 360],
    "final.predictions.margins": [[], [0.0]],
    "final.predictions.labels": [[10**15] * 360],
    "final.train.images": [1],
    "dataset.test_images": [1],
    "dataset.validation_images": [1],
    "parameters": [1, 2**62],
}
CASES = [(path, value) for path, values in ODD.items() for value in values]


def put(document: Any, path: str, value: Any) -> None:
    *keys, last = path.split(".")
    for key in keys:
        document = document[int(key) if key.isdigit() else key]
    document[int(last) if last.isdigit() else last] = value


@pytest.mark.parametrize(("path", "value"), CASES, ids=[f"{path}={str(value)[:20]!a}" for path, value in CASES])
def test_a_record_that_is_wrong_in_one_field(path: str, value: Any, commands: Commands, begun: Path) -> None:
    folder = fresh(commands, begun) / "d"
    edit(folder / "run.json", lambda document: put(document, path, value))
    shown = ("report", "--run", "d", "--html") if FULL else ("report", "--run", "d")
    for arguments in (RESUME, shown):
        ended = commands.run(*arguments, limit_s=30)
        ended.assert_one_line(0, 1, 2, 3)


OF_PARITY: dict[str, list[Any]] = {
    "certificate.uncertified": [
        [{"image": 0, "label": 0, "prediction": 0, "rival": 10, "margin": 0.0, "bound": 1.0}],
        [{"image": 10**9, "label": 0, "prediction": 0, "rival": 1, "margin": 0.0, "bound": 1.0}],
    ],
    "certificate.certified": [0, 10**6],
    "classes": [["a"]],
    "labels": [[], [11] * 360],
    "results.0.rung": [7, 10**9],
    "results.0.correct": [0, 361],
    "results.0.deviations": [[{"image": 0, "prediction": 10}], [{"image": 10**9, "prediction": 1}]],
    "edges": [[], ["\u001b[2J"] * 4],
    "blind.unseen": [10**9],
}
PARITY_CASES = [(path, value) for path, values in OF_PARITY.items() for value in values]


@pytest.mark.parametrize(("path", "value"), PARITY_CASES, ids=[f"{p}={str(v)[:20]!a}" for p, v in PARITY_CASES])
def test_a_comparison_that_is_wrong_in_one_field(path: str, value: Any, commands: Commands, begun: Path) -> None:
    folder = fresh(commands, begun) / "d"
    edit(folder / "parity.json", lambda document: put(document, path, value))
    commands.run("report", "--run", "d").assert_one_line(*((0,) if path == "edges" and value else (2,)))


def with_header(content: bytes, change: Any) -> bytes:
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    change(header, len(content) - 8 - size)
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content[8 + size :]


WRONG: dict[str, Callable[[dict[str, Any], int], object]] = {
    "another dtype": lambda header, _: header["fc1.bias"].update(dtype="I32"),
    "a dtype of no array": lambda header, _: header["fc1.bias"].update(dtype="F8_E4M3"),
    "sides exchanged": lambda header, _: header["fc2.weight"].update(shape=header["fc2.weight"]["shape"][::-1]),
    "one side more": lambda header, _: header["fc1.bias"].update(shape=[1, 512]),
    "one missing": lambda header, _: header.update(other=header.pop("fc3.bias")),
    "one too many": lambda header, end: header.update(extra={"dtype": "F32", "shape": [0], "data_offsets": [end, end]}),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("which", ["weights", "optimizer"])
def test_weights_of_another_network(wrong: str, which: str, commands: Commands, begun: Path) -> None:
    folder = fresh(commands, begun) / "d"

    def change(header: dict[str, Any], end: int) -> None:
        renamed = {name.replace(".exp_avg_sq", ""): entry for name, entry in header.items()}
        if which == "optimizer":
            before = dict(renamed)
            WRONG[wrong](renamed, end)
            for name in before.keys() - renamed.keys():
                del header[f"{name}.exp_avg_sq"]
            header.update({name: entry for name, entry in renamed.items() if name not in before})
        else:
            WRONG[wrong](header, end)

    path = next(folder.glob(f"{which}-*"))
    content = with_header(path.read_bytes(), change)
    path.write_bytes(content)

    def renamed(document: dict[str, Any]) -> None:
        document["checkpoint"][which].update(sha256=sha256(content), size_bytes=len(content))

    edit(folder / "run.json", renamed)
    commands.run(*RESUME).assert_one_line(2)
    if which == "weights":
        commands.run(*VERIFY).assert_one_line(2)
        commands.run("export", "--run", "d", "--format", "onnx", "-q").assert_one_line(2)
