"""The tables of benchmarks made by hand: golden as a whole, and what must stand in them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench.analysis.comparison import compare_records
from mnist_bench.core.bench_types import (
    BenchPlan,
    BenchRecord,
    Failure,
    GateRecord,
    Row,
    RowKind,
    SelfTestRecord,
    TrainingBenchRecord,
)
from mnist_bench.core.types import Absent
from tests.bench import made

GOLDEN = Path(__file__).parent / "golden"
WIGGLE = (1.0, 1.01, 0.99, 1.02, 1.0, 0.98, 1.03, 1.0, 1.01, 0.99, 1.0, 1.02)


def row(name: str, seconds: float, batch: int = 1, side: str = "", kind: RowKind = "inference") -> Row:
    own = made.configuration(name, batch, format="onnx" if kind == "inference" else "")
    return made.row([seconds * wiggle for wiggle in WIGGLE], own, side, calls=60, kind=kind)


def inference() -> BenchRecord:
    rows = [
        row("onnxruntime", 20e-6),
        row("torch-eager", 80e-6),
        row("null", 0.1e-6, kind="null"),
        row("onnxruntime", 1e-3, batch=128),
        row("torch-eager", 1.001e-3, batch=128),
    ]
    plan = BenchPlan(blocks=12, batch_sizes=(1, 128), threads=(1,), seed=7)
    failures = (
        Failure(target="torch-export", block=3, reason="its process was killed by SIGSEGV: without a word"),
        Failure(target="onnxruntime int8", threads=1, batch_size=128, block=0, reason="wrong answers: 900 flips"),
    )
    absent = Absent(target="aotinductor", reason="the run holds no aotinductor file", remedy="mnist-bench export")
    limits = (made.limits(flop_per_s=2e11, bytes_per_s=1.25e11),)
    return made.record(rows, plan=plan, limits=limits, failures=failures, skipped=(absent,))


def training() -> BenchRecord:
    own = row("eager", 1.5, batch=128, kind="training")
    own = replace(own, samples=tuple(replace(one, images=60_000) for one in own.samples))
    return made.record_of(TrainingBenchRecord, [own], limits=(made.limits(flop_per_s=2e11),))


def gate() -> BenchRecord:
    rows = [row("onnxruntime", 22e-6, side="candidate"), row("onnxruntime", 20e-6, side="baseline")]
    plan = BenchPlan(blocks=12, batch_sizes=(1,), threads=(1,), baseline="older")
    record = made.record_of(GateRecord, rows, plan=plan)
    return replace(record, confirmation=made.record(rows, plan=plan))


def self_test() -> BenchRecord:
    shifts = (0, 3, 5, 7)
    rows = [
        made.row([20e-6 * WIGGLE[(n + shift) % 12] for n in range(12)], side=f"copy {place}")
        for place, shift in enumerate(shifts)
    ]
    return made.record_of(SelfTestRecord, rows)


@pytest.mark.parametrize("make", [inference, training, gate, self_test], ids=lambda make: make.__name__)
def test_the_tables_are_as_they_were(make: Callable[[], BenchRecord]) -> None:
    found = report.render("markdown", list(report.bench_tables(make(), report.ViewOptions())))
    path = GOLDEN / f"bench-{make.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def column(tables: Sequence[report.Table], title: str, name: str) -> dict[object, object]:
    (found,) = [table for table in tables if table.title.startswith(title)]
    place = [heading.name for heading in found.columns].index(name)
    return {line[0]: line[place] for line in found.rows}


def test_only_what_is_faster_than_every_other_is_marked() -> None:
    tables = list(report.bench_tables(inference(), report.ViewOptions(), ["latency"]))
    marks = column(tables, "Latency of mnist-relu: batch 1, 1 thread", "Mark")
    assert marks == {"null": "unresolved", "onnxruntime": "fastest", "torch-eager": ""}
    assert set(column(tables, "Latency of mnist-relu: batch 128", "Mark").values()) == {""}


def test_a_bound_without_enough_calls_is_absent_and_the_number_needed_is_named() -> None:
    few = replace(inference(), rows=(made.row([1e-4] * 12, calls=10),))
    (table,) = report.bench_tables(few, report.ViewOptions(), ["latency"])
    assert column([table], "Latency", "p99 ≤") == {"onnxruntime": None}
    assert "fewer than 662 calls" in " ".join(table.notes)
    enough = replace(few, rows=(made.row([1e-4] * 12, calls=60),))
    (table,) = report.bench_tables(enough, report.ViewOptions(), ["latency"])
    assert column([table], "Latency", "p99 ≤") == {"onnxruntime": 1e-4}


def test_an_unfinished_benchmark_and_an_unsteady_machine_say_so() -> None:
    whole = inference()
    short = replace(
        whole,
        blocks=whole.blocks[:3],
        rows=tuple(replace(one, samples=one.samples[:3]) for one in whole.rows),
    )
    notes = " ".join(note for table in report.bench_tables(short, report.ViewOptions()) for note in table.notes)
    assert "Only 3 of 12 blocks are done: mnist-bench bench --run mnist-relu --resume continues." in notes
    busy = replace(whole, blocks=(replace(whole.blocks[0], busy_share=0.3), *whole.blocks[1:]))
    notes = " ".join(note for table in report.bench_tables(busy, report.ViewOptions()) for note in table.notes)
    assert "The machine was unsteady: others took up to 30% of its cores" in notes


def test_a_comparison_names_its_verdicts_and_what_they_allow_for() -> None:
    record = inference()
    found = report.comparison_table("a against b", compare_records(record, record), 0.95)
    assert {line[-1] for line in found.rows} == {"EQUIVALENT"}
    assert "5 comparisons (Holm)" in found.notes[0]
    assert "INCONCLUSIVE is not “no change”" in found.notes[0]
