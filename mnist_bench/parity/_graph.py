"""The reference and the certificate of any network that is given as an ONNX graph.

Every image is asked alone, or in a batch of the size that the model insists on: shapes are known then, and what a graph
computes with them is constant. The derivation, with every assumption, stands in `docs/certificate.md`: what holds of
dense layers holds of convolutions, as long as a runtime computes them as sums of products, in whatever order. One that
takes Winograd's or a Fourier transform for it is not covered.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_bench.core import text
from mnist_bench.core.errors import MnistBenchError, ModelRefused
from mnist_bench.core.signature import OUR_SHAPE, Signature
from mnist_bench.parity._certificate import LARGEST, Bounds, compared
from mnist_bench.parity._graph_operators import apply
from mnist_bench.parity._graph_step import ONNX, Step, as_value
from mnist_bench.parity._graph_values import UNASKED, Doubts, Value, zero_or
from mnist_bench.parity._graph_windows import patch_elements
from mnist_bench.parity._reference import Array

OLDEST_OPSET = 7
"""Before, operators broadcast in another way; no runtime promises to open such files."""

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)

MATRIX = 2
STANDARD = ONNX | {"ai.onnx.ml"}

ELEMENTS = 2**21
"""Numbers of the largest array that is worked on at once, 16 MiB, unless one image alone needs more."""


@dataclass(frozen=True)
class Graph:
    """A network as an ONNX graph, with its float parameters held exactly in float64.

    `uncovered` names the nodes that the certificate does not cover, in order: where there are any that the answer
    depends on, no image is certified. `random` names those that make answers differ from one time to the next: then the
    graph has no reference. The other fields are how the graph is evaluated.
    """

    signature: Signature
    uncovered: tuple[str, ...]
    random: tuple[str, ...]
    source: str
    target: str
    constants: Mapping[str, Value] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    images_at_once: int

    @classmethod
    def of(cls, content: bytes, signature: Signature) -> "Graph":
        """Read an ONNX file that is known to be valid and self-contained.

        It is evaluated once for a black image, by NumPy and by ONNX's reference: a file from elsewhere belongs in a
        process with limits.

        Raises:
            ModelRefused: it has no one answer to an image, or it has operators that nobody here can evaluate.
        """
        with _refusing():
            graph = _read(content, signature)
            return graph if graph.random else _folded(graph)

    def logits(self, images: NDArray[np.float32]) -> Array:
        """Evaluate the network in float64.

        Args:
            images: float32 (n, 1, 28, 28) in [0, 1], which are adapted to the model's signature first.

        Returns:
            float64 (n, classes).
        """
        with _refusing():
            rows = [self._rows(self._answer(chunk, UNASKED).values, len(chunk)) for chunk in self._chunks(images)]
        return np.concatenate(rows)[: len(images)]

    def rounded(self, rounding: Callable[[Array], Array], *, matrices: bool = False) -> "Graph":
        """Return the graph with its constants of real numbers rounded: vectors and matrices, or matrices alone."""
        rank = MATRIX if matrices else 1

        def changed(value: Value) -> Value:
            real = value.values.dtype == np.float64 and value.values.ndim > rank  # the first axis is that of images
            return replace(value, values=rounding(value.values)) if real else value

        return replace(self, constants={name: changed(value) for name, value in self.constants.items()})

    def certify(self, images: NDArray[np.float32]) -> Bounds:
        """Bound every logit and every difference of logits of some images, float32 (n, 1, 28, 28).

        Returns:
            The bounds; infinite where nothing is known, and then nothing is certified.
        """
        with _refusing():
            pieces = [self._bounds(self._answer(chunk, frozenset()), len(chunk)) for chunk in self._chunks(images)]
        return reduce(Bounds.then, pieces).first(len(images))

    def _chunks(self, images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield images in parts that fit into memory; a black one where there are none."""
        if self.random:
            raise ModelRefused(f"its answers are random ({', '.join(self.random)}): export it in evaluation mode")
        for start in range(0, max(len(images), 1), self.images_at_once):
            part = images[start : start + self.images_at_once]
            yield part if len(part) else np.zeros((1, *OUR_SHAPE), np.float32)

    def _answer(self, images: NDArray[np.float32], doubts: Doubts) -> Value:
        """Evaluate the graph for images that fit into memory."""
        for name, value in self._values(images, doubts):
            if name == self.target:
                return value
        raise ModelRefused(f"it has no way from its input to its output {self.target!r}")

    def _values(self, images: NDArray[np.float32], doubts: Doubts) -> Iterator[tuple[str, Value]]:
        """Yield the values of the graph by their names, in order; each is held as long as another needs it."""
        last_use = {name: step.index for step in self.steps for name in step.node.input}
        values = {self.source: self._adapted(images, doubts)}
        for step in self.steps:
            inputs = [self._operand(name, values) for name in step.node.input]
            for name in step.node.input:
                if last_use[name] == step.index:
                    values.pop(name, None)
            for name, value in zip(filter(None, step.node.output), apply(step, inputs), strict=False):
                values[name] = value
                yield name, value

    def _operand(self, name: str, values: Mapping[str, Value]) -> Value | None:
        """Return what a node reads; nothing where an operand is left out."""
        if not name:
            return None
        return values[name] if name in values else self.constants[name]

    def _adapted(self, images: NDArray[np.float32], doubts: Doubts) -> Value:
        """Return images as the model wants them, in batches of the size that it wants: (batches, batch, …)."""
        batch = self.signature.batch or 1
        missing = -len(images) % batch
        filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.float32)]) if missing else images
        adapted = self.signature.adapt(filled)
        return as_value(adapted.reshape(-1, batch, *adapted.shape[1:]), doubts=doubts)

    def _rows(self, answer: NDArray[Any], count: int) -> Array:
        """Return the answers to so many images, (n, classes), without those to what filled the last batch."""
        batch = self.signature.batch or 1
        rows = answer.astype(np.float64).reshape(len(answer), -1)
        if rows.shape[1] % batch:
            raise ModelRefused(f"its output {self.target!r} of {rows.shape[1]} numbers is none for {batch} images")
        return rows.reshape(-1, rows.shape[1] // batch)[:count]

    def _bounds(self, answer: Value, count: int) -> Bounds:
        """Compare the classes of each image; through the weights of the last layer where that is a dense one."""
        logits = self._rows(answer.values, count)
        errors, rounding = np.full_like(logits, np.inf), np.zeros_like(logits)
        shared, weight = np.zeros_like(logits), np.eye(logits.shape[1])
        if not answer.doubts:
            errors = shared = self._rows(zero_or(answer.errors, answer.values), count)
            if answer.last is not None and answer.sum and len(answer.last.weight) == logits.shape[1]:
                rounding, weight = self._rows(answer.sum.rounding, count), answer.last.weight
                shared = answer.last.errors.reshape(-1, weight.shape[1])[:count]
        finite = np.asarray((np.abs(logits) + errors < LARGEST).all(1) & np.isfinite(shared).all(1), np.bool_)
        rounding, shared = (np.where(finite[:, None], part, 0.0) for part in (rounding, shared))
        found = compared(logits, errors, rounding, shared, weight, finite)
        return replace(found, margin_bounds=np.where(finite, found.margin_bounds, np.inf))


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a parser, ONNX's reference or NumPy raises of a graph into a refusal in one line."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is certified nowhere
            yield
    except (MemoryError, MnistBenchError):
        raise
    except Exception as error:
        why = text.reason(text.of_error(error))
        raise ModelRefused(f"its graph cannot be evaluated here ({why}): export it with standard operators") from error


def _read(content: bytes, signature: Signature) -> Graph:
    """Parse a file; keep what its answer depends on."""
    import onnx
    from onnx.inliner import inline_local_functions

    model = onnx.load_model_from_string(content)
    if model.functions:
        model = inline_local_functions(model)
    opsets = {entry.domain if entry.domain not in ONNX else "": entry.version for entry in model.opset_import}
    if opsets.get("", OLDEST_OPSET) < OLDEST_OPSET:
        raise ModelRefused(f"it has opset {opsets['']}: convert it to {OLDEST_OPSET} or later")
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelRefused("it keeps sparse weights: export it with dense ones")
    constants = {one.name: as_value(onnx.numpy_helper.to_array(one)[None], constant=True) for one in graph.initializer}
    inputs = [one.name for one in graph.input if one.name not in constants]
    if len(inputs) != 1:
        named = text.reason(", ".join(inputs))
        raise ModelRefused(f"it has {len(inputs)} inputs ({named}): one, the image, is needed")
    target = signature.output or graph.output[0].name
    steps = _needed([Step(index, node, opsets) for index, node in enumerate(graph.node)], target)
    _check_known(steps)
    random = tuple(step.label for step in steps if _is_random(step, constants))
    return Graph(signature, (), random, inputs[0], target, constants, steps, signature.batch or 1)


def _needed(steps: Sequence[Step], target: str) -> tuple[Step, ...]:
    """Return the nodes that an output depends on; refuse those that run parts of the graph as the data say."""
    from onnx import AttributeProto

    wanted, needed = {target}, []
    for step in reversed(steps):
        if wanted.isdisjoint(step.node.output):
            continue
        wanted.update(step.node.input)
        needed.append(step)
        if any(one.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS} for one in step.node.attribute):
            raise ModelRefused(f"its {step.label} runs parts of the graph as the data say: export it without")
        if step.operator == "BatchNormalization" and step.attributes.get("training_mode"):
            raise ModelRefused(f"its {step.label} is in training mode, where images of a batch change each other")
    return tuple(reversed(needed))


