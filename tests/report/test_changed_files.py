"""A verdict is of the very files that were compared: what became of them since is seen."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import mnist_bench.report as report
from mnist_bench import data, formats, parity, store
from mnist_bench.core.types import Artifact, ParityRecord
from mnist_bench.report._deployment import Deployment, deployment
from mnist_bench.report.page import render_page

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


def export_otherwise(folder: Path) -> None:
    assert isinstance(formats.export(folder, store.load_record(folder), "onnx", opset=17), Artifact)


def damage(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def lose(folder: Path) -> None:
    (folder / "model.onnx").unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (export_otherwise, "its onnx file was removed, or exported again, since"),
        (damage, "model.onnx is missing, or not as it was exported: export it again"),
        (lose, "model.onnx is missing, or not as it was exported: export it again"),
    ],
)
def test_of_a_file_that_changed_since_nothing_is_known(
    change: Callable[[Path], None], why: str, verified: Path
) -> None:
    before = judged(verified)
    assert before.state == "passed"
    change(verified)
    after = judged(verified)
    assert after.state == "unknown"
    assert after.sentence.startswith("the file of onnxruntime changed after verification; the other ")
    assert after.causes == [f"onnxruntime: {why}", f"Run mnist-bench verify --run digits-relu --out {verified.parent}"]
    page = render_page(report.gather([verified]), report.ViewOptions())
    assert "the files of 1 changed since" in page
    assert "not known of onnxruntime, whose file changed after verification" in page
    assert "yes, within the tolerance" not in page
    assert 'class="verdict unknown"' in page


def test_a_failure_stays_one_whatever_becomes_of_its_file(verified: Path) -> None:
    record = store.load(verified, ParityRecord)
    assert record
    wrong = [msgspec.structs.replace(one, failures=("it is wrong",)) for one in record.results]
    store.save(verified, msgspec.structs.replace(record, results=tuple(wrong)))
    damage(verified)
    found = judged(verified)
    assert found.state == "failed"
    assert any("not as it was exported" in cause for cause in found.causes)


def test_files_that_no_target_was_asked_about_are_named(verified: Path) -> None:
    assert judged(verified).causes == ["model.c: exported, but no target was asked about it"]


def test_records_that_do_not_say_which_files_were_compared_are_taken_at_their_word(verified: Path) -> None:
    record = store.load(verified, ParityRecord)
    assert record
    older = [msgspec.structs.replace(one, sha256=None) for one in record.results]
    store.save(verified, msgspec.structs.replace(record, results=tuple(older)))
    damage(verified)
    assert judged(verified) == Deployment("passed", judged(verified).sentence, [])
