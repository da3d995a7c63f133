"""What goes to the processes of a benchmark and what comes back; without torch, whose import one of them times."""

from msgspec import Struct

from mnist_bench.core.bench_types import Duration, Limits
from mnist_bench.core.types import Count, Positive, Seconds, TrainConfig


class ProbeRequest(Struct, frozen=True):
    """What to probe: a device, with each number of threads."""

    device: str
    threads: tuple[Positive, ...]


class Probed(Struct, frozen=True):
    """What a probe found: the limits, and how the numerical libraries were built; see `Conditions`."""

    limits: tuple[Limits, ...]
    builds: dict[str, str]


class LossRequest(Struct, frozen=True, kw_only=True):
    """Whose mean loss over the first epoch is wanted, with each batch size; `data_dir` is where the dataset is."""

    config: TrainConfig
    data_dir: str | None
    batch_sizes: tuple[Positive, ...]


class TimingRequest(Struct, frozen=True, kw_only=True):
    """Whom to time: an engine, with these numbers of threads in this order and these batch sizes, ascending.

    `warm_up_calls` are steps, and they and `warm_up_s` are of each configuration.
    """

    config: TrainConfig
    data_dir: str | None
    threads: tuple[Positive, ...]
    batch_sizes: tuple[Positive, ...]
    warm_up_calls: Count
    warm_up_s: Seconds


class TimedEngine(Struct, frozen=True, kw_only=True):
    """One configuration, timed; see `Sample`. `loss` is the mean over the first epoch, None where it is not finite."""

    threads: Positive
    batch_size: Positive
    loss: float | None
    load_s: Seconds
    first_call_s: Duration
    warm_up_calls: Count
    warm_up_s: Seconds
    images: Positive
    times_s: tuple[Duration, ...]
    peak_resident_bytes: Count | None
    peak_device_bytes: Count | None


class TimedProcess(Struct, frozen=True, kw_only=True):
    """What a process timed: torch's version, the seconds of its import, and each configuration."""

    version: str
    import_s: Seconds
    sessions: tuple[TimedEngine, ...]
