"""A format whose artifact is a folder of files is one file too."""

import os
from pathlib import Path
from typing import Any

import pytest

from mnist_bench import formats, store
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import OutputUnwritable
from mnist_bench.core.types import Manifest, ParityRecord
from tests.conftest import Plugins, Run
from tests.documents import edit

PAIR = '''
    """Two files: the shapes in words, and the numbers."""

    import json

    from mnist_bench.formats._messages import Facts

    FILE_NAME, PRECISIONS = "model.pair", ("fp32",)

    def why_unavailable():
        return None

    def export(request, path):
        path.mkdir()
        state = request.network.state_dict()
        (path / "shapes.json").write_text(json.dumps({name: list(value.shape) for name, value in state.items()}))
        (path / "numbers.bin").write_bytes(b"".join(value.numpy().tobytes() for value in state.values()))
        return Facts(version="pair 1", exporter="test", exporter_version="1")
'''
READER = '''
    """Reads the two files, from a folder on the disk as many engines want it."""

    import contextlib
    import json

    import numpy as np

    from mnist_bench.runtimes._contract import Effective, Session, as_stored

    FORMAT, DEVICES, PRECISIONS, COMPILED, LIBRARY = "pair", ("cpu",), as_stored("fp32"), False, "numpy"

    def why_unavailable():
        return None

    def why_not_on(device):
        return None

    def version():
        return np.__version__

    @contextlib.contextmanager
    def open(model, spec):
        with model.on_disk() as folder:
            shapes = json.loads((folder / "shapes.json").read_text())
            numbers = np.fromfile(folder / "numbers.bin", np.float32)
        parts = np.split(numbers, np.cumsum([np.prod(shape) for shape in shapes.values()]).astype(int))
        w = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts)}

        def run(images):
            h = np.maximum(images.reshape(len(images), -1) @ w["fc1.weight"].T + w["fc1.bias"], np.float32(0))
            h = np.maximum(h @ w["fc2.weight"].T + w["fc2.bias"], np.float32(0))
            return h @ w["fc3.weight"].T + w["fc3.bias"]

        yield Session(run, lambda: Effective("numpy", "fp32"))
'''
VERIFY = ("verify", "--runtime", "pair-reader", "--threads", "1", "--batch-size", "128", "-q")


@pytest.fixture
def pair(plugins: Plugins) -> Plugins:
    plugins.add("formats", "pair", PAIR)
    plugins.add("runtimes", "pair_reader", READER)
    return plugins


def test_a_format_whose_artifact_is_a_folder_is_one_file(
    own_copy: Path, pair: Plugins, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "--format", "pair") == 0
    assert "model.pair" in capsys.readouterr().out
    manifest = store.load(own_copy, Manifest)
    assert manifest
    (entry,) = [one for one in manifest.artifacts if one.format == "pair"]
    assert [one.name for one in entry.files] == ["numbers.bin", "shapes.json"]
    assert entry.size_bytes == sum(path.stat().st_size for path in (own_copy / "model.pair").iterdir())
    listed = "".join(
        f"{sha256(path.read_bytes())}  {path.name}\n" for path in sorted((own_copy / "model.pair").iterdir())
    )
    assert entry.sha256 == sha256(listed.encode())

    assert run(*VERIFY) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert [result.configuration.target for result in saved.results] == ["pair-reader"]
    assert run("export", "-q", "--format", "pair") == 0  # in place of the one that is there
    assert run(*VERIFY) == 0
    assert not list(own_copy.glob(".model.pair*"))


def without_a_file(manifest: dict[str, Any]) -> None:
    entry = next(one for one in manifest["artifacts"] if one["format"] == "pair")
    entry["files"] = entry["files"][1:]


@pytest.mark.parametrize("damage", ["change", "remove", "list"])
def test_a_folder_that_differs_from_the_manifest_is_refused(
    damage: str, own_copy: Path, pair: Plugins, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "-q", "--format", "pair") == 0
    path = own_copy / "model.pair" / "numbers.bin"
    if damage == "change":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    elif damage == "remove":
        path.unlink()
    else:
        edit(own_copy / "manifest.json", without_a_file)
    assert run(*VERIFY) == 2
    err = capsys.readouterr().err
    assert "model.pair" in err
    assert err.count("\n") == 1


def test_what_is_in_a_folder_beside_the_manifest_is_not_opened(own_copy: Path, pair: Plugins, run: Run) -> None:
    assert run("export", "-q", "--format", "pair") == 0
    (own_copy / "model.pair" / "stowaway.bin").write_bytes(b"boo")
    manifest = store.load(own_copy, Manifest)
    assert manifest
    (entry,) = [one for one in manifest.artifacts if one.format == "pair"]
    assert set(store.contents(own_copy, entry)) == {"numbers.bin", "shapes.json"}


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_folder_that_cannot_be_put_in_place_can_be_read_all_the_same(
    fail_at: int, own_copy: Path, pair: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the manifest is renamed it names the old one, and afterwards the new one, which waits."""
    record = store.load_record(own_copy)
    old = formats.export(own_copy, record, "pair")
    pair.add("formats", "pair", PAIR.replace("pair 1", "pair 2").replace("tobytes()", "tobytes() + b'new!'"))
    calls, rename = [0], Path.replace

    def failing(self: Path, target: Path) -> Path:
        calls[0] += 1
        if calls[0] == fail_at:
            raise OSError(5, os.strerror(5))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    if fail_at <= 2:
        with pytest.raises(OutputUnwritable):
            formats.export(own_copy, record, "pair")
    else:
        formats.export(own_copy, record, "pair")
    monkeypatch.undo()
    manifest = store.load(own_copy, Manifest)
    assert manifest
    (entry,) = [one for one in manifest.artifacts if one.format == "pair"]
    assert (entry == old) is (fail_at == 1)
    kept = store.contents(own_copy, entry)["numbers.bin"]
    assert kept.endswith(b"new!") is (fail_at > 1)
    with store.locked(own_copy):
        pass
    assert (own_copy / "model.pair" / "numbers.bin").read_bytes() == kept
    assert not list(own_copy.glob(".waiting*")) + list(own_copy.glob(".making*"))


def test_what_waits_and_is_not_in_the_manifest_goes(own_copy: Path) -> None:
    left = own_copy / ".waiting-0123456789abcdef-model.pair"
    left.mkdir()
    (left / "numbers.bin").write_bytes(b"of a process that died before its commit")
    with store.locked(own_copy):
        pass
    assert not left.exists()
