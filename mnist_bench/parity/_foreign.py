"""Files from elsewhere: looked at before they are opened, and opened in workers with limits."""

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace as replace_field

from mnist_bench import data, formats, hosts, importers, runtimes, store
from mnist_bench.core import scratch
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import (
    BadInput,
    CannotRun,
    EnvironmentProblem,
    MnistBenchError,
    ModelRefused,
    OutOfMemory,
    RuntimeFailed,
    Unreachable,
)
from mnist_bench.core.events import OnEvent
from mnist_bench.core.kinds import Precision
from mnist_bench.core.signature import OURS, Signature
from mnist_bench.core.types import Manifest, ParityRecord, Record
from mnist_bench.parity._asking import Answer, Plan, Workers, ask_all
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._layers import Looking
from mnist_bench.parity._network import reference_of
from mnist_bench.parity._targets import Target, absence, check_host
from mnist_bench.parity._verify import Findings, not_opened, parity_record

OPENED_AS = {"ort": "ort-fixed"}
"""The format of kinds of files that are called otherwise here."""


@dataclass(frozen=True)
class Foreign:
    """A file from elsewhere: its content, the format that it is opened as, and what it wants."""

    path: Path
    content: bytes
    format: str
    precision: Precision
    signature: Signature


def verify_file(
    path: Path,
    folder: Path,
    dataset: data.Dataset,
    plan: Plan,
    on_event: OnEvent,
    *,
    trusted: bool = False,
) -> ParityRecord:
    """Compare a foreign file with a run's float64 reference, in every runtime here that opens it, or in a command.

    Args:
        path: a model file that a runtime reads, ONNX or TorchScript say.
        folder: the folder of the run that it is compared with.
        dataset: the images.
        plan: which runtimes, in which configurations; its `precision` is what the file claims to be.
        on_event: is called before each configuration.
        trusted: load a program although it does not stand in the run's manifest.

    Raises:
        ModelRefused: it is no such file, wants what cannot be adapted to, is a program that nobody vouches for, or its
            worker hung or died.
        ChildFailed: its worker used up its memory.
    """
    record, reference = store.steady(folder, lambda record: reference_of(folder, record))
    targets = targets_of_file(path, folder, record, plan, trusted=trusted)
    signature = targets[0].under(plan.assumption).signature
    inputs = build_inputs(dataset, reference, probing=True, assumption=plan.assumption, signature=signature)
    found = Findings(inputs, assumption=plan.assumption)
    looking = Looking(reference, found.inputs, Workers(plan.foreign_limits, shared=False), plan, folder)
    refused: list[tuple[Target, MnistBenchError]] = []
    for target in (one.under(plan.assumption) for one in targets):
        try:
            answers = _answers(target, looking.workers, found, plan, on_event)
        except (Unreachable, ModelRefused, RuntimeFailed) as error:
            refused.append((target, error))
        else:
            found.look(target, found.add(target, answers), looking)
    _judge_refusals(path, found, refused, plan)
    return parity_record(record, dataset, found, reference, signature)


def _answers(target: Target, workers: Workers, found: Findings, plan: Plan, on_event: OnEvent) -> list[Answer]:
    """Ask a target; raise RuntimeFailed where the runtime could not open the file, or answer."""
    answers = list(ask_all(target, workers, found.inputs.groups, plan, on_event))
    if failed := [answer.failure for answer in answers if answer.failure]:
        raise RuntimeFailed(failed[0])
    return answers


def _judge_refusals(path: Path, found: Findings, refused: list[tuple[Target, MnistBenchError]], plan: Plan) -> None:
    """Note which runtimes did not answer; raise for the first where none did, or where it was named."""
    for target, error in refused:
        where = target.name(plan.device)
        if not found.results or target.runtime in plan.runtimes or hosts.answers_itself(target.host):
            ours = isinstance(error, (OutOfMemory, CannotRun))
            code = EnvironmentProblem.exit_code if ours else ModelRefused.exit_code
            raise ChildFailed(f"{path} in {where}: {error}", code) from error
        listed = found.unreachable if isinstance(error, Unreachable) else found.skipped
        listed.append(not_opened(target, plan, str(error), found.results[0]))


