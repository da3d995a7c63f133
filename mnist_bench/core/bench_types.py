"""What a benchmark saves: every raw sample, the order in which it was taken, and the machine's own limits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import (
    SCHEMA_VERSION,
    Absent,
    Configuration,
    Count,
    Environment,
    Positive,
    SchemaVersion,
    Seconds,
    Sha256,
)

Duration = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0)]
Rated = Literal["fp32", "bf16", "tf32"]
Access = Literal["read", "copy"]


class Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can change a machine's speed, as found and never set; unknown things are None or left out.

    `affinity` are the cores that this process may use, `busy_share` and `steal_share` the shares of those cores' time
    that other processes, and the hypervisor's other guests, took while nothing ran here. `commit` and `dirty` are of
    mnist-bench's own source. `throttled_periods` counts in how many periods the process's group has been made to wait
    for its quota until then.
    """

    affinity: tuple[Count, ...]
    governor: str | None
    frequency_hz: Rate | None
    busy_share: Share
    steal_share: Share | None
    variables: dict[str, str]
    builds: dict[str, str]
    commit: str | None
    dirty: bool | None
    gpu: dict[str, str] = {}
    throttled_periods: Count | None = None


class MatrixRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The best rate of matrix products of given shapes, each (rows, inner, columns), one after the other."""

    shapes: tuple[tuple[Positive, Positive, Positive], ...]
    purpose: str
    precision: Rated
    flop_per_s: Rate


class Bandwidth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The best rate at which memory of a size is read (summed) or copied (bytes read plus bytes written)."""

    access: Access
    size_bytes: Positive
    bytes_per_s: Rate


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a machine can do at best with a number of threads: one probe in a process of its own."""

    device: str
    threads: Positive
    matrix_rates: Annotated[tuple[MatrixRate, ...], Meta(min_length=1)]
    bandwidths: Annotated[tuple[Bandwidth, ...], Meta(min_length=1)]
    timer_s: Duration


QUICK_BLOCKS = 6
"""How many blocks `bench --quick` measures: the fewest that give a 95% interval."""

MOST_BLOCKS = 1000
"""In a saved benchmark: the exact statistics of that many take a second a row, and grow with the cube."""


class BenchPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure, fixed before it begins.

    Each of `blocks` runs every target once, in a fresh process, in an order drawn from `seed`. A process warms up for
    at least `warm_up_calls` calls of each configuration and `warm_up_s` in all, and is stopped after `time_limit_s`.
    `hosts` are where, by name; a command among them reads the run's file of `command_format` and `command_precision`.
    """

    blocks: Annotated[int, Meta(gt=0, le=MOST_BLOCKS)]
    targets: tuple[str, ...] = ()
    batch_sizes: Annotated[tuple[Positive, ...], Meta(min_length=1)]
    threads: Annotated[tuple[Positive, ...], Meta(min_length=1)]
    device: str = "cpu"
    seed: Count = 0
    warm_up_calls: Count = 50
    warm_up_s: Seconds = 1.0
    time_limit_s: Duration = 180.0
    baseline: str | None = None
    hosts: tuple[str, ...] = ("here",)
    command_format: str = "onnx"
    command_precision: Precision = "fp32"


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one process measured of one configuration in one block; `position` is its place in the block's order.

    `times_s` are raw, in the order of measurement, each of a call on one batch (inference), or of an epoch (training);
    `images` is how many images each covers. `import_s` stands in the first sample of each process, `load_s` in the
    first of each session. `peak_resident_bytes` is the process's until then, batch sizes ascending; None in sessions
    after a process's first, which would show that one's.
    """

    block: Count
    position: Count
    import_s: Seconds | None
    load_s: Seconds | None
    first_call_s: Duration
    warm_up_calls: Count
    warm_up_s: Seconds
    images: Positive
    times_s: Annotated[tuple[Duration, ...], Meta(min_length=1)]
    peak_resident_bytes: Count | None
    peak_device_bytes: Count | None = None


NULL = "null"
"""The runtime that answers nothing, whose rows are of that kind."""

RowKind = Literal["inference", "training", "null"]
"""What was timed: a runtime on a file, an engine that trains, or a call that does nothing, which is its own cost."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration with its samples, one a block.

    `side` tells sides of a comparison apart and is empty otherwise. `sha256` is that of the file. `checked` says how
    far the answers of its process in the first block agree with the reference; `deviations` on how many images the
    predictions differ. `skips_zeros`: an engine leaves products with zero out, and may be faster than all of
    them take. `installed_bytes` is what its libraries take on disk, with all that they require.
    """

    side: str = ""
    kind: RowKind = "inference"
    configuration: Configuration
    size_bytes: Count | None = None
    sha256: Sha256 | None = None
    checked: str
    deviations: Count = 0
    skips_zeros: bool = False
    installed_bytes: Count | None = None
    samples: tuple[Sample, ...] = ()


class Failure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What could not be measured from some block on, and why: one configuration of a target, or all of it.

    `threads` and `batch_size` are None where the whole target failed; that is not tried again.
    """

    side: str = ""
    target: str
    threads: Positive | None = None
    batch_size: Positive | None = None
    block: Count
    reason: str


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finished block: who was measured in which order, and what share of the cores' time others took meanwhile."""

    started_at: str
    order: tuple[str, ...]
    busy_share: Share
    steal_share: Share | None


class BenchRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all benchmarks save."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    dataset: str
    weights_sha256: Sha256
    environment: Environment
    conditions: Conditions
    plan: BenchPlan
    limits: tuple[Limits, ...] = ()
    blocks: tuple[Block, ...] = ()
    rows: tuple[Row, ...] = ()
    failures: tuple[Failure, ...] = ()
    skipped: tuple[Absent, ...] = ()
    resumed_at: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.blocks) > self.plan.blocks:
            raise ValueError("more blocks than were planned")
        for row in self.rows:
            blocks = [sample.block for sample in row.samples]
            if blocks != sorted(set(blocks)) or (blocks and blocks[-1] >= len(self.blocks)):
                raise ValueError("a row whose samples are not one a block")

    @property
    def finished(self) -> bool:
        """Whether all blocks are there."""
        return len(self.blocks) == self.plan.blocks


class InferenceBenchRecord(BenchRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bench` measured: the inference of a run's files."""


class TrainingBenchRecord(BenchRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bench --training` measured: the steps of the training engines, by the run's protocol."""


class HalfWidth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The half-width of the intervals of a target compared with itself in one configuration, relative."""

    target: str
    threads: Positive
    batch_size: Positive
    relative: Share


class GateRecord(BenchRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bench --gate` measured: two sides in the same blocks.

    `half_widths` are those of a self-test on this machine, if there was one. `confirmation` is the second, independent
    measurement of what was slower in the first.
    """

    half_widths: tuple[HalfWidth, ...] = ()
    confirmation: InferenceBenchRecord | None = None


class SelfTestRecord(BenchRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bench --self-test` measured: the same target several times in each block, each copy a side."""


REFERENCE_ENGINE, LOSS_TOLERANCE = "eager", 0.01
"""How far an engine's loss over the first epoch may be from the reference engine's, relatively: rounding grows on the
way to some 0.1%, and a wrong mask, order or step size shows in several per cent."""
