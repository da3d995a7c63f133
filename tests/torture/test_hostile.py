"""Files and words from people who mean harm: nothing is executed, nothing elsewhere is read or written, nothing steers
a terminal."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from msgspec.structs import replace
from onnx import TensorProto, helper

from mnist_bench import store
from mnist_bench.core import text
from mnist_bench.core.digest import sha256
from mnist_bench.core.types import Manifest
from tests.bench import made
from tests.conftest import Run
from tests.documents import edit
from tests.torture.harness import FULL, START
from tests.torture.test_mutants import small_model

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\u2066\r\n\u2028=cmd|' /C calc'!A1<script>alert(1)</script>|`@all"
QUICK = ("--batch-size", "128", "--threads", "1", "-q")


@pytest.fixture
def pwned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that hostile code makes, if it ever runs."""
    path = tmp_path / "PWNED"
    monkeypatch.setenv("PWNED", str(path))
    return path


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.system, ("touch $PWNED",)


def archive(*entries: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as found:
        for name, content in entries:
            found.writestr(name, content)
    return made.getvalue()


class Evil(torch.nn.Module):
    """Makes a file when it is asked: TorchScript can."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made = torch.from_file(self.path, True, 4)
        return images.flatten(1)[:, :10] + made.sum() * 0


def scripted(path: Path) -> bytes:
    made = io.BytesIO()
    torch.jit.save(torch.jit.script(Evil(str(path))), made)
    return made.getvalue()


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:.*torch.jit.script.*")
@pytest.mark.parametrize("kind", ["pickle", "torchscript", "pt2", "aotinductor", "script"])
def test_no_program_runs_that_nobody_vouches_for(
    kind: str, own_copy: Path, pwned: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = pickle.dumps(Trap())
    content = {
        "pickle": lambda: trap,
        "torchscript": lambda: archive(("m/code/__torch__.py", b"import os"), ("m/data.pkl", trap)),
        "pt2": lambda: archive(("m/models/model.json", trap), ("m/data/weights/w", trap)),
        "aotinductor": lambda: archive(("m/data/aotinductor/model/x.so", trap)),
        "script": lambda: scripted(pwned),
    }[kind]()
    Path("evil").write_bytes(content)
    pwned.unlink(missing_ok=True)
    assert run("verify", "--model", "evil", *QUICK) == 2
    assert not pwned.exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:.*torch.jit.script.*")
def test_a_program_swapped_in_after_the_check_is_not_the_one_that_is_opened(
    own_copy: Path, pwned: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done to the file after it was looked at: its content was read once."""
    from mnist_bench.parity import _foreign

    evil = scripted(pwned)
    pwned.unlink(missing_ok=True)
    shutil.copy(own_copy / "model.ts", "x.ts")
    looked = _foreign._check_trust

    def and_swapped(*arguments: Any) -> None:
        looked(*arguments)
        Path("x.ts").write_bytes(evil)
        (own_copy / "model.ts").write_bytes(evil)

    monkeypatch.setattr(_foreign, "_check_trust", and_swapped)
    assert run("verify", "--model", "x.ts", *QUICK) == 0
    assert not pwned.exists()


def test_an_archive_with_an_impossible_name_is_refused(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(archive(("m/code/\u00e9", b"")))
    place = content.rfind("\u00e9".encode())
    content[place : place + 2] = b"\xff\xff"
    Path("odd.ts").write_bytes(content)
    assert run("verify", "--model", "odd.ts", *QUICK) == 2
    assert "damaged archive" in capsys.readouterr().err
    assert own_copy.is_dir()


def test_a_log_is_not_written_through_a_link(own_copy: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("tensorboard")
    outside = tmp_path / "logs"
    outside.mkdir()
    (outside / "events.out.tfevents.1").write_text("precious")
    (own_copy / "tensorboard").symlink_to(outside)
    run("train", "--resume", "--run", own_copy.name, "--epochs", "6", "--track", "tensorboard", "-q")
    assert [path.read_text() for path in outside.iterdir()] == ["precious"]


def external(location: str) -> bytes:
    """A model whose weights are said to lie in another file."""
    model = onnx.load_model_from_string(small_model())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", location
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("where", ["../canary", "absolute", "link", "canary"])
@pytest.mark.parametrize("foreign", [True, False], ids=["--model", "of a run"])
def test_no_other_file_is_read_for_a_model(
    where: str, foreign: bool, own_copy: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The canary has the very bytes that are wanted: a file that was read would make the model whole."""
    canary = tmp_path / "canary"
    canary.write_bytes(np.zeros((784, 2), np.float32).tobytes())
    shutil.copy(canary, own_copy / "canary")
    Path("link").symlink_to(canary)
    (own_copy / "link").symlink_to(canary)
    content = external(str(canary) if where == "absolute" else where)
    if foreign:
        Path("x.onnx").write_bytes(content)
        assert run("verify", "--model", "x.onnx", "--runtime", "onnxruntime", *QUICK) == 2
    else:
        (own_copy / "model.onnx").write_bytes(content)
        edit(own_copy / "manifest.json", lambda document: rehashed(document, content))
        assert run("verify", "--runtime", "onnxruntime", *QUICK) == 1
    assert "keeps its weights in other files" in capsys.readouterr().err


def rehashed(document: dict[str, Any], content: bytes) -> None:
    for entry in document["artifacts"]:
        if entry["name"] == "model.onnx":
            entry.update(sha256=sha256(content), size_bytes=len(content))


VERIFY = ("verify", "--runtime", "onnxruntime", *QUICK)
OPENED_BY: dict[str, tuple[str, ...]] = {
    "run.json": ("report", "--run", "digits-relu"),
    "manifest.json": ("report", "--run", "digits-relu"),
    "model.onnx": VERIFY,
    "weights": VERIFY,
    ".lock": ("export", "--format", "torch-export", "-q"),
}


@pytest.mark.parametrize("name", OPENED_BY)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_what_is_no_regular_file_is_refused_at_once(
    name: str, kind: str, own_copy: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = next(own_copy.glob("weights-*")) if name == "weights" else own_copy / name
    kept = tmp_path / "elsewhere"
    if name == ".lock":
        kept.write_text("kept")
        victim.unlink(missing_ok=True)
    else:
        shutil.move(victim, kept)
    made: dict[str, Callable[[], object]] = {
        "link": lambda: victim.symlink_to(kept),
        "pipe": lambda: os.mkfifo(victim),
        "folder": victim.mkdir,
        "device": lambda: victim.symlink_to("/dev/zero"),
    }
    made[kind]()
    status = run(*OPENED_BY[name])
    err = capsys.readouterr().err
    if name == ".lock":  # nothing is read from it or written to it
        assert status in (0, 3)
        assert kept.read_text() == "kept"
    else:
        assert status == 2
        assert victim.name in err
    assert err.count("\n") == bool(status)
    assert "bug" not in err


def test_links_at_the_places_of_temporary_files_are_not_followed(own_copy: Path, tmp_path: Path, run: Run) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for number in range(os.getpid(), os.getpid() + 2000):
        (own_copy / f".report.html.{number}.tmp").symlink_to(victim)
    (own_copy / "report.html").symlink_to(victim)
    assert run("report", "--html") == 0
    assert victim.read_text() == "precious"
    assert not (own_copy / "report.html").is_symlink()


def test_pictures_do_not_leave_the_folder(
    own_copy: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside").mkdir()
    (own_copy / "figures").symlink_to(tmp_path / "outside")
    assert run("report", "--figures") == 3
    assert "link" in capsys.readouterr().err
    assert not list((tmp_path / "outside").iterdir())


def in_every_field(value: Any) -> Any:
    """Put hostile words into every free field of a document; what has a pattern, or is one of a few words, stays."""
    fixed = {"schema_version", "sha256", "format", "precision", "command_precision", "access"}
    fixed |= {"activation", "engine", "validation", "purpose", "kind"}
    if isinstance(value, dict):
        return {
            key: found if key in fixed or "sha256" in key or key in ("weights", "optimizer") else in_every_field(found)
            for key, found in value.items()
        }
    if isinstance(value, list):
        return [in_every_field(one) for one in value]
    return value + HOSTILE if isinstance(value, str) else value


OUTPUTS = [
    ("report",),
    *(("report", "--format", kind) for kind in ("markdown", "csv", "json")),
    ("report", "--html"),
    ("report", "--figures"),
]


@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_hostile_words_in_every_field_reach_no_terminal(
    output: tuple[str, ...], own_copy: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "--runtime", "onnxruntime", *QUICK) == 0
    checkpoint = store.load_record(own_copy).checkpoint
    assert checkpoint
    measured = made.record([made.row([1e-5] * 6), made.row([2e-5] * 6, made.configuration("torch-eager"))])
    store.save(own_copy, replace(measured, weights_sha256=checkpoint.weights.sha256))
    for name in ("run.json", "parity.json", "bench.json"):
        edit(own_copy / name, poisoned)
    status = run(*output, "--run", own_copy.name)
    shown = capfd.readouterr()
    assert status == 0, shown.err
    page = (own_copy / "report.html").read_text() if "--html" in output else ""
    drawn = [path.read_text() for path in own_copy.glob("figures/*.svg")]
    for picture in drawn:
        ElementTree.fromstring(picture)
    assert bool(drawn) is ("--figures" in output)
    for words in (shown.out, shown.err, page, *drawn):
        seen = words.replace("@\u200b", "@")  # so that nobody is mentioned in Markdown
        assert text.clean(seen) == seen
        assert "<script>alert" not in words or output[-1] in ("json", "csv", "report")
    if output[-1] == "csv":
        cells = [cell for line in shown.out.splitlines() for cell in line.split(",")]
        assert not [cell for cell in cells if cell.startswith(("=cmd", "@all"))]


def poisoned(document: dict[str, Any]) -> None:
    """Put hostile words where any words may stand, and keep what other fields agree with."""
    kept = {key: document.get(key) for key in ("name", "checkpoint", "config", "dataset", "weights_sha256")}
    changed = in_every_field(document)
    document.update(changed)
    document.update({key: value for key, value in kept.items() if value is not None})
    document["name"] = HOSTILE
    for classes in (document, document.get("dataset")):
        if isinstance(classes, dict) and "classes" in classes:
            classes["classes"] = [name + HOSTILE for name in "0123456789"]


def test_names_in_a_model_reach_no_terminal(own_copy: Path, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    model: Any = onnx.load_model_from_string(small_model())
    for value in model.graph.input:
        value.name = HOSTILE
    model.graph.node[0].input[0] = HOSTILE
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11
    onnx.save(model, "signature.onnx")
    nope = helper.make_node("Nope" + HOSTILE, ["image"], ["logits"], name=HOSTILE)
    del model.graph.node[:]
    model.graph.node.append(nope)
    onnx.save(model, "operator.onnx")
    for name in ("signature.onnx", "operator.onnx"):
        assert run("verify", "--model", name, *QUICK) == 2
        err = capfd.readouterr().err
        assert text.clean(err) == err
        assert err.count("\n") == 1


LIBRARIES = ("onnx", "random", "torch", "numpy", "msgspec", "json", "mnist_bench", "sitecustomize", "onnxruntime")


def test_modules_in_the_user_s_folder_are_not_imported(own_copy: Path, tmp_path: Path, pwned: Path) -> None:
    for name in LIBRARIES:
        (tmp_path / f"{name}.py").write_text("import os\nopen(os.environ['PWNED'], 'w').close()\nraise SystemExit(9)\n")
    program = Path(sys.executable).with_name("mnist-bench")
    start = [str(program)] if program.exists() else START
    few = [("export", "--format", "onnx", "-q"), ("verify", "--runtime", "onnxruntime", *QUICK)]
    more = (
        ("bench", "--runtime", "null", "--quick", "--batch-size", "1", "--threads", "1", "--allow-busy", "-q"),
        ("study", "--dataset", "digits", "--seeds", "1", "--epochs", "1", "--activation", "relu", "-q"),
    )
    for arguments in (*few, *(more if FULL else ())):
        done = subprocess.run(
            [*start, *arguments], capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert not pwned.exists()


def test_a_hostile_manifest_removes_nothing_else(own_copy: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "precious").write_text("precious")
    manifest = json.loads((own_copy / "manifest.json").read_bytes())
    assert manifest["artifacts"]

    def renamed(document: dict[str, Any]) -> None:
        document["artifacts"][0]["name"] = "../../precious"

    edit(own_copy / "manifest.json", renamed)
    assert run("export", "--format", "torch-export", "-q") == 2
    assert run("train", "--dataset", "digits", "--run", own_copy.name, "--overwrite", "--epochs", "1", "-q") == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert store.load(own_copy, Manifest) is None
