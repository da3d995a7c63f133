"""A verdict is of the very files that were compared: what became of them since is seen."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

import mnist_bench as mb
import mnist_bench.report as report
from mnist_bench import data, formats, parity, store
from mnist_bench.core.types import Artifact, FleetRecord, Manifest, ParityRecord
from mnist_bench.report._deployment import Deployment, deployment
from mnist_bench.report.answers import everywhere
from mnist_bench.report.page import render_page
from tests.bench import made
from tests.report.test_page import emulated

Found = TypeVar("Found", ParityRecord, FleetRecord, Manifest)
PLAN = parity.Plan(("onnxruntime", "torch-eager"), (128,), (1,))


@pytest.fixture(scope="module")
def once(light: Path, tmp_path_factory: pytest.TempPathFactory, digits: data.Dataset) -> Path:
    """A run's folder with ONNX files, which were verified, and a C file, which was not."""
    folder = Path(shutil.copytree(light, tmp_path_factory.mktemp("verified") / light.name))
    assert isinstance(formats.export(folder, store.load_record(folder), "c"), Artifact)
    store.save(folder, parity.verify(folder, digits, PLAN, lambda _: None))
    return folder


@pytest.fixture
def verified(once: Path, tmp_path: Path) -> Path:
    """A copy of it, to do as one likes with."""
    return Path(shutil.copytree(once, tmp_path / "exports" / once.name))


def judged(folder: Path) -> Deployment:
    material = report.gather([folder])
    return deployment(material, material.records[0])


def again(folder: Path, *words: str) -> str:
    return " ".join(["run mnist-bench verify --run digits-relu", *words, "--out", str(folder.parent)])


def found_in(folder: Path, kind: type[Found]) -> Found:
    found = store.load(folder, kind)
    assert found
    return found


def weights_of(folder: Path) -> str:
    checkpoint = store.load_record(folder).checkpoint
    assert checkpoint
    return checkpoint.weights.name


def export_otherwise(folder: Path) -> None:
    assert isinstance(formats.export(folder, store.load_record(folder), "onnx", opset=17), Artifact)


def damage(folder: Path, name: str = "model.onnx") -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def lose(folder: Path) -> None:
    (folder / "model.onnx").unlink()


REMOVED = "its onnx file was removed, or exported again, since it was verified"
DAMAGED = "model.onnx is missing, or not as it was saved: export it again"


@pytest.mark.parametrize(("change", "why"), [(export_otherwise, REMOVED), (damage, DAMAGED), (lose, DAMAGED)])
def test_of_a_file_that_changed_since_nothing_is_known(
    change: Callable[[Path], None], why: str, verified: Path
) -> None:
    before = judged(verified)
    assert before.state == "passed"
    change(verified)
    after = judged(verified)
    assert (after.state, after.sentence) == ("unknown", "nothing is known of onnxruntime; the other 4 passed")
    assert after.causes == [f"onnxruntime: {why}; {again(verified)}"]


def test_nothing_else_says_that_it_passed(verified: Path) -> None:
    damage(verified)
    material, options = report.gather([verified]), report.ViewOptions()
    page = render_page(material, options)
    assert "nothing is known of 1" in page
    assert "not known of onnxruntime. 4 targets answered" in page
    assert "yes, within the tolerance" not in page
    assert 'class="verdict unknown"' in page
    assert ["Targets that passed", "4 of 5; 0 flips"] in report.closing(material, material.records[0], options).rows
    assert report.headline(material, options).rows[0][5] == "NOT KNOWN: onnxruntime"
    targets, *_ = report.all_tables(material, options, ["runtimes"])
    assert [row[0] for row in targets.rows] == [
        "onnxruntime fp16",
        "onnxruntime int8-dynamic",
        "onnxruntime int8",
        "torch-eager",
    ]
    (lost,) = report.all_tables(material, options, ["unreachable"])
    assert lost.rows == [("onnxruntime", DAMAGED, again(verified))]
    found = mb.open_run(verified).parity
    assert found
    assert not found.passed
    assert repr(found).startswith("Parity('digits-relu', NOT KNOWN, 4 targets, ")
    assert not mb.report(verified).passed


def test_what_is_proved_of_a_file_is_not_said_of_another(verified: Path) -> None:
    """The certificates of quantised files go with them; that of float32 is of the weights."""
    before = report.present_in(verified, ParityRecord)
    assert before
    assert {one.precision for one in before.quantised} == {"int8", "int8-dynamic"}
    assert before.saturation.keys() == {"onnxruntime int8", "onnxruntime int8-dynamic"}
    damage(verified, formats.file_name("onnx", "int8"))
    after = report.present_in(verified, ParityRecord)
    assert after
    assert [one.precision for one in after.quantised] == ["int8-dynamic"]
    assert after.saturation.keys() == {"onnxruntime int8-dynamic"}
    assert after.certificate == before.certificate
    assert {one.target: one.remedy for one in after.unreachable} == {"onnxruntime int8": again(verified)}


def test_the_weights_are_a_file_too(verified: Path) -> None:
    damage(verified, weights_of(verified))
    found = judged(verified)
    assert (found.state, found.sentence) == ("unknown", "nothing is known of torch-eager; the other 4 passed")
    why = f"{weights_of(verified)} is missing, or not as it was saved: restore it"
    assert found.causes == [f"torch-eager: {why}; {again(verified)}"]


