"""From a trained network to a file for deployment.

A format is a module with `FILE_NAME`, the `PRECISIONS` that it can hold, `why_unavailable()` (a `Skipped`, or None)
and `export(request, path)`, which writes a file, or a folder of files, there and returns its `Facts`. One with
`OF_GRAPHS` can write an imported network, of which there is an ONNX graph alone. Each export
runs in a process of its own: it starts from the same state every time, so that equal runs give equal bytes; one that
crashes does not stop the others. A format with `WANTS_REFERENCE` brings the reference's answers along, which whoever
exports hands over: they are made in a room above this one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from mnist_bench import store
from mnist_bench.core import child, plugins
from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.errors import BadInput, EnvironmentProblem
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Artifact, Checkpoint, Manifest, Record
from mnist_bench.formats._messages import ExportRequest, Facts, Reference

TIME_LIMIT_S = 600  # AOTInductor compiles for a minute or two on two cores

__all__ = ["LOWER", "Facts", "Reference", "export", "file_name", "names", "precisions", "writes"]


LOWER = ("fp16", "int8", "int8-dynamic")
"""Precisions that an imported graph keeps: its numbers are rounded already."""
OPEN = {"FILE_NAME": "model.unknown", "PRECISIONS": ("fp32",)}
"""Other distributions may add formats; see `core.plugins`."""


def names() -> tuple[str, ...]:
    """Return the names of all formats."""
    import mnist_bench.formats as folder

    return plugins.names(folder)


def _module(name: str) -> Any:
    import mnist_bench.formats as folder

    return plugins.load(folder, name)


def precisions(name: str) -> tuple[Precision, ...]:
    """Return the precisions that a format can hold.

    Raises:
        BadInput: there is no such format.
    """
    found: tuple[Precision, ...] = _module(name).PRECISIONS
    return found


def file_name(name: str, precision: Precision) -> str:
    """Return what a format's file is called in a run folder: `model.onnx`, `model-fp16.onnx` and so on."""
    stem, dot, suffix = _module(name).FILE_NAME.partition(".")
    return f"{stem}{'' if precision == 'fp32' else f'-{precision}'}{dot}{suffix}"


def export(
    folder: Path,
    record: Record,
    name: str,
    *,
    precision: Precision = "fp32",
    opset: int | None = None,
    device: str = "cpu",
    data_dir: Path | None = None,
    reference: Callable[[], Reference] | None = None,
) -> Artifact | Skipped:
    """Export a run's network into its folder and enter the file into the manifest.

    Args:
        folder: the run's folder.
        record: its record; it must hold a checkpoint.
        name: the format.
        precision: one of `precisions(name)`.
        opset: the ONNX opset; None for the exporter's default.
        device: `cpu` or `cuda:N`; what AOTInductor compiles for.
        data_dir: where the dataset for calibration is looked for first.
        reference: makes the reference's answers; called for a format that wants them, and skipped without.

    Raises:
        BadInput: the format cannot hold the precision, or the run has no weights yet.
        ChildFailed: the exporter failed; nothing is left of its file, and an earlier one stays as it was.
        OutputUnwritable: the folder cannot be written.
    """
    checkpoint = _exportable(folder, record, name, precision)
    if skipped := _why_not(name, record, reference) or _why_not_in(precision, name, record):
        return skipped
    where = str(data_dir) if data_dir else None
    request = ExportRequest(
        folder=str(folder), name=name, precision=precision, opset=opset, device=device, data_dir=where
    )
    with store.making(folder) as place:
        made = place / file_name(name, precision)
        artifact = _made(made, folder, replace(request, reference=_brought(name, place, reference)), record, checkpoint)
        store.enter(folder, record, made, artifact)
    return artifact


def writes(name: str, record: Record) -> bool:
    """Tell whether a format can hold a run's network: an imported graph is written by some alone."""
    return not record.is_graph or bool(getattr(_module(name), "OF_GRAPHS", False))


def _why_not(name: str, record: Record, reference: Callable[[], Reference] | None) -> Skipped | None:
    """Return why a format cannot be written here, or None."""
    if not writes(name, record):
        reason = "it is written from the specified network, and this run is an imported graph"
        return Skipped(name, reason, "use onnx, ort-fixed or ort-runtime")
    if skipped := _module(name).why_unavailable():
        return Skipped(name, skipped.reason, skipped.remedy)
    if _wants_reference(name) and reference is None:
        return Skipped(name, "it was given no reference to bring along", f"mnist-bench export --format {name}")
    return None


def _why_not_in(precision: Precision, name: str, record: Record) -> Skipped | None:
    """Return why an imported graph is not written in a precision, or None: what is lowered already stays as it is."""
    own = _own_precision(record)
    if own in (None, precision):
        return None
    said = f"the graph that was imported is {own}, and stays so"
    other = name if own in precisions(name) else "onnx"
    return Skipped(name, said, f"mnist-bench export --format {other} --precision {own}")


def _own_precision(record: Record) -> str | None:
    """Return the lower precision of an imported graph; None where it is none, or not known."""
    computes = record.imported.precision if record.imported and record.is_graph else None
    return computes if computes in LOWER else None


def _wants_reference(name: str) -> bool:
    return bool(getattr(_module(name), "WANTS_REFERENCE", False))


def _brought(name: str, place: Path, reference: Callable[[], Reference] | None) -> str | None:
    """Write the reference's answers for an exporter that wants them; return where."""
    if reference is None or not _wants_reference(name):
        return None
    path = place / "reference.safetensors"
    with store.explained(path):
        path.write_bytes(store.to_safetensors(reference().to_arrays()))
    return str(path)


def _exportable(folder: Path, record: Record, name: str, precision: Precision) -> Checkpoint:
    """Return the checkpoint to export; raise BadInput where there is none or the format cannot hold the precision."""
    if precision not in precisions(name):
        raise BadInput(f"{name} cannot hold {precision}: choose from {', '.join(precisions(name))}")
    if record.checkpoint is None:
        raise BadInput(f"run {record.name!r} has no weights yet: train it first")
    store.load(folder, Manifest)  # a damaged one is refused before anything is made
    return record.checkpoint


def _made(made: Path, folder: Path, request: ExportRequest, record: Record, checkpoint: Checkpoint) -> Artifact:
    """Let a process of its own make the file, and describe it."""
    began = time.perf_counter()
    try:
        facts = child.call(
            "mnist_bench.formats._request:serve",
            replace(request, path=str(made)),
            Facts,
            time_limit_s=TIME_LIMIT_S,
            died_exit_code=EnvironmentProblem.exit_code,
        )
    except child.ChildFailed as error:
        where = "" if error.exit_code == BadInput.exit_code else f"{folder / made.name} could not be made: "
        raise child.ChildFailed(f"{where}{error}", error.exit_code) from error
    with store.explained(folder / made.name):
        described = _described(made, request, checkpoint, facts, time.perf_counter() - began)
    return replace(described, signature=record.signature if record.is_graph else None)


def _described(made: Path, request: ExportRequest, checkpoint: Checkpoint, facts: Facts, export_s: float) -> Artifact:
    files = store.saved_files(made) if made.is_dir() else ()
    return Artifact(
        name=made.name,
        format=request.name,
        precision=request.precision,
        device=request.device,
        sha256=store.digest_of_list(files) if files else sha256_of_file(made),
        size_bytes=sum(one.size_bytes for one in files) if files else made.stat().st_size,
        files=files,
        export_s=export_s,
        weights_sha256=checkpoint.weights.sha256,
        **msgspec.structs.asdict(facts),
    )
