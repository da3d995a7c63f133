"""Files from elsewhere: looked at before they are opened, and opened in workers with limits."""

import io
import struct
import zipfile
from pathlib import Path

from mnist_bench import data, formats, hosts, runtimes, store
from mnist_bench.core import limits
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import BadInput, CannotRun, EnvironmentProblem, ModelRefused, OutOfMemory, Unreachable
from mnist_bench.core.events import OnEvent
from mnist_bench.core.reading import read_regular
from mnist_bench.core.types import Manifest, ParityRecord, Record
from mnist_bench.parity._asking import Plan, Workers, ask_all
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._layers import Looking
from mnist_bench.parity._targets import Target, absence, check_host
from mnist_bench.parity._verify import Findings, parity_record, weights_of

PROGRAMS = ("torchscript", "torch-export", "aotinductor")
ENTRY, MOST_ENTRIES = b"PK\x01\x02", 10_000
"""What an entry of an archive's directory begins with; the directory is read here, outside of any worker's limits."""


def verify_file(
    path: Path,
    folder: Path,
    dataset: data.Dataset,
    plan: Plan,
    on_event: OnEvent,
    *,
    trusted: bool = False,
) -> ParityRecord:
    """Compare a foreign file with a run's float64 reference, in every runtime here that reads it, or in a command.

    Args:
        path: an ONNX or TorchScript file with the network's signature.
        folder: the folder of the run that it is compared with.
        dataset: the images.
        plan: which runtimes, in which configurations; its `precision` is what the file claims to be.
        on_event: is called before each configuration.
        trusted: load a file that is a program although it does not stand in the run's manifest.

    Raises:
        ModelRefused: it is no such file, has another signature, is a program that nobody vouches for, or its worker
            hung or died.
        ChildFailed: its worker used up its memory.
    """
    record, weights = store.steady(folder, lambda record: weights_of(folder, record))
    targets = targets_of_file(path, folder, record, plan, trusted=trusted)
    found = Findings(build_inputs(dataset, weights, probing=True))
    workers = Workers(plan.foreign_limits, shared=False)
    looking = Looking(weights, found.inputs, workers, plan)
    for target in targets:
        try:
            answers = list(ask_all(target, workers, found.inputs.groups, plan, on_event))
        except (Unreachable, ModelRefused) as error:
            ours = isinstance(error, (OutOfMemory, CannotRun))
            code = EnvironmentProblem.exit_code if ours else ModelRefused.exit_code
            raise ChildFailed(f"{path} in {target.name(plan.device)}: {error}", code) from error
        if failed := [answer.failure for answer in answers if answer.failure]:
            raise ModelRefused(f"{path} in {target.name(plan.device)}: {failed[0]}")
        found.look(target, found.add(target, answers), looking)
    return parity_record(record, dataset, found, weights)


def targets_of_file(path: Path, folder: Path, record: Record, plan: Plan, *, trusted: bool) -> list[Target]:
    """Return where a foreign file can be opened; for the arguments and the errors see `verify_file`."""
    content = _content(path)
    return _targets(path, content, _kind(path, content, folder, trusted), record, plan)


def _content(path: Path) -> bytes:
    """Read a file, once: what is looked at here is what is opened."""
    try:
        return read_regular(path, limits.MODEL_BYTES)
    except OSError as error:
        raise ModelRefused(f"{path} is no file ({error.strerror}): give an ONNX or TorchScript file") from error


def _targets(path: Path, content: bytes, kind: str, record: Record, plan: Plan) -> list[Target]:
    """Return where a file can be opened; refuse where a runtime that was named cannot, or where none can."""
    name = formats.file_name(kind, "fp32")  # engines may insist on a suffix
    # Bare weights are the only files that need the activation, and they are never foreign.
    model = runtimes.Model({name: content}, kind, plan.precision, record.config.activation, foreign=True)

    def on(host: hosts.Host, runtime: str) -> Target:
        launch = hosts.launch(host)
        return Target(runtime or launch.label, plan.precision, model, host, launch, sha256(content), len(content))

    found = []
    for host in plan.on:
        check_host(host)
        own = hosts.load(host.kind).RUNTIMES
        readers = [""] if hosts.answers_itself(host) else _readers(path, kind, own, plan)
        found += [on(host, runtime) for runtime in readers]
    return found


def _readers(path: Path, kind: str, usual: tuple[str, ...] | None, plan: Plan) -> list[str]:
    """Return the runtimes that can open a file."""
    able = [
        name
        for name in usual or runtimes.names()
        if kind == (module := runtimes.load(name)).FORMAT
        and plan.precision in module.PRECISIONS
        and not absence(name, plan.device)
    ]
    if unable := [name for name in plan.runtimes if name not in able] or ([] if able else ["no runtime here"]):
        raise BadInput(f"{', '.join(unable)} cannot read {path}, which is {kind} in {plan.precision}: name others")
    return [name for name in able if not plan.runtimes or name in plan.runtimes]


def _kind(path: Path, content: bytes, folder: Path, trusted: bool) -> str:
    """Tell a file's format from its content, without running anything of it."""
    kind = _archive_kind(path, content) if zipfile.is_zipfile(io.BytesIO(content)) else "onnx"
    if kind in PROGRAMS and not trusted:
        manifest = store.load(folder, Manifest)
        if sha256(content) not in {entry.sha256 for entry in (manifest.artifacts if manifest else ())}:
            raise ModelRefused(
                f"{path} is a program ({kind}) that is not in the manifest of {folder}: "
                f"loading it can do anything; --trust-code if you know where it is from"
            )
    return kind


def _archive_kind(path: Path, content: bytes) -> str:
    if (entries := content.count(ENTRY)) > MOST_ENTRIES:
        raise ModelRefused(f"{path} is an archive of {entries:,} files: no model has more than {MOST_ENTRIES:,}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        raise ModelRefused(f"{path} is a damaged archive ({error}): make it anew") from error
    for kind, mark in (("aotinductor", "/data/aotinductor/"), ("torch-export", "/models/"), ("torchscript", "/code/")):
        if any(mark in name for name in names):
            return kind
    raise ModelRefused(f"{path} is an archive, but none that torch writes: give an ONNX or TorchScript file")