def _check_known(steps: Sequence[Step]) -> None:
    """Raise ModelRefused where an operator is not of the standard, which alone says what it computes."""
    unknown = sorted({step.operator for step in steps if step.node.domain not in STANDARD})
    if unknown:
        few = text.reason(", ".join(unknown))
        raise ModelRefused(
            f"it has operators that are not ONNX's own ({few}), so nothing here can tell what is right: export it with "
            f"standard ones, or compare it with a run (verify --model)"
        )


def _is_random(step: Step, constants: Mapping[str, Value]) -> bool:
    """Tell whether a node's output differs from one time to the next."""
    if step.operator in RANDOM:
        return True
    if step.operator != "Dropout" or len(step.node.input) < 3 or not step.node.input[2]:  # noqa: PLR2004
        return False
    training = constants.get(step.node.input[2])
    return training is None or bool(training.values.any())


def _folded(graph: Graph) -> Graph:
    """Evaluate a black image; fold what is the same for all, and find out how many images fit into memory."""
    images = np.zeros((graph.signature.batch or 1, *OUR_SHAPE), np.float32)
    constants, elements = dict(graph.constants), 1
    answer: Value | None = None
    sources = {name: step for step in graph.steps for name in step.node.output if name}
    for name, value in graph._values(images, frozenset()):
        step = sources[name]
        if value.constant:
            constants[name] = value
        elements = max(elements, value.values[0].size)
        if step.operator == "Conv" and (weight := constants.get(step.node.input[1])):
            elements = max(elements, patch_elements(step, weight, value))
        answer = value if name == graph.target else answer
    if answer is None or answer.constant:
        raise ModelRefused(f"its output {graph.target!r} does not depend on the image: name another")
    steps = tuple(step for step in graph.steps if not all(name in constants for name in step.node.output if name))
    found = replace(
        graph,
        uncovered=tuple(said for _, said in sorted(answer.doubts)),
        constants=constants,
        steps=steps,
        images_at_once=max(ELEMENTS // elements, 1) * (graph.signature.batch or 1),
    )
    found.logits(images)  # that what is left of it still has all that it needs
    return found
