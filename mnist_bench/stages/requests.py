"""What the stages are asked for: the options of a command, or of a function, parsed and frozen."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Activation, Precision, Validation
from mnist_bench.core.limits import MIB

if TYPE_CHECKING:
    from mnist_bench.core.signature import Pixels
    from mnist_bench.core.types import TrainConfig
    from mnist_bench.data import Ground
    from mnist_bench.hosts import Host

Works = Literal["inference", "training", "all"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What to print: the record as JSON to `json_path`, `-` being stdout; and `quiet`, how often -q was given."""

    json_path: Path | None = None
    quiet: int = 0


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How to train; None is what the command chooses for this machine. `activation` may be `both`.

    `typed` are the names of the options that were given, in whatever way: the others may give way to a saved run's.
    """

    dataset: str
    data_dir: Path | None
    validation: Validation
    activation: str
    device: str
    engine: str | None
    epochs: int
    batch_size: int
    learning_rate: float
    name: str | None
    out: Path
    convergence_at: float
    resume: bool
    overwrite: bool
    typed: frozenset[str]

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activations to train."""
        both: tuple[Activation, ...] = ("relu", "sigmoid")
        return both if self.activation == "both" else tuple(one for one in both if one == self.activation)


@dataclass(frozen=True, kw_only=True)
class Train(Protocol, Output):
    """See `mnist-bench train --help`."""

    seed: int
    threads: int | None
    network: str | None = None
    require_accuracy: float | None = None
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """See `mnist-bench run --help`; `training` is always resumed, unless overwritten."""

    training: Train
    quick: bool
    allow_busy: bool


@dataclass(frozen=True, kw_only=True)
class Study(Protocol, Output):
    """See `mnist-bench study --help`."""

    seeds: tuple[int, ...]
    workers: int | None


@dataclass(frozen=True, kw_only=True)
class Export:
    """See `mnist-bench export --help`; either may hold `all`."""

    names: tuple[str, ...]
    precisions: tuple[str, ...]
    name: str | None
    out: Path
    opset: int | None
    device: str
    data_dir: Path | None
    quiet: int


@dataclass(frozen=True, kw_only=True)
class Import:
    """See `mnist-bench import --help`."""

    file: Path
    name: str | None
    out: Path
    dataset: str
    data_dir: Path | None
    output: str
    activation: Activation | None
    pixels: "Pixels | None"
    trust_code: bool
    overwrite: bool
    quiet: int


