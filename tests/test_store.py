import errno
import gzip
import json
import os
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.core import text
from mnist_bench.core.bench_types import (
    BenchRecord,
    GateRecord,
    InferenceBenchRecord,
    RowKind,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import BadInput, OutputUnwritable, RecordDamaged, RunExists, RunNotFound
from mnist_bench.core.types import SCHEMA_VERSION, Artifact, EpochMetrics, Manifest, Record, Tally
from tests.bench import made
from tests.documents import sealed, unsealed


def tallies(least: int) -> st.SearchStrategy[Tally]:
    counts = st.integers(least, 60_000).flatmap(lambda images: st.tuples(st.just(images), st.integers(0, images)))
    losses = st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(lambda loss, count: Tally(loss_sum=loss, images=count[0], correct=count[1]), losses, counts)


EPOCHS = st.builds(
    EpochMetrics,
    epoch=st.integers(1, 99),
    train=tallies(1),
    validation=tallies(1),
    train_s=st.floats(0, 1e6, exclude_min=True),
    evaluation_s=st.floats(0, 1e6),
)
ARRAYS = {"fc1.bias": np.arange(4, dtype=np.float32)}
OTHERS = {"fc1.bias": np.arange(1, 5, dtype=np.float32)}


@pytest.fixture
def record(trained: tuple[Path, Record]) -> Record:
    return replace(trained[1], name="some-run", checkpoint=None, final=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports" / "some-run"
    folder.mkdir(parents=True)
    return folder


def artifact(name: str, content: bytes) -> Artifact:
    return Artifact(
        name=name,
        format="onnx",
        precision="fp32",
        version="1",
        exporter="x",
        exporter_version="1",
        device="cpu",
        sha256=sha256(content),
        size_bytes=len(content),
        export_s=0.0,
        weights_sha256="0" * 64,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(epochs=st.lists(EPOCHS, max_size=3), name=st.text(max_size=20))
def test_a_record_comes_back_as_it_was(trained: tuple[Path, Record], epochs: list[EpochMetrics], name: str) -> None:
    of_all = trained[1].epochs[0].train.images, trained[1].epochs[0].validation.images
    numbered = tuple(
        replace(
            epoch,
            epoch=number,
            train=Tally(loss_sum=epoch.train.loss_sum, images=of_all[0]),
            validation=Tally(loss_sum=epoch.validation.loss_sum, images=of_all[1]),
        )
        for number, epoch in enumerate(epochs, 1)
    )
    record = replace(trained[1], epochs=numbered, name=name, final=None, checkpoint=None)
    assert msgspec.json.decode(unsealed(store.to_json(record)), type=Record) == record
    json.loads(store.to_json(record))  # any other reader can read it


def test_a_saved_record_comes_back(folder: Path, record: Record) -> None:
    store.save(folder, record)
    assert store.load_record(folder) == record
    assert store.run_names(folder.parent) == ("some-run",)


@pytest.mark.parametrize("name", ["../up", "a/b", "/root", "", ".", "..", ".hidden", "a b", "x" * 101, "a\0b", "-rf"])
def test_a_run_name_with_a_path_in_it_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a plain name"):
        store.run_folder(tmp_path, name)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-40],
        lambda content: b"",
        lambda content: b"[]",
        lambda content: b"\xff\xfe" + content,
        lambda content: content.replace(b'"parameters": 535818', b'"parameters": "many"'),
        lambda content: content.replace(b'"parameters": 535818', b'"parameters": -1'),
        lambda content: content.replace(b'"parameters"', b'"metres"'),
        lambda content: content.replace(b'"activation":"relu"', b'"activation":"gelu"'),
        lambda content: content.replace(b'"epochs":15', b'"epochs":0'),
        lambda content: content.replace(b'"labels":[', b'"labels":[42,', 1),
        lambda content: content.replace(b'"epoch":2', b'"epoch":3'),
        lambda content: content.replace(b'"correct":', b'"correct":9', 1),
        lambda content: b"[" * 200_000,
    ],
)
def test_a_damaged_record_is_named(damage, folder: Path, trained: tuple[Path, Record]) -> None:  # type: ignore[no-untyped-def]
    store.save(folder, trained[1])
    path = folder / "run.json"
    plain = unsealed(path.read_bytes())
    damaged = damage(plain)
    assert damaged != plain
    path.write_bytes(sealed(damaged))
    with pytest.raises(RecordDamaged, match=r"run\.json"):
        store.load_record(folder)


