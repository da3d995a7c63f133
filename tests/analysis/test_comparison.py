"""Records and sides against each other."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from msgspec.structs import replace

from mnist_bench.analysis import gate as gates
from mnist_bench.analysis import self_test
from mnist_bench.analysis.comparison import compare_records, compare_rows, fastest
from mnist_bench.bench import gate
from mnist_bench.bench.blocks import Outcome, TargetUnderTest
from mnist_bench.core.bench_types import BenchPlan, GateRecord, HalfWidth, InferenceBenchRecord, Row, SelfTestRecord
from mnist_bench.core.errors import BadInput, DifferentMachines, MeasurementFailed
from tests.bench import made

if TYPE_CHECKING:
    from mnist_bench.bench.session import Subject


def noisy(factor: float = 1.0, blocks: int = 12, seed: int = 0) -> list[float]:
    """Return a time per block: some 10 ms, with a process effect of 1%."""
    generator = np.random.default_rng(seed)
    return [0.01 * factor * math.exp(effect) for effect in generator.normal(0, 0.01, blocks)]


def whole(factor: float = 1.0, seed: int = 0) -> InferenceBenchRecord:
    names = ("onnxruntime", "torch-eager", "torchscript")
    rows = [made.row(noisy(factor, seed=seed + n), made.configuration(name)) for n, name in enumerate(names)]
    return made.record(rows)


def test_a_record_against_itself_is_never_faster_or_slower() -> None:
    record = whole()
    assert {found.verdict for found in compare_records(record, record)} == {"EQUIVALENT"}


def test_what_became_slower_is_called_so_and_the_other_way_round_faster() -> None:
    slow = {found.verdict for found in compare_records(whole(), whole(1.1, seed=50))}
    fast = {found.verdict for found in compare_records(whole(1.1, seed=50), whole())}
    assert (slow, fast) == ({"SLOWER"}, {"FASTER"})


def test_versions_may_differ_and_machines_may_not() -> None:
    record = whole()
    newer = replace(record, rows=tuple(replace_version(row) for row in record.rows))
    assert len(compare_records(record, newer)) == 3
    elsewhere = replace(record, environment=replace(record.environment, cpu_model="Slide Rule 7", cores=8))
    with pytest.raises(DifferentMachines, match=r"Abacus 3000 and Slide Rule 7; cores: 2 and 8.*--allow-unlike"):
        compare_records(record, elsewhere)
    assert len(compare_records(record, elsewhere, allow_unlike=True)) == 3


def replace_version(row: Row) -> Row:
    return replace(row, configuration=replace(row.configuration, version="2.0"))


def test_nothing_in_common_is_an_error_and_so_are_no_samples() -> None:
    other = made.record([made.row(noisy(), made.configuration(batch=7))])
    with pytest.raises(BadInput, match="share no configuration"):
        compare_records(whole(), other)
    empty = replace(whole(), rows=tuple(replace(row, samples=()) for row in whole().rows))
    with pytest.raises(BadInput, match="holds no raw samples"):
        compare_records(empty, whole())


def test_rows_are_paired_by_block() -> None:
    """Phases of the machine cancel where both sides were in the same block, and only there."""
    phases = [1.0, 1.6, 1.0, 1.6, 1.6, 1.0, 1.6, 1.0, 1.0, 1.6, 1.0, 1.6]
    one, other = made.row([0.01 * phase for phase in phases]), made.row([0.0105 * phase for phase in phases])
    assert compare_rows([(other, one)])[0].estimate.ratio == pytest.approx(1.05)
    shuffled = made.row([0.0105 * phase for phase in phases[::-1]])
    assert compare_rows([(shuffled, one)])[0].estimate.interval != pytest.approx((1.05, 1.05))


def test_only_shared_blocks_count() -> None:
    long, short = made.row([1.0] * 12), made.row([2.0] * 8)
    assert compare_rows([(short, long)])[0].estimate.blocks == 8


def test_the_fastest_is_marked_only_where_it_is_faster_than_every_other() -> None:
    clear = made.record(
        [made.row(noisy(factor), made.configuration(name)) for name, factor in (("a", 1), ("b", 1.1), ("c", 1.2))]
    )
    assert [row.configuration.runtime for row in fastest(clear)] == ["a"]
    close = made.record([made.row(noisy(seed=n), made.configuration(name)) for n, name in enumerate("ab")])
    assert list(fastest(close)) == []
    few = made.record([made.row(noisy(factor, 4), made.configuration(name)) for name, factor in (("a", 1), ("b", 2))])
    assert list(fastest(few)) == []


def test_rows_that_the_clock_does_not_resolve_are_never_the_fastest() -> None:
    rows = [made.row([2e-6] * 12, made.configuration("a")), made.row([1e-4] * 12, made.configuration("b"))]
    assert list(fastest(made.record(rows))) == []


def gate_record(ratio: float, reference: str = "other", blocks: int = 20, **changed: object) -> GateRecord:
    rows = [
        made.row(noisy(ratio, blocks, seed=1), made.configuration(batch=batch), side="candidate") for batch in (1, 8)
    ] + [made.row(noisy(1.0, blocks, seed=2), made.configuration(batch=batch), side="baseline") for batch in (1, 8)]
    plan = BenchPlan(blocks=blocks, batch_sizes=(1, 8), threads=(1,), baseline=reference)
    made_record = made.record_of(GateRecord, rows, plan=plan, **changed)
    assert isinstance(made_record, GateRecord)
    return made_record


def test_a_gate_pairs_its_sides_by_configuration() -> None:
    found = gates.judged(gate_record(1.1))
    assert [(one.candidate.side, one.baseline.side, one.verdict) for one in found] == [
        ("candidate", "baseline", "SLOWER")
    ] * 2
    assert {one.verdict for one in gates.judged(gate_record(1.0))} <= {"EQUIVALENT", "INCONCLUSIVE"}


def test_only_what_a_second_measurement_confirms_is_slower() -> None:
    slow = gate_record(1.1)
    assert gates.confirmed(slow) == []
    same = replace(slow, confirmation=plain(gate_record(1.0)))
    assert gates.confirmed(same) == []
    again = replace(slow, confirmation=plain(gate_record(1.1)))
    assert len(gates.confirmed(again)) == 2
    only_one = replace(slow, confirmation=plain(gate_record(1.1)), rows=tuple(r for r in slow.rows if is_small(r)))
    assert [one.candidate.configuration.batch_size for one in gates.confirmed(only_one)] == [1]


def is_small(row: Row) -> bool:
    return row.configuration.batch_size == 1


def test_what_a_thing_against_itself_shows_counts_as_equivalent() -> None:
    close = gate_record(1.03)
    assert {found.verdict for found in gates.judged(close)} == {"SLOWER"}
    wide = replace(close, half_widths=(HalfWidth(target="onnxruntime", threads=1, batch_size=8, relative=0.06),))
    assert [(found.delta, found.verdict) for found in gates.judged(wide)] == [(0.02, "SLOWER"), (0.06, "EQUIVALENT")]
    other = replace(close, half_widths=(HalfWidth(target="torch-eager", threads=1, batch_size=8, relative=0.06),))
    assert {found.delta for found in gates.judged(other)} == {0.02}


def test_rows_of_two_hosts_are_not_one_another() -> None:
    here = made.configuration()
    there = replace(here, host="ssh board")
    record = made.record([made.row(noisy(), here), made.row(noisy(3.0), there)])
    assert [found.verdict for found in compare_records(record, record)] == ["EQUIVALENT"] * 2


def test_a_self_test_counts_on_its_own_machine_alone() -> None:
    assert self_test.half_widths(None, made.ENVIRONMENT) == ()
    saved = copies(0.1)
    (found,) = self_test.half_widths(saved, made.ENVIRONMENT)
    assert found.relative == self_test.resolutions(saved)[0].half_width
    assert self_test.half_widths(saved, replace(made.ENVIRONMENT, cores=64)) == ()


def test_a_baseline_is_a_runtime_a_run_or_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "mnist-bench"
    script.write_text(f"#!{sys.executable} -E\nimport mnist_bench\n")
    script.chmod(0o755)
    subject = cast("Subject", SimpleNamespace(folder=tmp_path / "exports" / "run"))
    assert gate.resolve("torch-eager", subject).runtime == "torch-eager"
    assert gate.resolve(f"{sys.executable} -E", subject).python == (sys.executable, "-E")
    assert gate.resolve(str(script), subject).python == (sys.executable, "-E")
    for nothing in ("it's", "", " "):
        with pytest.raises(BadInput, match="is no runtime"):
            gate.resolve(nothing, subject)
    with pytest.raises(BadInput, match="starts no Python that has a mnist-bench"):
        gate.resolve("ls -l", subject)
    itself = f"env {sys.executable}"
    # What that Python finds is the installed package; these tests may have been given the checkout's.
    code = "import pathlib, mnist_bench; print(pathlib.Path(mnist_bench.__file__).parent)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    found = done.stdout.strip()
    monkeypatch.setattr(gate, "whereabouts", lambda: "elsewhere")
    assert gate.resolve(itself, subject).python[1:] == (sys.executable,)
    monkeypatch.setattr(gate, "whereabouts", lambda: found)
    with pytest.raises(BadInput, match="runs this very mnist-bench"):
        gate.resolve(itself, subject)
    with pytest.raises(BadInput, match=r"is no runtime .*, no run in .*, and no command"):
        gate.resolve("nothing-of-the-kind", subject)


def plain(record: GateRecord) -> InferenceBenchRecord:
    return made.record(record.rows, plan=record.plan)


def test_another_runtime_as_baseline_is_paired_by_precision_or_with_float32() -> None:
    rows = [
        made.row(noisy(), made.configuration(), side="candidate"),
        made.row(noisy(), made.configuration(precision="int8"), side="candidate"),
        made.row(noisy(), made.configuration("torch-eager"), side="baseline"),
    ]
    plan = BenchPlan(blocks=12, batch_sizes=(1,), threads=(1,), baseline="torch-eager")
    found = gates.pairs(made.record(rows, plan=plan))
    assert [(one.configuration.target, other.configuration.target) for one, other in found] == [
        ("onnxruntime", "torch-eager"),
        ("onnxruntime int8", "torch-eager"),
    ]


def test_sides_without_a_common_configuration_are_an_error() -> None:
    rows = [made.row(noisy(), side="candidate"), made.row(noisy(), made.configuration("torchscript"), side="baseline")]
    record = made.record_of(GateRecord, rows)
    assert isinstance(record, GateRecord)
    with pytest.raises(MeasurementFailed, match="share no configuration that could be measured"):
        gates.judged(record)


def test_what_one_side_lacks_is_named() -> None:
    complete = gate_record(1.0)
    assert gates.unpaired(complete) == []
    lost = replace(complete, rows=complete.rows[:3])
    assert gates.unpaired(lost) == ["candidate: onnxruntime"]
    lost = replace(complete, rows=complete.rows[1:])
    assert gates.unpaired(lost) == ["baseline: onnxruntime"]
    slow = gate_record(1.1)
    half = replace(slow, confirmation=plain(replace(slow, rows=slow.rows[1:3])))
    assert gates.unpaired(half) == ["onnxruntime, a second time"] * 2
    assert gates.unpaired(replace(slow, confirmation=plain(slow))) == []


def test_the_measured_again_a_second_measurement_are_found_on_any_device() -> None:
    slow = gate_record(1.1)
    moved = [replace(row, configuration=replace(row.configuration, device="cuda:0")) for row in slow.rows]
    found = gates.judged(replace(slow, rows=tuple(moved)))
    targets = [TargetUnderTest(side, "onnxruntime", never) for side in ("candidate", "baseline")]
    assert gate._measured_again(found, targets) == targets


def never(block: int, position: int) -> Outcome:
    raise AssertionError


def test_records_of_sides_are_not_compared_as_if_they_were_benchmarks() -> None:
    with pytest.raises(BadInput, match="from a gate or a self-test"):
        compare_records(copies(0.01), copies(0.01))


def test_epochs_of_other_sizes_are_not_compared() -> None:
    one = whole()
    rows = [replace(row, samples=tuple(replace(s, images=9) for s in row.samples)) for row in one.rows]
    with pytest.raises(BadInput, match="time other work: 1 and 9 images"):
        compare_records(one, replace(one, rows=tuple(rows)))


def copies(spread: float, seed: int = 0) -> SelfTestRecord:
    generator = np.random.default_rng(seed)
    phases = np.exp(np.where(generator.random(20) < 0.3, 0.3, 0.0))
    rows = [
        made.row((0.01 * phases * np.exp(generator.normal(0, spread, 20))).tolist(), side=f"copy {number}")
        for number in range(4)
    ]
    made_record = made.record_of(SelfTestRecord, rows)
    assert isinstance(made_record, SelfTestRecord)
    return made_record


def test_the_self_test_names_the_slow_down_that_a_gate_then_finds() -> None:
    (found,) = self_test.resolutions(copies(0.01))
    assert (found.comparisons, found.alarms) == (12, 0)
    assert found.detectable is not None
    assert found.half_width is not None
    assert 0.005 < found.half_width < found.detectable < 0.05
    generator = np.random.default_rng(9)
    caught = 0
    for _ in range(100):
        baseline, candidate = np.exp(generator.normal(0, 0.01, (2, 20)))
        pair = (made.row((candidate * (1 + found.detectable)).tolist()), made.row(baseline.tolist()))
        caught += compare_rows([pair], alpha=0.01, confidence=0.98)[0].verdict == "SLOWER"
    assert caught > 80


def test_a_noisier_machine_detects_less() -> None:
    (quiet,), (loud,) = self_test.resolutions(copies(0.01)), self_test.resolutions(copies(0.1))
    assert quiet.detectable is not None
    assert loud.detectable is not None
    assert loud.detectable > 4 * quiet.detectable


def test_copies_that_differ_are_counted_as_false_alarms() -> None:
    record = copies(0.01)
    slow = made.row([0.02] * 20, side="copy 3")
    (found,) = self_test.resolutions(replace(record, rows=(*record.rows[:3], slow)))
    assert found.alarms == 3
