"""What can be verified and timed of a run: which runtimes, on which hosts, open which of its files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mnist_bench import formats, hosts, runtimes, store
from mnist_bench.core.commands import on_run
from mnist_bench.core.errors import BadInput, RecordDamaged, TargetUnavailable
from mnist_bench.core.kinds import WEIGHTS, Precision
from mnist_bench.core.signature import OURS, Signature
from mnist_bench.core.types import Absent, Artifact, Manifest, Record, target_name
from mnist_bench.parity._assuming import Assumption

GRAPH_REMEDY = "use a runtime that reads ONNX, such as onnxruntime"


@dataclass(frozen=True)
class Target:
    """A runtime that computes in a precision, on a host, with the model that it opens there.

    `sha256` and `size_bytes` are the model's; None for a runtime that opens none. `numbers_of` is the hash of the
    quantised ONNX file whose numbers the model has, where it is another, and `graph` its content, if it is in the run.
    """

    runtime: str
    precision: Precision
    model: runtimes.Model
    host: hosts.Host
    launch: hosts.Launch
    sha256: str | None
    size_bytes: int | None
    numbers_of: str | None = None
    graph: bytes | None = None

    @property
    def asked(self) -> str:
        """Which runtime its worker is asked for: none of those that it might have, where it is a program of its own."""
        return "" if hosts.answers_itself(self.host) else self.runtime

    def under(self, assumption: Assumption) -> "Target":
        """Return it with images changed as is assumed."""
        return replace(self, model=assumption.of_model(self.model))

    @property
    def signature(self) -> Signature:
        """What its model takes and gives."""
        return self.model.signature or OURS

    def name(self, device: str = "cpu") -> str:
        """Return what it is called; see `target_name`."""
        return target_name(self.runtime, self.precision, device, self.launch.label)


@dataclass(frozen=True)
class Wanted:
    """What to look for.

    `runtimes` must all be there where they are named; nothing named is all that are. `on` are the hosts; a command
    among them opens the run's file of `format` and `precision`.
    """

    runtimes: tuple[str, ...] = ()
    device: str = "cpu"
    on: tuple[hosts.Host, ...] = (hosts.HERE,)
    format: str = "onnx"
    precision: Precision = "fp32"


@dataclass
class Targets:
    """What can be compared; and, by runtime, what cannot."""

    ready: list[Target] = field(default_factory=list)
    absent: dict[str, list[Absent]] = field(default_factory=dict)

    @property
    def skipped(self) -> list[Absent]:
        """All that cannot be compared."""
        return [one for of_runtime in self.absent.values() for one in of_runtime]

    def skip(self, runtime: str, reason: str, remedy: str, file: str = "", on: str = "") -> None:
        """Note that a runtime, or one file in it, cannot be compared on a host of this label."""
        target = " ".join([runtime, *([file] if file else []), *(["on", on] if on else [])])
        self.absent.setdefault(runtime, []).append(Absent(target=target, reason=reason, remedy=remedy))


Files = Sequence[tuple[Artifact, Mapping[str, bytes]]]


def find_targets(folder: Path, record: Record, wanted: Wanted) -> Targets:
    """Return which runtimes can open which of a run's files on which hosts, and which cannot.

    Every file is read here, once, and checked: what is opened later is what was hashed.

    Args:
        folder: the run's folder.
        record: its record; it must hold a checkpoint.
        wanted: what to look for.

    Raises:
        BadInput: there is nothing to open, or a runtime that was named answers nothing.
        RecordDamaged: a file differs from the manifest.
        TargetUnavailable: a runtime or a host that was named cannot be used here.
    """
    files, targets = _read(folder), Targets()
    for host in wanted.on:
        check_host(host)
        module = hosts.load(host.kind)
        if hosts.answers_itself(host):
            targets.ready.append(_command(folder, record, host, wanted, files))
            continue
        for name in wanted.runtimes or module.RUNTIMES or runtimes.names():
            if hosts.answers_with(host, name):  # else it is named for another host
                _add(targets, name, folder, record, host, wanted, files)
    _check_missing(targets, wanted)
    if not targets.ready:
        raise BadInput(f"there is nothing to open in {folder}: export first, or name other runtimes")
    return targets


def check_host(host: hosts.Host) -> None:
    """Raise TargetUnavailable where a host cannot be used here."""
    if missing := hosts.load(host.kind).why_unavailable():
        raise TargetUnavailable(f"host {host.kind} cannot be used: {missing.reason}; {missing.remedy}")


def _read(folder: Path) -> Files:
    """Return what the manifest names, with its content, after checking every file of it, whoever is going to open it.

    Raises:
        RecordDamaged: a file differs from its hash, or is called what its format does not call it.
    """
    manifest = store.load(folder, Manifest)
    for entry in manifest.artifacts if manifest else ():
        if entry.format not in formats.names() or entry.name != formats.file_name(entry.format, entry.precision):
            raise RecordDamaged(
                f"{folder / store.NAMES[Manifest]} calls {entry.name} {entry.format} {entry.precision}: export anew"
            )
    return [(entry, store.contents(folder, entry)) for entry in (manifest.artifacts if manifest else ())]


def _add(
    targets: Targets, name: str, folder: Path, record: Record, host: hosts.Host, wanted: Wanted, files: Files
) -> None:
    """Add what one runtime opens on one host."""
    module = runtimes.load(name)
    if module.FORMAT is None:
        if name in wanted.runtimes:
            raise BadInput(f"{name} answers nothing: name another runtime")
        return
    launch = hosts.launch(host)
    if missing := hosts.why_without(host, name) or absence(name, wanted.device):
        if name in wanted.runtimes:
            raise TargetUnavailable(f"{missing.target} cannot be used: {missing.reason}; {missing.remedy}")
        if hosts.is_of_this_machine(host):
            targets.skip(name, missing.reason, missing.remedy, on=launch.label)
    elif module.FORMAT == WEIGHTS:
        _add_weights(targets, name, folder, record, host, launch)
    else:
        _add_artifacts(targets, name, folder, record, host, launch, wanted.device, files)


def _add_weights(
    targets: Targets, name: str, folder: Path, record: Record, host: hosts.Host, launch: hosts.Launch
) -> None:
    """Add what opens bare weights, which say what to compute of the specified network alone."""
    if record.is_graph:
        targets.skip(name, "the network is an imported graph, not the specified one", GRAPH_REMEDY, on=launch.label)
        return
    for precision in runtimes.load(name).PRECISIONS:
        targets.ready.append(_of_weights(name, precision, folder, record, host, launch))


def absence(name: str, device: str) -> Absent | None:
    """Return why a runtime cannot be used on a device, as far as one sees without importing it; None where it can."""
    module = runtimes.load(name)
    if device.partition(":")[0] not in module.DEVICES:
        return Absent(target=name, reason=f"it does not run on {device}", remedy="use --device cpu")
    skipped = module.why_unavailable()
    return Absent(target=name, reason=skipped.reason, remedy=skipped.remedy) if skipped else None


def _of_weights(
    name: str, precision: Precision, folder: Path, record: Record, host: hosts.Host, launch: hosts.Launch
) -> Target:
    assert record.checkpoint
    saved = record.checkpoint.weights
    model = runtimes.Model({saved.name: store.content(folder, saved)}, WEIGHTS, "fp32", record.config.activation)
    return Target(name, precision, model, host, launch, saved.sha256, saved.size_bytes)


def _add_artifacts(
    targets: Targets,
    name: str,
    folder: Path,
    record: Record,
    host: hosts.Host,
    launch: hosts.Launch,
    device: str,
    files: Files,
) -> None:
    assert record.checkpoint
    module = runtimes.load(name)
    readable = set(module.PRECISIONS.values())
    fitting = [(entry, content) for entry, content in files if entry.format == module.FORMAT]
    fitting = [(entry, content) for entry, content in fitting if entry.precision in readable]
    again = on_run("export", folder, "--format", module.FORMAT or "")
    if not fitting and hosts.is_of_this_machine(host):
        reason, remedy = _why_no_file(record, module.FORMAT or "", readable, again)
        targets.skip(name, reason, remedy, on=launch.label)
    for entry, content in fitting:
        if entry.weights_sha256 != record.checkpoint.weights.sha256:
            how = again if entry.precision == "fp32" else f"{again} --precision {entry.precision}"
            targets.skip(name, "it was exported before the run was trained further", how, entry.name)
        elif not hosts.takes(host, entry.signature):
            wants = f"it gives images as float32 (n, 1, 28, 28), and {entry.name} wants others"
            targets.skip(name, wants, "use a runtime of this Python", entry.name, on=launch.label)
        elif module.COMPILED and entry.device != device:
            targets.skip(name, f"it was compiled for {entry.device}", f"{again} --device {device}", entry.name)
        else:
            computed = [precision for precision, stored in module.PRECISIONS.items() if stored == entry.precision]
            for precision in computed:
                made = _of_artifact(name, precision, record, host, launch, entry, content)
                targets.ready.append(replace(made, graph=_graph(entry, files)))


def _why_no_file(record: Record, kind: str, readable: Collection[Precision], again: str) -> tuple[str, str]:
    """Return why a run has no file for a runtime, and what to do: some graphs cannot be exported, `again` or at all."""
    if not formats.writes(kind, record):
        return "the network is an imported graph, not the specified one", GRAPH_REMEDY
    came_in = record.imported.precision if record.imported and record.is_graph else ""
    if came_in in formats.LOWER and came_in not in readable:
        return f"the imported graph is {came_in}, and stays so", GRAPH_REMEDY
    return f"the run holds no {kind} file", again


def _of_artifact(
    name: str,
    precision: Precision,
    record: Record,
    host: hosts.Host,
    launch: hosts.Launch,
    entry: Artifact,
    content: Mapping[str, bytes],
) -> Target:
    model = runtimes.Model(
        content, entry.format, entry.precision, record.config.activation, entry.batch, signature=entry.signature
    )
    return Target(name, precision, model, host, launch, entry.sha256, entry.size_bytes, entry.numbers_of)


def _graph(entry: Artifact, files: Files) -> bytes | None:
    """Return the ONNX file whose numbers another file has, if the run holds it."""
    found = (content for other, content in files if other.sha256 == entry.numbers_of)
    return next((graph for content in found for graph in content.values()), None)


def _command(folder: Path, record: Record, host: hosts.Host, wanted: Wanted, files: Files) -> Target:
    """Return what a command opens: one file of the run, or its weights."""
    assert record.checkpoint
    launch = hosts.launch(host)
    if wanted.format not in (known := (*formats.names(), WEIGHTS)):
        raise BadInput(f"no format {wanted.format!r}: choose from {', '.join(known)}")
    if wanted.format == WEIGHTS and record.is_graph:
        raise BadInput(f"run {record.name!r} is an imported graph, which weights alone do not tell: --format onnx")
    if wanted.format == WEIGHTS:
        return _of_weights(launch.label, wanted.precision, folder, record, host, launch)
    for entry, content in files:
        fits = (entry.format, entry.precision) == (wanted.format, wanted.precision)
        if fits and entry.weights_sha256 == record.checkpoint.weights.sha256:
            return _of_artifact(launch.label, wanted.precision, record, host, launch, entry, content)
    raise BadInput(
        f"the run holds no {wanted.format} file in {wanted.precision} of its present weights for the command: "
        f"{on_run('export', folder, '--format', wanted.format, '--precision', wanted.precision)}"
    )


def _check_missing(targets: Targets, wanted: Wanted) -> None:
    """Raise where a runtime that was named has nothing to open."""
    ready = {target.runtime for target in targets.ready}
    for name in wanted.runtimes:
        if name not in ready:
            absences = targets.absent.get(name, ())
            reasons = "; ".join(f"{entry.target}: {entry.reason}: {entry.remedy}" for entry in absences)
            raise BadInput(reasons or f"{name} has nothing to open on these hosts: name it without --host")