def test_a_damaged_document_that_can_be_made_again_says_how(folder: Path, trained: tuple[Path, Record]) -> None:
    store.save(folder, trained[1])
    store.save(folder, Manifest(run="mnist-relu"))
    path = folder / "manifest.json"
    for content in (path.read_bytes()[:20], path.read_bytes().replace(b"mnist-relu", b"mnist-rely")):
        path.write_bytes(content)
        with pytest.raises(RecordDamaged, match=r"restore it, or delete it and run mnist-bench export$"):
            store.load(folder, Manifest)


NOW = b'"schema_version": %d' % SCHEMA_VERSION


@pytest.mark.parametrize("version", [b"0", b"%d" % (SCHEMA_VERSION + 1), b'"1"', b"null"])
def test_another_schema_version_is_named(version: bytes, folder: Path, record: Record) -> None:
    content = store.to_json(record).replace(NOW, b'"schema_version": ' + version)
    (folder / "run.json").write_bytes(content)
    with pytest.raises(
        RecordDamaged, match=f"has schema version {version.decode()}, not 1 or .* or {SCHEMA_VERSION}: "
    ):
        store.load_record(folder)


def test_a_record_of_the_first_version_is_read_as_what_it_means_now(folder: Path, record: Record) -> None:
    content = unsealed(store.to_json(record)).replace(NOW, b'"schema_version": 1')
    (folder / "run.json").write_bytes(content.replace(b'"processes":1,', b""))
    assert b"processes" not in (folder / "run.json").read_bytes()
    assert b'"schema_version": 1' in (folder / "run.json").read_bytes()
    assert store.load_record(folder) == record


