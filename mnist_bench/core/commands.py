"""The one place that spells command lines: those that make a record again, and those that messages tell to give."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from mnist_bench.core.bench_types import QUICK_BLOCKS, BenchPlan, BenchRecord
from mnist_bench.core.kinds import DEFAULT_CONVERGENCE_AT, DEFAULT_OUT, PROGRAM, Activation
from mnist_bench.core.study_types import BATCHED, StudyRecord
from mnist_bench.core.types import Artifact, FleetRecord, Manifest, ParityRecord, Record, TrainConfig

MODULE = "-m -- mnist_bench"
OPTIONS = {
    "dataset": "--dataset",
    "activation": "--activation",
    "seed": "--seed",
    "epochs": "--epochs",
    "threads": "--threads",
    "device": "--device",
    "engine": "--engine",
    "validation": "--validation",
    "batch_size": "--batch-size",
    "learning_rate": "--lr",
}
ALWAYS = ("dataset", "activation", "seed", "epochs", "threads", "device", "engine")
"""What is named even where it is the default: another machine's default may be another one."""
OF_STUDIES = ("dataset", "epochs", "device", "validation", "batch_size", "learning_rate")


def line(command: str, *words: str, out: Path = DEFAULT_OUT, processes: int = 1) -> str:
    """Spell a command line.

    Args:
        command: its name, such as `train`.
        words: what follows; each is quoted where a shell wants that.
        out: the folder of all runs; it is named where it is not the default.
        processes: how many torchrun starts.
    """
    start = f"torchrun --nproc-per-node={processes} {MODULE}" if processes > 1 else PROGRAM
    where = () if out == DEFAULT_OUT else ("--out", str(out))
    return f"{start} {shlex.join((command, *words, *where))}"


def on_run(command: str, folder: Path, *words: str) -> str:
    """Spell a command line about the run in a folder."""
    return line(command, "--run", folder.name, *words, out=folder.parent)


def on_study(folder: Path, *words: str, command: str = "study") -> str:
    """Spell a command line about the study in a folder."""
    return line(command, "--study", folder.name, *words, out=folder.parent)


def train_command(record: Record, out: Path = DEFAULT_OUT) -> str:
    """Return how a run was trained, or imported."""
    if record.imported and not record.epochs:
        where = ("--dataset", record.config.dataset, "--run", record.name)
        return line("import", record.imported.source, *where, out=out)
    config, usual = record.config, TrainConfig()
    chosen = [name for name in OPTIONS if name in ALWAYS or getattr(config, name) != getattr(usual, name)]
    words = [word for name in chosen for word in (OPTIONS[name], str(getattr(config, name)))]
    words = ["--network", record.imported.source, *words] if record.imported else words
    return line("train", *words, "--run", record.name, out=out, processes=config.processes)


def other_activation_command(record: Record, out: Path = DEFAULT_OUT) -> str:
    """Return how the same is trained with the other activation."""
    other: Activation = "sigmoid" if record.config.activation == "relu" else "relu"
    config = replace(record.config, activation=other)
    return train_command(replace(record, config=config, name=f"{record.name}-{other}"), out)


def resume_command(record: Record, out: Path = DEFAULT_OUT) -> str:
    """Return how a training that is not finished goes on."""
    return line("train", "--run", record.name, "--resume", out=out, processes=record.config.processes)


def export_commands(manifest: Manifest, out: Path = DEFAULT_OUT) -> Iterator[str]:
    """Yield how a run's files were exported: a line per format and device."""
    groups: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in manifest.artifacts:
        groups.setdefault((artifact.format, artifact.device), []).append(artifact)
    for (name, device), artifacts in groups.items():
        precisions = [word for artifact in artifacts for word in ("--precision", artifact.precision)]
        where = () if device == "cpu" else ("--device", device)
        yield line("export", "--run", manifest.run, "--format", name, *precisions, *where, out=out)


def verify_command(record: ParityRecord, out: Path = DEFAULT_OUT) -> str:
    """Return how a run was verified."""
    configurations = [result.configuration for result in record.results]
    batches = _numbers(sorted({one.batch_size for one in configurations}))
    threads = _numbers(sorted({one.threads for one in configurations}))
    devices = sorted({one.device for one in configurations} - {"cpu"})
    where = ("--device", devices[0]) if devices else ()
    return line("verify", "--run", record.name, "--batch-size", batches, "--threads", threads, *where, out=out)


def fleet_command(record: FleetRecord, out: Path = DEFAULT_OUT) -> str:
    """Return how a run was compared by processor."""
    return line("verify", "--run", record.name, "--cpu", ",".join(one.name for one in record.processors), out=out)


def bench_command(record: BenchRecord, out: Path = DEFAULT_OUT) -> str:
    """Return how a run's inference was benchmarked."""
    plan = record.plan
    words = ["--run", record.name, *(("--quick",) if plan.blocks == QUICK_BLOCKS else ())]
    words += [word for name in plan.targets for word in ("--runtime", name)]
    words += host_options(plan)
    usual = BenchPlan(blocks=1, batch_sizes=(1,), threads=(1,))
    words += ["--format", plan.command_format] if plan.command_format != usual.command_format else []
    words += ["--precision", plan.command_precision] if plan.command_precision != usual.command_precision else []
    words += ["--batch-size", _numbers(plan.batch_sizes), "--threads", _numbers(plan.threads), "--seed", str(plan.seed)]
    return line("bench", *words, *(() if plan.device == "cpu" else ("--device", plan.device)), out=out)


def host_options(plan: BenchPlan) -> list[str]:
    """Return the options that name the hosts of a plan; none for this machine alone."""
    return [word for host in plan.hosts if plan.hosts != ("here",) for word in host_option(host)]


def host_option(text: str) -> tuple[str, str]:
    """Return the option that names a host, `haswell` or `command:./engine {model}`."""
    kind, _, argument = text.partition(":")
    return ("--command", argument) if kind == "command" else ("--host", text)


def study_command(record: StudyRecord, out: Path = DEFAULT_OUT) -> str:
    """Return how a study was made."""
    config, usual = record.config, TrainConfig()
    changed = [name for name in OF_STUDIES if name == "dataset" or getattr(config, name) != getattr(usual, name)]
    changed += [] if config.engine == BATCHED else ["engine"]
    words = [word for name in changed for word in (OPTIONS[name], str(getattr(config, name)))]
    seeds = str(len(record.seeds)) if record.seeds == tuple(range(len(record.seeds))) else f"{_numbers(record.seeds)},"
    activation = "both" if len(record.activations) > 1 else record.activations[0]
    return line("study", "--seeds", seeds, "--activation", activation, *words, "--study", record.name, out=out)


def report_command(runs: Sequence[str], studies: Sequence[str], convergence_at: float, out: Path = DEFAULT_OUT) -> str:
    """Return how a page of some runs and studies is written."""
    words = [word for name in runs for word in ("--run", name)]
    words += [word for name in studies for word in ("--study", name)]
    if convergence_at != DEFAULT_CONVERGENCE_AT:
        words += ["--convergence-at", f"{convergence_at:.12g}"]
    return line("report", "--html", *words, out=out)


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
