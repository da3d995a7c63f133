"""Files from elsewhere: looked at before they are loaded, and run in a process with limits."""

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mnist_bench import data, runtimes, store
from mnist_bench.core import child
from mnist_bench.core.digest import sha256_of_file
from mnist_bench.core.errors import BadInput, ModelRefused
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Configuration, Manifest, ParityRecord, Record, Saturation
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._verify import Answer, Plan, Target, absence, answer_all, compared, parity_record, weights_of

TIME_LIMIT_S = 600
MEMORY_LIMIT_BYTES = 4 * 1024**3
PROGRAMS = ("torchscript", "torch-export", "aotinductor")
SIGNATURE = [[1, 28, 28], [10]]  # without the batch
FLOAT = 1  # onnx.TensorProto.FLOAT


def verify_file(
    path: Path,
    folder: Path,
    record: Record,
    dataset: data.Dataset,
    plan: Plan,
    *,
    precision: Precision = "fp32",
    trusted: bool = False,
) -> ParityRecord:
    """Compare a foreign file with a run's float64 reference, in every runtime here that reads it.

    Args:
        path: an ONNX or TorchScript file with the network's signature.
        folder: the folder of the run that it is compared with.
        record: that run's record.
        dataset: the images.
        plan: which runtimes, in which configurations.
        precision: what the file claims to be.
        trusted: load a file that is a program although it does not stand in the run's manifest.

    Raises:
        ModelRefused: it is no such file, has another signature, or is a program that nobody vouches for.
        ChildFailed: its process hung, died or used up its memory.
    """
    weights = weights_of(folder, record)
    if not path.is_file():
        raise ModelRefused(f"{path} is no file: give an ONNX or TorchScript file")
    kind = _kind(path, folder, trusted)
    names = _readers(path, kind, precision, plan)
    inputs = build_inputs(dataset, weights)
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch, "images.npy"), inputs.images)
        answers = [answer for name in names for answer in _ask(path, name, kind, precision, plan, Path(scratch))]
        results, saturation = compared(inputs, answers)
    return parity_record(record, dataset, inputs, results, [], saturation)


def _readers(path: Path, kind: str, precision: Precision, plan: Plan) -> list[str]:
    """Return the runtimes that can open a file; refuse where one that was named cannot, or where none can."""
    able = [
        name
        for name in runtimes.names()
        if kind == (module := runtimes.load(name)).FORMAT
        and precision in module.PRECISIONS
        and not absence(name, module, plan.device)
    ]
    if unable := [name for name in plan.runtimes if name not in able] or ([] if able else ["no runtime here"]):
        raise BadInput(f"{', '.join(unable)} cannot read {path}, which is {kind} in {precision}: name others")
    return [name for name in able if not plan.runtimes or name in plan.runtimes]


def _kind(path: Path, folder: Path, trusted: bool) -> str:
    """Tell a file's format from its content, without running anything of it."""
    kind = _archive_kind(path) if zipfile.is_zipfile(path) else "onnx"
    if kind in PROGRAMS and not trusted:
        manifest = store.load(folder, Manifest)
        if sha256_of_file(path) not in {entry.sha256 for entry in (manifest.artifacts if manifest else ())}:
            raise ModelRefused(
                f"{path} is a program ({kind}) that is not in the manifest of {folder}: "
                f"loading it can do anything; --trust-code if you know where it is from"
            )
    return kind


def _archive_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ModelRefused(f"{path} is a damaged archive ({error}): make it anew") from error
    for kind, mark in (("aotinductor", "/data/aotinductor/"), ("torch-export", "/models/"), ("torchscript", "/code/")):
        if any(mark in name for name in names):
            return kind
    raise ModelRefused(f"{path} is an archive, but none that torch writes: give an ONNX or TorchScript file")


