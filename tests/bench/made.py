"""Benchmarks made by hand."""

from collections.abc import Sequence
from typing import Any, TypeVar

from mnist_bench.core.bench_types import (
    Bandwidth,
    BenchPlan,
    BenchRecord,
    Block,
    Conditions,
    InferenceBenchRecord,
    Limits,
    MatrixRate,
    Row,
    RowKind,
    Sample,
)
from mnist_bench.core.types import Configuration, Environment

R = TypeVar("R", bound=BenchRecord)

ENVIRONMENT = Environment(
    started_at="2026-01-02T03:04:05+00:00",
    python="3.11.9",
    platform="Linux-6-x86_64",
    cpu_model="Abacus 3000",
    cores=2,
    memory_bytes=8_000_000_000,
    load_average=0.1,
    virtual_machine=False,
    libraries={"torch": "2.14.0"},
)
CONDITIONS = Conditions(
    affinity=(0, 1),
    governor="performance",
    frequency_hz=3e9,
    busy_share=0.0,
    steal_share=0.0,
    variables={},
    builds={},
    commit=None,
    dirty=None,
)


def configuration(runtime: str = "onnxruntime", batch: int = 1, threads: int = 1, **changed: Any) -> Configuration:
    fields = {
        "runtime": runtime,
        "version": "1.0",
        "format": "onnx",
        "precision": "fp32",
        "device": "cpu",
        "provider": "CPU",
        "threads": threads,
        "batch_size": batch,
    }
    return Configuration(**fields | changed)  # type: ignore[arg-type]


def sample(block: int, times: Sequence[float], images: int = 1, first: bool = True) -> Sample:
    return Sample(
        block=block,
        position=0,
        import_s=0.5 if first else None,
        load_s=0.25 if first else None,
        first_call_s=0.125,
        warm_up_calls=50,
        warm_up_s=1.0,
        images=images,
        times_s=tuple(times),
        peak_resident_bytes=100_000_000,
    )


def row(
    medians: Sequence[float],
    of: Configuration | None = None,
    side: str = "",
    calls: int = 3,
    kind: RowKind = "inference",
) -> Row:
    """Return a row whose processes all took these times, `calls` times each."""
    own = of or configuration()
    samples = tuple(sample(block, [time] * calls, own.batch_size) for block, time in enumerate(medians))
    return Row(
        side=side, kind=kind, configuration=own, size_bytes=2_000_000, checked="within tolerance", samples=samples
    )


def limits(threads: int = 1, flop_per_s: float = 1e11, bytes_per_s: float = 1e11, timer_s: float = 5e-8) -> Limits:
    rate = MatrixRate(shapes=((1, 1, 1),), purpose="training step, batch 128", precision="fp32", flop_per_s=flop_per_s)
    memory = Bandwidth(access="read", size_bytes=2 * 1024**2, bytes_per_s=bytes_per_s)
    return Limits(device="cpu", threads=threads, matrix_rates=(rate,), bandwidths=(memory,), timer_s=timer_s)


def record(rows: Sequence[Row] = (), **changed: Any) -> InferenceBenchRecord:
    return record_of(InferenceBenchRecord, rows, **changed)


def record_of(kind: type[R], rows: Sequence[Row] = (), **changed: Any) -> R:
    blocks = max((len(one.samples) for one in rows), default=0)
    fields: dict[str, Any] = {
        "name": "mnist-relu",
        "dataset": "digits",
        "weights_sha256": "0" * 64,
        "environment": ENVIRONMENT,
        "conditions": CONDITIONS,
        "plan": BenchPlan(blocks=max(blocks, 1), batch_sizes=(1,), threads=(1,)),
        "limits": (limits(),),
        "blocks": tuple(Block(started_at="now", order=("a",), busy_share=0, steal_share=0) for _ in range(blocks)),
        "rows": tuple(rows),
    }
    return kind(**fields | changed)