KEPT = sorted((Path(__file__).parent.parent / "benchmarks" / "records").glob("bench-*"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_benchmarks_that_this_project_keeps_are_read(path: Path) -> None:
    """They are of all schema versions that there were."""
    found = store.read(path, BenchRecord)
    assert found.rows
    assert found.schema_version == SCHEMA_VERSION


@pytest.mark.parametrize("kind", ["null", "training"])
def test_what_older_benchmarks_called_a_format_is_read_as_a_kind(kind: RowKind, tmp_path: Path) -> None:
    row = made.row([1e-5] * 6, made.configuration(kind, format=""), kind=kind)
    own = made.record([row, made.row([1e-5] * 6)])
    saved = made.record_of(GateRecord, own.rows, confirmation=own)
    older = unsealed(store.to_json(saved)).replace(NOW.replace(b" ", b""), b'"schema_version":2')
    older = older.replace(NOW, b'"schema_version": 2')
    for name in ("inference", kind):
        older = older.replace(f'"kind":"{name}",'.encode(), b"")
    older = older.replace(b'"format":""', f'"format":"{kind}"'.encode())
    assert b"kind" not in older
    (tmp_path / "gate.json").write_bytes(older)
    assert store.load(tmp_path, GateRecord) == saved
    (tmp_path / "gate.json").write_bytes(older.replace(b'"configuration":{', b'"configuration":7,"other":{'))
    with pytest.raises(RecordDamaged, match="not a readable record"):
        store.load(tmp_path, GateRecord)


def test_a_packed_benchmark_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    saved, path = made.record([made.row([1e-5] * 6)]), tmp_path / "bench.json.gz"
    packed = gzip.compress(store.to_json(saved))
    path.write_bytes(packed)
    assert store.read(path, InferenceBenchRecord) == saved
    for damage in (packed[:-9], b"no archive", packed[:30] + b"x" * 20 + packed[50:]):
        path.write_bytes(damage)
        with pytest.raises(RecordDamaged, match="not a readable record"):
            store.read(path, InferenceBenchRecord)


def test_every_kind_of_benchmark_comes_back_as_it_was(tmp_path: Path) -> None:
    for kind in (InferenceBenchRecord, TrainingBenchRecord, GateRecord, SelfTestRecord):
        saved = made.record_of(kind, [made.row([1e-5, 2e-5])])
        store.save(tmp_path, saved)
        assert store.load(tmp_path, kind) == saved
    assert len(list(tmp_path.iterdir())) == 4


def test_a_run_that_is_not_there_is_told_with_those_that_are(folder: Path, record: Record) -> None:
    store.save(folder, record)
    with pytest.raises(RunNotFound, match=r"no run 'other'.*runs there: some-run"):
        store.load_record(folder.parent / "other")


def test_a_checkpoint_comes_back_and_replaces_the_one_before(folder: Path, record: Record) -> None:
    first = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    second = store.save_checkpoint(folder, record, {"fc1.bias": ARRAYS["fc1.bias"] + 1}, ARRAYS)
    assert first.checkpoint
    assert second.checkpoint
    assert not (folder / first.checkpoint.weights.name).exists()
    loaded = store.load_arrays(folder, second.checkpoint.weights)
    np.testing.assert_array_equal(loaded["fc1.bias"], [1, 2, 3, 4])
    assert store.load_record(folder) == second


def test_a_checkpoint_with_one_bit_flipped_is_refused(folder: Path, record: Record) -> None:
    saved = store.save_checkpoint(folder, record, ARRAYS, ARRAYS).checkpoint
    assert saved
    path = folder / saved.weights.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordDamaged, match=saved.weights.name):
        store.load_arrays(folder, saved.weights)
    path.unlink()
    with pytest.raises(RecordDamaged, match=saved.weights.name):
        store.load_arrays(folder, saved.weights)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("fail_at", range(1, 7))
def test_whichever_sync_fails_the_record_on_the_disk_names_files_that_are_there(
    fail_at: int, error: int, folder: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sixth is the folder's, after run.json has its name: the new state is the one to keep then."""
    before = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    calls, fsync = [0], os.fsync

    def broken(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == fail_at:
            raise OSError(error, os.strerror(error))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OutputUnwritable):
        store.save_checkpoint(
            folder, before, {"fc1.bias": ARRAYS["fc1.bias"] + 1}, {"fc1.bias": ARRAYS["fc1.bias"] + 2}
        )
    monkeypatch.undo()
    saved = store.load_record(folder).checkpoint
    assert saved
    assert (saved == before.checkpoint) is (fail_at < 6)
    assert saved.optimizer
    for file in (saved.weights, saved.optimizer):
        store.load_arrays(folder, file)
    assert len(list(folder.glob("*.safetensors"))) == 2  # of the other state nothing is left


def test_nothing_is_swept_where_the_record_cannot_be_read(
    folder: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    kept = contents(folder)
    (folder / "run.json").write_text("{")

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OutputUnwritable):
        store.save_checkpoint(folder, saved, OTHERS, ARRAYS)
    del kept["run.json"]
    assert all((folder / name).read_bytes() == content for name, content in kept.items())


def test_what_cannot_be_looked_for_is_not_taken_for_what_never_was(
    folder: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails while a checkpoint is saved fails too when it is asked what is there."""
    saved = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    files = contents(folder)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    monkeypatch.setattr(Path, "lstat", broken)
    with pytest.raises(OutputUnwritable):
        store.save_checkpoint(folder, saved, OTHERS, OTHERS)
    with pytest.raises(RecordDamaged, match="cannot be read"):
        store.load_record(folder)
    with pytest.raises(RunExists):
        store.check_new(folder)
    monkeypatch.undo()
    assert files.items() <= contents(folder).items()
    assert store.load_record(folder) == saved


def test_the_manifest_goes_before_the_files_that_it_names(
    folder: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies while an older run is removed leaves no manifest of files that are not there."""
    (folder / "model.onnx").write_bytes(b"model")
    store.save(folder, Manifest(run=folder.name, artifacts=(artifact("model.onnx", b"model"),)))
    unlink = Path.unlink

    def dies(self: Path, *, missing_ok: bool = False) -> None:
        if self.name == "model.onnx":
            raise KeyboardInterrupt
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    assert store.load(folder, Manifest) is None


def test_a_manifest_names_every_file_once(folder: Path) -> None:
    one = artifact("model.onnx", b"model")
    with pytest.raises(ValueError, match="named twice"):
        Manifest(run=folder.name, artifacts=(one, one))


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_full_disk_leaves_what_was_there(
    fail_at: int, folder: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    files = contents(folder)
    calls, fsync = [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] >= 2 * fail_at - 1:  # each file is synced once, and its folder once
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputUnwritable, match="No space left"):
        store.save_checkpoint(
            folder, record, {"fc1.bias": ARRAYS["fc1.bias"] + fail_at}, {"fc1.bias": ARRAYS["fc1.bias"]}
        )
    monkeypatch.undo()
    assert store.load_record(folder) == before
    assert files.items() <= contents(folder).items()
    assert not list(folder.glob(".*.tmp"))


def test_what_steers_a_terminal_stands_in_a_document_by_its_number(folder: Path, record: Record) -> None:
    named = "a\x1b]0;title\x07\x9b31m\x00\r\x7fb \\u001b \\\x1b \n\té ü \u202e \U000e0041"
    classes = (named, *record.dataset.classes[1:])
    dataset = msgspec.structs.replace(record.dataset, classes=classes)
    store.save(folder, msgspec.structs.replace(record, dataset=dataset))
    written = (folder / "run.json").read_text()
    assert text.clean(written) == written
    assert store.load_record(folder).dataset.classes[0] == named


def test_what_a_dead_process_left_is_swept_and_nothing_else(folder: Path, record: Record) -> None:
    ours = (
        "weights-007-deadbeef.safetensors",
        "optimizer-007p-deadbeef.safetensors",
        ".weights-1000-deadbeef.safetensors.123.tmp",
        ".run.json.0123456789abcdef.tmp",
        ".waiting-0123456789abcdef-model.onnx",
    )
    theirs = {"notes.txt", ".mine.tmp", "weights-best.safetensors", "optimizer-mine.safetensors"}
    for name in (*ours, ".run.json.123.tmp", *theirs):
        (folder / name).write_text("left")
    with store.locked(folder):
        store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    left = {path.name for path in folder.iterdir() if path.read_bytes() == b"left"}
    assert left == theirs


@pytest.mark.parametrize("place", ["file/exports/run", "/proc/run"])
def test_a_place_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritable, match="cannot be written"), store.locked(tmp_path / place):
        pass


def test_two_processes_do_not_write_one_run(folder: Path) -> None:
    complaints: list[Exception] = []

    def second() -> None:
        try:
            with store.locked(folder):
                pass
        except RunExists as error:
            complaints.append(error)

    with store.locked(folder):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "another process" in str(complaints[0])
    second()
    assert len(complaints) == 1


def test_what_was_declared_goes_when_the_run_is_replaced(folder: Path, record: Record) -> None:
    store.declare(folder, "figures/*.svg", "page.html")
    store.declare(folder, "figures/*.svg", "log/*/summary.txt")
    for name in ("figures/a.svg", "figures/mine.txt", "page.html", "log/one/summary.txt", "log/one/other.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("made")
    store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in left if not name.endswith((".safetensors", ".json"))} == {
        ".derived",
        "figures/mine.txt",
        "log/one/other.txt",
    }


def test_nothing_outside_of_the_folder_is_removed_whatever_its_list_says(folder: Path, record: Record) -> None:
    outside = folder.parent / "precious"
    outside.mkdir()
    kept = [outside / "a.svg", outside / "b.svg"]
    for path in kept:
        path.write_text("precious")
    (folder / "figures").symlink_to(outside)
    lines = (
        "../precious/*",
        str(outside / "*"),
        "figures/*",
        "figures/../*",
        "",
        "/",
        "*",
        "**",
        "**/*",
        "**x",
        "\x00",
    )
    (folder / ".derived").write_bytes("\n".join(lines).encode())
    store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    assert [path.read_text() for path in kept] == ["precious"] * 2
    assert store.load_record(folder).checkpoint


def test_what_was_made_before_anything_was_declared_goes_too(folder: Path, record: Record) -> None:
    for name in (
        "report.html",
        "figures/a.svg",
        "tensorboard/events.out.tfevents.1",
        "loadgen/x/mlperf_log_summary.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("older")
    store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert {name.rpartition(".")[2] for name in left} == {"json", "safetensors"}


def test_a_manifest_cannot_name_the_run_itself_as_something_to_remove(folder: Path, record: Record) -> None:
    saved = store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    assert saved.checkpoint
    store.save(folder, Manifest(run=folder.name, artifacts=(artifact("run.json", b""),)))
    store.save_checkpoint(folder, record, ARRAYS, ARRAYS)
    assert store.load_record(folder).checkpoint
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize("name", ["..tmp", "...tmp", ".waiting", ".making-.tmp"])
def test_a_folder_with_odd_names_can_be_written(name: str, folder: Path) -> None:
    (folder / name).write_text("odd")
    with store.locked(folder):
        pass
    assert (folder / name).exists()


def test_what_could_not_be_read_again_is_not_written(folder: Path, record: Record) -> None:
    store.save(folder, record)
    before = (folder / "run.json").read_bytes()
    wrong = replace(record, parameters=2**63)
    with pytest.raises(msgspec.ValidationError):
        store.save(folder, wrong)
    assert (folder / "run.json").read_bytes() == before