def targets_of_file(path: Path, folder: Path, record: Record, plan: Plan, *, trusted: bool) -> list[Target]:
    """Return where a foreign file can be opened; for the arguments and the errors see `verify_file`."""
    content = importers.content(path)
    kind = importers.kind_of(path, content)
    _check_trust(path, content, kind, folder, trusted)
    return _targets(_looked_at(path, content, kind, plan), record, plan)


def _check_trust(path: Path, content: bytes, kind: str, folder: Path, trusted: bool) -> None:
    """Raise ModelRefused for a program that neither the user nor the run's manifest vouches for."""
    if not importers.load(kind).PROGRAM or trusted:
        return
    manifest = store.load(folder, Manifest)
    if sha256(content) not in {entry.sha256 for entry in (manifest.artifacts if manifest else ())}:
        raise ModelRefused(
            f"{path} is a program ({kind}) that is not in the manifest of {folder}: "
            f"loading it can do anything; --trust-code if you know where it is from"
        )


def _looked_at(path: Path, content: bytes, kind: str, plan: Plan) -> Foreign:
    """Find out what a file wants; of what does not let itself be read it is what ours do, until it has answered."""
    opened_as = OPENED_AS.get(kind, kind)
    if not (readers := runtimes.of_format(opened_as)):
        raise BadInput(f"{path} is {kind}, which no runtime opens: make a run of it with mnist-bench import {path}")
    with scratch.folder() as place:
        try:
            found = importers.read(path, content, place, trusted=True, output=plan.output, limits=plan.foreign_limits)
        except ModelRefused:
            if kind == "onnx":
                raise
            return Foreign(path, content, opened_as, plan.precision or "fp32", OURS)
        if kind == "onnx" and found.graph_file:  # but for what it answers besides, the very file
            content = (place / found.graph_file).read_bytes()
    read = {precision for runtime in readers for precision in runtime.PRECISIONS}
    own: Precision = next((precision for precision in read if precision == found.precision), "fp32")
    # Pixels come as the reference gets them: what a file does to them besides is found out where answers differ.
    as_ours = replace_field(found.signature, pixels=OURS.pixels)
    return Foreign(path, content, opened_as, plan.precision or own, as_ours)


def _targets(file: Foreign, record: Record, plan: Plan) -> list[Target]:
    """Return where a file can be opened; refuse where a runtime that was named cannot, or where none can."""
    name = formats.file_name(file.format, "fp32")  # engines may insist on a suffix
    model = runtimes.Model(
        {name: file.content},
        file.format,
        file.precision,
        record.config.activation,  # bare weights alone need it, and they are never foreign
        batch=file.signature.batch,
        foreign=True,
        signature=file.signature,
    )

    def on(host: hosts.Host, runtime: str) -> Target:
        launch, content = hosts.launch(host), file.content
        return Target(runtime or launch.label, file.precision, model, host, launch, sha256(content), len(content))

    found = []
    for host in plan.on:
        check_host(host)
        own = hosts.load(host.kind).RUNTIMES
        if not hosts.takes(host, model.signature):
            raise BadInput(f"host {host.kind} asks in float32 (n, 1, 28, 28) alone, and {file.path} has other borders")
        readers = [""] if hosts.answers_itself(host) else _readers(file, own, plan)
        found += [on(host, runtime) for runtime in readers]
    return found


def _readers(file: Foreign, usual: tuple[str, ...] | None, plan: Plan) -> list[str]:
    """Return the runtimes that can open a file."""
    able = [
        name
        for name in usual or runtimes.names()
        if file.format == (module := runtimes.load(name)).FORMAT
        and file.precision in module.PRECISIONS
        and not absence(name, plan.device)
    ]
    unable = [name for name in plan.runtimes if name not in able]
    if unable or not able:
        who = f"{', '.join(unable)} cannot" if unable else "no runtime here can"
        raise BadInput(f"{who} read {file.path}, which is {file.format} in {file.precision}: name others")
    return [name for name in able if not plan.runtimes or name in plan.runtimes]