@dataclass(frozen=True, kw_only=True)
class Reported(Output):
    """What to tell a CI system: test cases to `junit_path`, `-` being stdout; and GitHub, by `annotate`."""

    junit_path: Path | None = None
    annotate: str = "none"

    def __post_init__(self) -> None:
        if self.json_path == self.junit_path == Path("-"):
            raise BadInput("--json and --junit cannot both go to stdout: give one of them a file")
        distinct("--json", self.json_path, "--junit", self.junit_path)

    @property
    def data_to(self) -> Path | None:
        """Where data go, `-` being stdout: nothing else is printed into their midst."""
        return self.json_path if self.json_path == Path("-") else self.junit_path

    @property
    def on_github(self) -> bool:
        """Whether to write annotations, and a summary, in GitHub's form."""
        return self.annotate == "github" or (self.annotate == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


@dataclass(frozen=True, kw_only=True)
class Asking(Reported):
    """Which targets of which run to ask: runtimes by name, hosts by name, and commands that are hosts."""

    name: str | None
    out: Path
    data_dir: Path | None
    device: str
    runtimes: tuple[str, ...]
    places: tuple[str, ...]
    commands: tuple[str, ...]
    command_format: str

    @property
    def hosts(self) -> "tuple[Host, ...]":
        """The hosts that were named, and the commands as hosts.

        This machine where there are none, and where a runtime is named and no place: a command has none of ours.
        """
        from mnist_bench import hosts

        here = [hosts.HERE] if self.runtimes and not self.places else []
        of_commands = [hosts.Host("command", text) for text in self.commands]
        named = dict.fromkeys([*here, *map(hosts.named, self.places), *of_commands])
        labels = [hosts.launch(host).label for host in named]
        if twice := [label for place, label in enumerate(labels) if label in labels[:place]]:
            raise BadInput(f"two hosts would both be called {twice[0] or 'this machine'!r}: ask one at a time")
        return tuple(named) or (hosts.HERE,)

    @property
    def all_hosts(self) -> "tuple[Host, ...]":
        """Those that were named; where neither hosts nor runtimes were, also what was installed beside this Python."""
        from mnist_bench import hosts

        named = self.places or self.commands or self.runtimes
        return self.hosts if named else hosts.everywhere(self.device)


@dataclass(frozen=True, kw_only=True)
class Verify(Asking):
    """See `mnist-bench verify --help`."""

    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    dataset: str | None
    model_file: Path | None
    precision: Precision | None
    output: str
    trust_code: bool
    time_limit: float | None
    memory_limit: int | None
    processors: tuple[str, ...] = ()
    layers: bool = False
    stamp_path: Path | None = None
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("--stamp", self.stamp_path, "--json", self.json_path)
        distinct("--stamp", self.stamp_path, "--junit", self.junit_path)
        if self.processors and self.assumptions:
            raise BadInput("--assume is of what this machine asks: leave out --cpu")
        if self.processors and self.layers:
            raise BadInput("--layers are those of this machine's own answers: leave out --cpu")
        if self.processors and self.places:
            raise BadInput("--cpu asks this machine and emulated ones about the same files: leave out --host")
        if self.processors and self.device != "cpu":
            raise BadInput("--cpu is of processors: leave out --device")

    @property
    def partial(self) -> bool:
        """Whether less is asked than could be: what else was known of the run stays."""
        chosen = (self.runtimes, self.places, self.commands, self.batch_sizes, self.threads, self.processors)
        return any(chosen) or self.device != "cpu"

    @property
    def all_processors(self) -> bool:
        """Whether all processors are meant that can be emulated here."""
        return "all" in self.processors

    def fleet(self, usable: "tuple[Host, ...]") -> "tuple[Host, ...]":
        """Return the emulated processors that were named, or all that are usable; each command on each of them.

        Raises:
            BadInput: there is no such processor.
        """
        from mnist_bench import hosts

        named = dict.fromkeys(hosts.Host(hosts.processor(name).name) for name in self.processors if name != "all")
        places = tuple(dict.fromkeys([*usable, *named])) if self.all_processors else tuple(named)
        programs = [hosts.Host(place.kind, text) for place in places for text in self.commands]
        return tuple(programs) or places

    @property
    def configurations(self) -> dict[str, Any]:
        """The batch sizes and threads, as a plan names them: on emulated processors few suffice."""
        from mnist_bench import environment, parity

        if self.processors:
            usual: dict[str, tuple[int, ...]] = {"batch_sizes": parity.BATCH_SIZES, "threads": parity.THREADS}
        else:
            usual = {
                "batch_sizes": parity.Plan.batch_sizes,
                "threads": tuple(dict.fromkeys((1, environment.default_threads()))),
            }
        return {name: getattr(self, name) or default for name, default in usual.items()}

    @property
    def limits(self) -> dict[str, Any]:
        """The limits that were given, as a plan names them: those that were not are the plan's."""
        memory = None if self.memory_limit is None else self.memory_limit * MIB
        given = {"time_limit_s": self.time_limit, "memory_limit_bytes": memory}
        return {name: limit for name, limit in given.items() if limit is not None}


@dataclass(frozen=True, kw_only=True)
class Predict:
    """See `mnist-bench predict --help`; a file may be a folder, and `-` is stdin."""

    files: tuple[Path, ...]
    name: str | None
    out: Path
    data_dir: Path | None
    runtimes: tuple[str, ...]
    ground: "Ground"
    as_is: bool
    csv_path: Path | None
    quiet: int


@dataclass(frozen=True, kw_only=True)
class Bench(Asking):
    """See `mnist-bench bench --help`; nothing in `batch_sizes` or `threads` is what the mode chooses."""

    works: Works
    gate: bool
    self_test: bool
    scenario: str | None
    baseline: str | None
    engines: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    time_limit: float
    quick: bool
    seed: int
    rate: float | None
    latency_bound: float
    duration: float
    resume: bool
    allow_busy: bool
    command_precision: Precision


def changed(saved: "TrainConfig", wanted: object, fixed: Iterable[str], asked: Protocol) -> str:
    """Say which settings were asked for and differ from the saved ones, of those that are fixed; nothing where none."""
    pairs = {name: (getattr(saved, name), getattr(wanted, name)) for name in fixed if name in asked.typed}
    return ", ".join(f"{name} was {before}, not {now}" for name, (before, now) in pairs.items() if before != now)


def distinct(option: str, path: Path | None, other: str, place: Path | None) -> None:
    """Raise BadInput where two options name one file: the second would replace the first."""
    if path and place and os.path.realpath(path) == os.path.realpath(place) and not _is_special(path):
        raise BadInput(f"{option} and {other} cannot both go to {path}: name another file for one of them")


def _is_special(path: Path) -> bool:
    """Tell whether what is there is no file, so that nothing in it is replaced: a terminal, say."""
    return path.exists() and not path.is_file()
