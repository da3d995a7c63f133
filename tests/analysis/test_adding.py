"""A comparison of a part takes nothing away that was known of the rest."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mnist_bench import data, parity, store
from mnist_bench.analysis.adding import added
from mnist_bench.core.types import Absent, Emulated, FleetRecord, ParityRecord, ParityResult
from tests.conftest import Run


def compared(folder: Path, digits: data.Dataset, *runtimes: str, batch: int = 128) -> ParityRecord:
    return parity.verify(folder, digits, parity.Plan(runtimes, (batch,), (1,)), lambda _: None)


@pytest.fixture(scope="module")
def first(light: Path, digits: data.Dataset) -> ParityRecord:
    return compared(light, digits, "onnxruntime")


@pytest.fixture(scope="module")
def second(light: Path, digits: data.Dataset) -> ParityRecord:
    return compared(light, digits, "torch-eager")


def targets(record: ParityRecord) -> list[str]:
    return [one.configuration.target for one in record.results]


def failing(record: ParityRecord, target: str) -> ParityRecord:
    results = (
        replace(one, failures=("it is wrong",)) if one.configuration.target == target else one for one in record.results
    )
    return replace(record, results=tuple(results))


def test_what_was_not_asked_again_stays(first: ParityRecord, second: ParityRecord) -> None:
    both = added(failing(first, "onnxruntime int8"), second)
    assert targets(both) == [*targets(first), "torch-eager"]
    assert [one.configuration.target for one in both.results if one.failures] == ["onnxruntime int8"]
    assert both.saturation == first.saturation
    assert {one.sha256 for one in both.quantised} == {one.sha256 for one in first.quantised}
    assert added(second, first).quantised == first.quantised


def test_what_was_asked_again_is_replaced(first: ParityRecord, light: Path, digits: data.Dataset) -> None:
    assert added(failing(first, "onnxruntime"), first).results == first.results
    other = compared(light, digits, "onnxruntime", batch=7)
    both = added(failing(first, "onnxruntime"), other)
    assert len(both.results) == 2 * len(first.results)
    assert [(one.configuration.target, one.configuration.batch_size) for one in both.results if one.failures] == [
        ("onnxruntime", 128)
    ]
    lost = replace(first, results=first.results[1:], unreachable=(absent(targets(first)[0]),))
    assert targets(added(first, lost)) == targets(first)[1:]
    assert added(lost, first).unreachable == ()


def absent(target: str) -> Absent:
    return Absent(target=target, reason="it hangs", remedy="wait")


def test_what_was_skipped_and_is_here_now_is_skipped_no_more(first: ParityRecord, second: ParityRecord) -> None:
    before = replace(first, skipped=(absent("torch-eager"), absent("openvino")))
    assert added(before, second).skipped == (*second.skipped, absent("openvino"))


def test_of_another_file_of_a_target_nothing_stays(first: ParityRecord, light: Path, digits: data.Dataset) -> None:
    older = replace(first, results=tuple(replace(one, sha256="0" * 64) for one in first.results))
    other = compared(light, digits, "onnxruntime", batch=7)
    older = replace(
        older, quantised=tuple(replace(one, sha256="0" * 63 + str(n)) for n, one in enumerate(first.quantised))
    )
    both = added(older, other)
    assert both.results == other.results
    assert both.quantised == other.quantised
    assert both.quantised


@pytest.mark.parametrize(
    "otherwise",
    [
        {"weights_sha256": "0" * 64},
        {"tolerance": 1.0},
        {"assumed": ("softmax",)},
        {"dataset": "mnist"},
    ],
)
def test_what_was_found_otherwise_is_not_added_to(
    otherwise: dict[str, Any], first: ParityRecord, second: ParityRecord
) -> None:
    assert added(replace(first, **otherwise), second) == second


def test_what_another_machine_or_other_software_found_is_not_added_to(
    first: ParityRecord, second: ParityRecord
) -> None:
    own = second.environment
    for environment in (replace(own, cpu_model="another"), replace(own, libraries={**own.libraries, "torch": "1.0"})):
        assert added(replace(first, environment=environment), second) == second


def test_processors_are_added_to_as_well(first: ParityRecord) -> None:
    def on(*names: str) -> FleetRecord:
        there = [elsewhere(one, name) for one in first.results for name in names]
        processors = tuple(Emulated(name=name, model=name, emulator="qemu") for name in names)
        return FleetRecord.of(replace(first, results=(*first.results, *there)), processors)

    both = added(on("haswell"), on("nehalem"))
    assert [one.name for one in both.processors] == ["haswell", "nehalem"]
    assert set(targets(both)) == {*targets(on("haswell", "nehalem"))}
    assert added(on("haswell"), on("haswell")) == on("haswell")


def elsewhere(result: ParityResult, name: str) -> ParityResult:
    return replace(result, configuration=replace(result.configuration, processor=name, host=name))


def test_the_command_adds_and_a_whole_comparison_starts_anew(
    run: Run, own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ("verify", "--threads", 1, "--batch-size", 128, "--runtime")
    for name in ("onnxruntime", "torch-eager"):
        assert run(*one, name) == 0
    saved = store.load(own_copy, ParityRecord)
    assert saved
    assert {result.configuration.runtime for result in saved.results} == {"onnxruntime", "torch-eager"}
    alone = replace(saved, results=saved.results[:1], skipped=())
    monkeypatch.setattr(parity, "verify", lambda *_, **__: alone)
    assert run("verify") == 0
    assert store.load(own_copy, ParityRecord) == alone
