"""Programs of PyTorch, loaded because somebody vouches for them: what they answer, and their graph as ONNX."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.kinds import Activation
from mnist_bench.core.signature import AnswerType, Signature
from mnist_bench.importers import _network, _recognise
from mnist_bench.importers import onnx as of_onnx
from mnist_bench.importers._contract import Ending, Found, Request
from mnist_bench.runtimes import _torch

if TYPE_CHECKING:
    import torch

SHAPES = ((1, 28, 28), (784,), (28, 28), (28, 28, 1))
"""What an image may look like, in the order in which it is tried: programs do not tell."""
EXAMPLES = 2
"""With an example of one image, exporters take the batch size for a constant."""
Call = Callable[["torch.Tensor"], Any]
ACTIVATIONS: tuple[Activation, ...] = ("relu", "sigmoid")
ANSWERS: dict[str, AnswerType] = {"float16": "float16", "float64": "float64"}


class Answering(NamedTuple):
    """What a program takes, and what it gave random images: float64 (n, classes); see `Found` for its precision."""

    signature: Signature
    images: NDArray[np.float32]
    values: NDArray[np.float64]
    dtype: str
    precision: str


def answering(call: Call, signatures: "tuple[Signature, ...]") -> Answering:
    """Ask a program about random images, in one shape after the other until it answers.

    Raises:
        ModelRefused: it answers none of them, or not with one tensor (n, classes).
    """
    import torch

    why = ""
    for signature in signatures:
        images = _network.random_images(signature.batch or EXAMPLES)
        adapted = torch.from_numpy(signature.adapt(images))
        try:
            with torch.inference_mode():
                answer = call(adapted)
        except Exception as error:  # noqa: BLE001 whatever a program raises
            why = why or text.reason(str(error).strip().rpartition("\n")[2] or type(error).__name__)
            continue
        values, dtype = _one_tensor(answer, len(images)), _torch.name_of(answer.dtype)
        precision = _torch.precision_of(_torch.products(call, adapted), dtype)
        return Answering(signature, images, values, dtype, precision)
    shapes = " or ".join(dict.fromkeys(f"(n, {', '.join(map(str, one.shape))})" for one in signatures))
    raise ModelRefused(f"it answers no images of shape {shapes.replace(',)', ')')}: {why}")


def _one_tensor(answer: Any, images: int) -> NDArray[np.float64]:
    """Return an answer of one tensor as an array; refuse any other."""
    import torch

    if isinstance(answer, (tuple, list, dict)):
        kind = type(answer).__name__
        raise ModelRefused(f"it answers a {kind} of {len(answer)}, {_shapes(answer)}: return the logits alone")
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != images:  # noqa: PLR2004
        raise ModelRefused(f"it answers {_shapes([answer])} to {images} images: logits ({images}, classes) are needed")
    return answer.to(torch.float64).numpy()


def _shapes(values: Any) -> str:
    import torch

    parts = values.values() if isinstance(values, dict) else values
    tensors = [
        f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape)}"
        if isinstance(one, torch.Tensor)
        else type(one).__name__
        for one in parts
    ]
    return ", ".join(map(text.line, tensors[:8]))


def array_of(tensor: "torch.Tensor") -> NDArray[Any]:
    """Return a tensor as an array; half precision in float32, which holds all its numbers."""
    import torch

    dense = tensor.detach().cpu()
    return (dense.float() if dense.dtype in (torch.float16, torch.bfloat16) else dense).contiguous().numpy()


def found_program(
    request: Request, kind: str, call: Call, signatures: tuple[Signature, ...], tensors: "Mapping[str, torch.Tensor]"
) -> tuple[Found, Answering]:
    """Return what a program is: the specified network, where it holds its weights and answers as they do.

    Args:
        request: where files are written.
        kind: of the file.
        call: the program.
        signatures: what it may take, to be tried in this order.
        tensors: what it holds.
    """
    answers = answering(call, signatures)
    found = Found(
        kind=kind,
        specified=False,
        ending="other",
        signature=replace(answers.signature, answers=ANSWERS.get(answers.dtype, "float32")),
        precision=answers.precision,
        classes=answers.values.shape[1],
        producer="pytorch",
    )
    matched = _matched(answers, {name: array_of(one) for name, one in tensors.items() if one.is_floating_point()})
    if matched is None:
        return found, answers
    arrays, activation, ending, notes = matched
    weights_file = _network.write_weights(request, arrays)
    return replace(
        found, specified=True, activation=activation, ending=ending, notes=notes, weights_file=weights_file
    ), answers


def _matched(
    answers: Answering, arrays: Mapping[str, NDArray[Any]]
) -> "tuple[dict[str, NDArray[Any]], Activation, Ending, tuple[str, ...]] | None":
    """Find the specified network's weights, the activation with which they answer so, and what the answers are."""
    shaped = _network.by_shape(arrays)
    for activation in ACTIVATIONS if shaped else ():
        assert shaped
        expected = _network.logits(shaped[0], activation, answers.images)
        precision = _torch.NAMES.get(answers.dtype, "")
        tolerance = _recognise.TOLERANCES.get(precision, _recognise.TOLERANCE)
        if ending := _network.what_answers(answers.values, expected, tolerance):
            return shaped[0], activation, ending, shaped[1]
    return None


def with_graph(request: Request, found: Found, export: Callable[[], bytes]) -> Found:
    """Add a program's graph as ONNX, where PyTorch can write it, with what that tells of it.

    Raises:
        ModelRefused: it cannot, and the program is not the specified network, of which the weights are enough.
    """
    try:
        content = export()
        graph = of_onnx.examined(content, request)
    except Exception as error:
        why = text.reason(str(error).strip().partition("\n")[0] or type(error).__name__)
        if found.specified:
            return replace(found, notes=(*found.notes, f"it has no graph: {why}"))
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(
            f"PyTorch cannot write it as ONNX ({why}): export the model to ONNX where it was made"
        ) from error
    weights_file = found.weights_file or graph.weights_file
    return replace(
        graph,
        kind=found.kind,
        specified=found.specified or graph.specified,
        activation=found.activation or graph.activation,
        producer=found.producer,
        precision=found.precision,
        notes=(*found.notes, *graph.notes),
        weights_file=weights_file,
    )


def example(answers: Answering) -> "torch.Tensor":
    """Return images to trace with, as a program takes them."""
    import torch

    return torch.from_numpy(answers.signature.adapt(answers.images))