def test_what_was_compared_of_other_weights_is_not_shown(verified: Path) -> None:
    store.save(verified, msgspec.structs.replace(found_in(verified, ParityRecord), weights_sha256="0" * 64))
    assert judged(verified).sentence == "not verified, so nothing is known of its runtimes"
    assert mb.open_run(verified).parity is None


def test_a_failure_stays_one_whatever_becomes_of_its_file(verified: Path) -> None:
    record = found_in(verified, ParityRecord)
    results = [
        msgspec.structs.replace(one, failures=("it is wrong",) if one.configuration.target == "onnxruntime" else ())
        for one in record.results
    ]
    store.save(verified, msgspec.structs.replace(record, results=tuple(results)))
    damage(verified)
    found = judged(verified)
    assert (found.state, found.sentence) == ("failed", "onnxruntime failed; the other 4 passed")
    damage(verified, weights_of(verified))
    found = judged(verified)
    assert (found.state, found.sentence) == ("failed", "onnxruntime failed; the other 3 passed")
    assert [line.partition(":")[0] for line in found.causes] == ["onnxruntime", "torch-eager"]


def test_what_was_tried_on_processors_is_of_its_file_too(verified: Path, digits: data.Dataset) -> None:
    native = found_in(verified, ParityRecord)
    store.save(verified, on_nehalem(native))
    assert judged(verified).state == "passed"
    export_otherwise(verified)
    store.save(verified, parity.verify(verified, digits, PLAN, lambda _: None))
    found = judged(verified)
    assert (found.state, found.sentence) == (
        "unknown",
        "nothing is known of onnxruntime on nehalem; the other 5 passed",
    )
    assert found.causes == [f"onnxruntime on nehalem: {REMOVED}; {again(verified, '--cpu', 'nehalem')}"]
    (answer,) = everywhere.build(report.gather([verified]), report.ViewOptions())
    assert "not known of onnxruntime on nehalem." in answer.sentences[0]
    store.save(verified, on_nehalem(found_in(verified, ParityRecord)))
    assert judged(verified).state == "passed"


def on_nehalem(native: ParityRecord) -> FleetRecord:
    """Make a comparison by processor of one that is not, of the ONNX file alone."""
    ours = [one for one in native.results if one.configuration.runtime == "onnxruntime"]
    there = [
        msgspec.structs.replace(
            one, configuration=msgspec.structs.replace(one.configuration, processor="nehalem", host="nehalem")
        )
        for one in ours
    ]
    return FleetRecord.of(msgspec.structs.replace(native, results=(*ours, *there)), (emulated("nehalem"),))


def test_times_are_of_the_file_that_was_timed(verified: Path) -> None:
    run, manifest = store.load_record(verified), found_in(verified, Manifest)
    assert run.checkpoint
    hashes = {"onnx": next(one.sha256 for one in manifest.artifacts if one.name == "model.onnx"), "null": None}
    rows = [
        msgspec.structs.replace(made.row([1e-5], made.configuration(name)), sha256=hashes[name])
        for name in ("onnx", "null")
    ]
    timed = msgspec.structs.replace(made.record(rows), name="elsewhere", weights_sha256=run.checkpoint.weights.sha256)
    store.save_finished(verified, timed)
    before = mb.open_run(verified).benchmark
    assert before
    assert (before.record.name, len(before.record.rows)) == ("digits-relu", 2)
    export_otherwise(verified)
    material = report.gather([verified])
    assert [row.configuration.runtime for row in material.inference[0].rows] == ["null"]
    assert material.stale == ["digits-relu was exported again since it was timed: run bench again"]
    store.save_finished(verified, msgspec.structs.replace(timed, weights_sha256="0" * 64))
    assert mb.open_run(verified).benchmark is None


def test_files_of_other_weights_are_named_as_such(verified: Path) -> None:
    manifest = found_in(verified, Manifest)
    older = [
        msgspec.structs.replace(one, weights_sha256="0" * 64) if one.format == "c" else one
        for one in manifest.artifacts
    ]
    store.save(verified, msgspec.structs.replace(manifest, artifacts=tuple(older)))
    assert judged(verified).causes == ["model.c: exported before the run was trained further; export again"]


def test_files_that_no_target_was_asked_about_are_named(verified: Path) -> None:
    assert judged(verified).causes == ["model.c: exported, but no target was asked about it"]


def test_records_that_do_not_say_which_files_were_compared_say_so(verified: Path) -> None:
    record = found_in(verified, ParityRecord)
    older = [msgspec.structs.replace(one, sha256=None) for one in record.results]
    store.save(verified, msgspec.structs.replace(record, results=tuple(older)))
    found, how = judged(verified), again(verified).replace("run mnist", "Run mnist")
    assert found.state == "passed"
    assert found.causes == [f"Which files were compared was not recorded at that time. {how} to be sure"]
    damage(verified)
    after = judged(verified)  # of any of its ONNX files, then
    assert (after.state, after.sentence.endswith("; the other one passed")) == ("unknown", True)
    assert f"onnxruntime: {DAMAGED}; {again(verified)}" in after.causes[0]
    (verified / "manifest.json").unlink()
    assert judged(verified).sentence == after.sentence