def _ask(path: Path, name: str, kind: str, precision: Precision, plan: Plan, scratch: Path) -> list[Answer]:
    """Let a process of its own open the file and answer; read its logits back."""
    argument = {"path": str(path.resolve()), "runtime": name, "kind": kind, "precision": precision}
    argument |= {"plan": msgspec.to_builtins(plan), "scratch": str(scratch)}
    try:
        found = child.call(
            "mnist_bench.parity._foreign:serve",
            argument,
            time_limit_s=TIME_LIMIT_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
            died_exit_code=ModelRefused.exit_code,
            folder=scratch,
        )
    except child.ChildFailed as error:
        raise child.ChildFailed(f"{path} in {name}: {error}", error.exit_code) from error
    if failed := [answer["failure"] for answer in found if answer["failure"]]:
        raise ModelRefused(f"{path} in {name}: {failed[0]}")
    return [
        Answer(
            msgspec.convert(answer["configuration"], Configuration),
            np.load(scratch / answer["file"]) if answer["file"] else None,
            answer["precision"],
            answer["failure"],
            msgspec.convert(answer["saturation"], Saturation | None),
        )
        for answer in found
    ]


def serve(
    path: str, runtime: str, kind: str, precision: Precision, scratch: str, plan: dict[str, Any]
) -> list[dict[str, Any]]:
    """Check and run a file: called in a process of its own."""
    file = Path(path)
    batch = _check_onnx(file) if kind == "onnx" else None
    # Bare weights are the only files that need the activation, and they are never foreign.
    target = Target(runtime, runtimes.Model(file, kind, precision, "relu", batch))
    images = np.load(Path(scratch, "images.npy"))
    found = []
    for number, answer in enumerate(answer_all(target, images, msgspec.convert(plan, Plan), lambda _: None)):
        name = f"{runtime}-{number}.npy" if answer.logits is not None else None
        if name and answer.logits is not None:
            np.save(Path(scratch, name), answer.logits)
        configuration = msgspec.to_builtins(answer.configuration)
        facts = {"precision": answer.precision, "failure": answer.failure}
        saturation = msgspec.to_builtins(answer.saturation)
        found.append({"configuration": configuration, "file": name, "saturation": saturation, **facts})
    return found


def _check_onnx(path: Path) -> int | None:
    """Refuse a file that is no ONNX model of this signature; return its batch size, where fixed."""
    import onnx

    with _refused(path):
        model = onnx.load_model_from_string(path.read_bytes())
    if _external(model):
        raise ModelRefused(f"{path} keeps its weights in other files: export it in one (external_data=False)")
    with _refused(path):
        onnx.checker.check_model(model, full_check=True)
    return _check_signature(path, model.graph)


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn whatever a parser or a checker raises into a refusal in one line."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelRefused(f"{path} is not a valid ONNX model: {first[0]}") from error


def _external(message: Any) -> bool:
    """Tell whether any tensor, however deep within a protobuf message, is kept in another file."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        return bool(message.data_location == onnx.TensorProto.EXTERNAL)
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if hasattr(value, "__len__") else [value]
            if any(_external(part) for part in parts):
                return True
    return False


def _check_signature(path: Path, graph: Any) -> int | None:
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    shapes = [[_size(size) for size in value.type.tensor_type.shape.dim] for value in (*inputs, *graph.output)]
    kinds = {value.type.tensor_type.elem_type for value in (*inputs, *graph.output)}
    sizes = [shape[0] for shape in shapes if shape and shape[0] is not None]
    if (
        any(size < 1 for size in sizes)
        or len(inputs) != 1
        or len(graph.output) != 1
        or kinds != {FLOAT}
        or [shape[1:] for shape in shapes] != SIGNATURE
    ):
        found = ", ".join(
            f"{value.name} {shape}" for value, shape in zip((*inputs, *graph.output), shapes, strict=True)
        )
        raise ModelRefused(
            f"{path} has another signature ({found}): float32 (n, 1, 28, 28) to float32 (n, 10) is needed"
        )
    return shapes[0][0]


def _size(dimension: Any) -> int | None:
    return dimension.dim_value if dimension.HasField("dim_value") else None
