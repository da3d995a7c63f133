"""What the commands are asked for: their options, parsed and frozen, under the names that click gives them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from mnist_bench.core.kinds import Activation, Precision, Validation

Works = Literal["inference", "training", "all"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What to print: tables, unless `quiet`; the record as JSON to `json_path`, `-` being stdout."""

    json_path: Path | None = None
    quiet: bool = False

    @property
    def tables(self) -> bool:
        """Whether tables are printed: not into the midst of JSON."""
        return not self.quiet and self.json_path != Path("-")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How to train; None is what the command chooses for this machine. `activation` may be `both`.

    `typed` are the names of the options that were given, on the command line or in the environment: the others may
    give way to a saved run's.
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
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class Verify(Output):
    """See `mnist-bench verify --help`."""

    name: str | None
    out: Path
    runtimes: tuple[str, ...]
    device: str
    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    dataset: str | None
    data_dir: Path | None
    model_file: Path | None
    precision: Precision
    trust_code: bool
    places: tuple[str, ...]
    commands: tuple[str, ...]
    command_format: str
    time_limit: float


@dataclass(frozen=True, kw_only=True)
class Bench(Output):
    """See `mnist-bench bench --help`; nothing in `batch_sizes` or `threads` is what the mode chooses."""

    name: str | None
    out: Path
    works: Works
    gate: bool
    self_test: bool
    scenario: str | None
    baseline: str | None
    runtimes: tuple[str, ...]
    engines: tuple[str, ...]
    device: str
    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    quick: bool
    seed: int
    time_limit: float
    rate: float | None
    latency_bound: float
    duration: float
    resume: bool
    allow_busy: bool
    places: tuple[str, ...]
    commands: tuple[str, ...]
    command_format: str
    command_precision: Precision
    data_dir: Path | None


def typed(context: click.Context) -> frozenset[str]:
    """Return the names of the options that were given, in whatever way."""
    default = click.core.ParameterSource.DEFAULT
    return frozenset(name for name in context.params if context.get_parameter_source(name) is not default)
