"""A model file from elsewhere becomes a run: what it wants is found out by trying, and all of that is saved."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mnist_bench import data, environment, formats, hosts, importers, parity, runtimes, store, training
from mnist_bench.core import child, scratch
from mnist_bench.core.architecture import PARAMETERS
from mnist_bench.core.dataset_names import shown
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import BadInput, ModelRefused
from mnist_bench.core.events import OnEvent, Stop
from mnist_bench.core.kinds import Activation, Precision
from mnist_bench.core.signature import OURS, Orientation, Pixels, Signature
from mnist_bench.core.types import Artifact, Checkpoint, FinalMeasurement, Imported, Record, TrainConfig
from mnist_bench.importers import Found

if TYPE_CHECKING:
    from torch import nn

ENGINE = "imported"
"""What stands in a record's configuration for the engine: nothing was trained here."""
FORMATS = {"ort": "ort-fixed"}
"""What kinds of files are called in a manifest, where that is another word."""
MODULE = "module"
"""The kind of a network that was trained here from a user's own code."""
TRIED = 1_000
"""Test images that ways to read an image are tried on: 2 points of accuracy are 2 standard errors at 90%."""
CLEARLY = 0.02
"""By so much another way has to answer more of them correctly before it is taken for what the model wants."""
SIGMAS = 3.0
CHUNK = 5_000  # images evaluated at a time
PIXELS: tuple[Pixels, ...] = ("unit", "bytes", "normalised", "inverted")
ORIENTATIONS: tuple[Orientation, ...] = ("rows", "columns")
EITHER: tuple[Activation, ...] = ("relu", "sigmoid")
LIMITS = hosts.Limits(120.0, 4 * 1024**3)
"""Of the process that reads a file: torch alone takes a gigabyte."""
EXPORT_S = 600
COMPARES = "what it answers to an image depends on the others of its batch"
LOW = 0.5
"""Below this accuracy the record says that something does not fit."""


@dataclass(frozen=True)
class Wanted:
    """What to import: a file, and the dataset that it answers.

    `output`, `activation` and `pixels` are what the user told; `trusted`: load a file that is a program.
    """

    path: Path
    dataset: data.Dataset
    output: str = ""
    activation: Activation | None = None
    pixels: Pixels | None = None
    trusted: bool = False


@dataclass(frozen=True)
class Network:
    """What was found: the network, how it reads an image, and what was said about that.

    `content` is what a run keeps of it: its weights, or its graph.
    """

    reference: parity.Reference
    activation: Activation
    signature: Signature
    content: bytes
    specified: bool
    notes: tuple[str, ...]


def bring(wanted: Wanted, folder: Path, tell: Callable[[str], object]) -> Record:
    """Import a file into a run's folder, which the caller has locked, in place of what it held.

    `tell` is called with what is done next: a large network takes minutes to answer all images.

    Raises:
        ModelRefused: it is no model that can be imported; the message says what it is, and the way out.
        BadInput: its classes are not the dataset's, or an option does not fit it.
        ChildFailed: reading it took too long, or too much memory.
    """
    given = content = importers.content(wanted.path)
    tell(f"reading {wanted.path} …")
    with scratch.folder() as place:
        found = importers.read(
            wanted.path,
            content,
            place,
            trusted=wanted.trusted,
            output=wanted.output,
            classes=len(wanted.dataset.classes),
            limits=LIMITS,
        )
        tell("finding out what images it wants …")
        try:
            network = _network(wanted, found, place)
        except ModelRefused as error:
            raise ModelRefused(f"{wanted.path}: {error}") from error
        if found.kind == "onnx" and found.graph_file:  # but for what it answers besides, the very file
            content = (place / found.graph_file).read_bytes()
    tell(f"asking it about {len(wanted.dataset.train) + len(wanted.dataset.test):,} images …")
    try:
        record = _record(wanted, folder.name, found, network, given)
    except ModelRefused as error:
        raise ModelRefused(f"{wanted.path}: {error}") from error
    store.save_imported(folder, record, network.content)
    if (format_ := FORMATS.get(found.kind, found.kind)) in formats.names():
        _enter(folder, record, format_, found.precision, content)
    return record


def build(source: str, config: TrainConfig, dataset: data.Dataset) -> "nn.Module":
    """Return a network of the user's own to train, once it is known that it can be exported.

    Raises:
        BadInput: there is no such network, or it cannot be exported.
    """
    network = training.build_network(source, len(dataset.classes), config.seed)
    _exported(source, len(dataset.classes), network)
    return network


def train(
    network: "nn.Module",
    source: str,
    config: TrainConfig,
    dataset: data.Dataset,
    folder: Path,
    on_event: OnEvent,
    stop: Stop,
) -> Record:
    """Train a network of the user's own, and hold it as its graph; the folder is locked by the caller.

    Args:
        network: from `build`.
        source: what it was built from.
        config: how; its engine is `eager`.
        dataset: the data that it names.
        folder: the run's folder.
        on_event: is called as training goes on.
        stop: is asked after every step.

    Raises:
        Interrupted: `stop` asked for it; nothing is saved.
        TrainingDiverged: the loss is no longer finite.
    """
    started = training.new_record(folder.name, config, dataset)
    done = training.train_own(network, started, dataset, on_event, stop)
    graph = _exported(source, len(dataset.classes), done.network)
    record = replace(
        started,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        epochs=done.epochs,
        final=done.final,
        checkpoint=Checkpoint(weights=store.imported_file(graph, "onnx")),
        imported=_of_module(source, graph, started.environment.libraries["torch"]),
    )
    store.save_imported(folder, record, graph)
    _enter(folder, record, "onnx", "fp32", graph)
    return record


def _of_module(source: str, graph: bytes, version: str) -> Imported:
    return Imported(
        source=source,
        sha256=sha256(graph),
        size_bytes=len(graph),
        kind=MODULE,
        producer=f"torch {version}",
        precision="fp32",
        specified=False,
        signature=OURS,
    )


def _exported(source: str, classes: int, network: "nn.Module") -> bytes:
    """Write a network as an ONNX graph, in a process of its own, as every export is made."""
    with scratch.folder() as place:
        weights, graph = place / "weights.safetensors", place / "graph.onnx"
        weights.write_bytes(store.to_safetensors(training.to_arrays(network.state_dict())))
        request = training.GraphRequest(
            source=source, folder=str(Path.cwd()), classes=classes, weights=str(weights), path=str(graph)
        )
        try:
            child.call("mnist_bench.training._own:write_graph", request, training.Written, time_limit_s=EXPORT_S)
        except child.ChildFailed as error:
            raise BadInput(f"{source} cannot be exported to ONNX, and so not verified: {error}") from error
        return graph.read_bytes()


def _network(wanted: Wanted, found: Found, place: Path) -> Network:
    """Choose the way to read an image, among those that the file leaves open, that answers most images correctly."""
    classes = len(wanted.dataset.classes)
    if found.classes not in (None, classes):
        raise BadInput(
            f"{wanted.path} tells {found.classes} classes apart, and {shown(wanted.dataset.name)} has {classes}: "
            f"give the dataset that it was trained on with --dataset"
        )
    ways = [Way(found, place, activation, signature) for activation, signature in _ways(wanted, found)]
    images = data.to_input(wanted.dataset.test.pixels[:TRIED])
    tried = f"of {len(images):,} test images"
    labels = wanted.dataset.test.labels[:TRIED]
    predicted = [_predicted(way, images, usual=way is ways[0]) for way in ways]
    right = [one == labels for one in predicted]
    shares = [float(one.mean()) for one in right]
    best = int(np.argmax(shares))
    # What is usual, unless another is clearly better, and no guess itself: all of them are where the classes are mixed.
    better = shares[best] > 2 / classes and _clearly_better(right[best], right[0])
    chosen = best if better else 0
    notes = _notes(found, ways, shares, chosen, tried)
    if max(shares) < LOW and (order := _other_order(predicted[0], labels, classes)):
        notes += (f"{order} {tried} correctly: export it with its classes in the order of the labels",)
    return ways[chosen].chosen(notes)


def _predicted(way: "Way", images: NDArray[np.float32], *, usual: bool) -> NDArray[np.int64]:
    """Return what a way predicts of images; a graph that cannot be evaluated is needed for others alone."""
    try:
        return np.asarray(way.logits(images).argmax(1), np.int64)
    except ModelRefused:
        if usual:
            raise
        return np.full(len(images), -1)


def _other_order(predicted: NDArray[np.int64], labels: NDArray[np.uint8], classes: int) -> str:
    """Say in which order of its classes a network would answer well; nothing where there is none.

    As where images were read from folders by name (eight, five, four and so on), or the labels were words.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((classes, classes), np.int64)  # of images, by what is predicted and by their label
    np.add.at(counts, (predicted, labels), 1)
    order = linear_sum_assignment(counts, maximize=True)[1]
    share = counts[np.arange(classes), order].sum() / len(labels)
    if share < LOW:
        return ""
    return f"with its classes taken for {', '.join(map(str, order))} it would answer {share:.1%}"


def _clearly_better(one: NDArray[np.bool_], usual: NDArray[np.bool_]) -> bool:
    """Tell whether a way answers so many more images correctly that neither chance nor a small set explains it.

    Of the images that one alone answers correctly, by chance either has half: their difference is then within three
    standard deviations, the root of their number, but for 3 times in 1,000 (McNemar 1947).
    """
    only_one, only_usual = int((one & ~usual).sum()), int((usual & ~one).sum())
    more = only_one - only_usual
    return more >= CLEARLY * len(one) and more > SIGMAS * (only_one + only_usual) ** 0.5


@dataclass(frozen=True)
class Way:
    """One way in which a file may be meant."""

    found: Found
    place: Path
    activation: Activation
    signature: Signature

    @property
    def specified(self) -> bool:
        """Whether it is the specified network and reads images as that does."""
        return self.found.specified and replace(self.signature, shape=OURS.shape).is_ours

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return its answers to images, float32 (n, 1, 28, 28): float64 (n, classes)."""
        return parity.logits_of(self._reference(), images)

    def chosen(self, notes: tuple[str, ...]) -> Network:
        """Return what is known of it, now that it is the one."""
        return Network(self._reference(), self.activation, self.signature, self._content(), self.specified, notes)

    def _reference(self) -> parity.Reference:
        if self.specified:
            return parity.Weights.of(store.to_arrays(self._content(), self.place), self.activation)
        return parity.graph_of(self._content(), self.signature)

    def _content(self) -> bytes:
        if self.specified:
            return (self.place / (self.found.weights_file or "")).read_bytes()
        if self.found.graph_file:
            return (self.place / self.found.graph_file).read_bytes()
        weights = (self.place / (self.found.weights_file or "")).read_bytes()
        return importers.graph_of_weights(store.to_arrays(weights, self.place), self.activation)


def _ways(wanted: Wanted, found: Found) -> Iterator[tuple[Activation, Signature]]:
    """Yield what is usual first."""
    known = wanted.activation or found.activation
    base = found.signature if found.ending == "other" else replace(found.signature, ending=found.ending)
    if wanted.activation and found.activation not in (None, wanted.activation):
        raise BadInput(f"{wanted.path} has {found.activation} in it, not {wanted.activation}: leave --activation out")
    usual: tuple[Pixels, ...] = ("bytes", "inverted") if found.signature.dtype == "uint8" else PIXELS
    if wanted.pixels and wanted.pixels not in usual:
        raise BadInput(f"{wanted.path} takes images as uint8, from 0 to 255: --pixels {' or '.join(usual)}")
    for activation in (known,) if known else EITHER if found.specified else ("relu",):
        for pixels in (wanted.pixels,) if wanted.pixels else usual:
            for orientation in ORIENTATIONS:
                yield activation, replace(base, pixels=pixels, orientation=orientation)


def _notes(found: Found, ways: list[Way], shares: list[float], best: int, tried: str) -> tuple[str, ...]:
    """Say what was tried and why one way was taken."""
    notes = [
        *found.notes,
        *(f"{one} answers otherwise each time: export it after model.eval()" for one in found.random),
        *([f"{COMPARES}: export it so that each image is answered alone"] if found.compares else []),
    ]
    chosen, usual = ways[best], ways[0].signature.said()
    if changes := [one for one in chosen.signature.said() if one not in usual]:
        notes.append(f"with {', '.join(changes)} it answers {shares[best]:.1%} {tried} correctly, else {shares[0]:.1%}")
    elif max(shares) > shares[best]:
        other = ways[int(np.argmax(shares))].signature.said()
        said = ", ".join(one for one in other if one not in usual) or "as it is usual"
        notes.append(f"with {said} it would answer {max(shares):.1%} {tried} correctly, not clearly more")
    if max(shares) < LOW:
        notes.append(f"no way to read an image answers more than {max(shares):.1%} {tried} correctly")
    if found.specified and not chosen.specified:
        notes.append("its weights are those of 784-512-256-10, but it takes images otherwise: it is held as its graph")
    if found.activation is None and found.specified:
        notes.append(f"the file does not tell the activation: {chosen.activation} answers most images correctly")
    return tuple(notes)


def _record(wanted: Wanted, name: str, found: Found, network: Network, content: bytes) -> Record:
    dataset = wanted.dataset
    config = TrainConfig(
        dataset=dataset.name, activation=network.activation, engine=ENGINE, epochs=1, dropout=0.0, threads=1
    )
    return Record(
        name=name,
        environment=environment.collect(),
        dataset=training.dataset_info(dataset, "test"),
        config=config,
        parameters=_parameters(network),
        checkpoint=Checkpoint(
            weights=store.imported_file(network.content, "safetensors" if network.specified else "onnx")
        ),
        final=_measured(network, found, dataset),
        imported=Imported(
            source=wanted.path.name,
            sha256=sha256(content),
            size_bytes=len(content),
            kind=found.kind,
            producer=found.producer,
            precision=found.precision,
            specified=network.specified,
            signature=network.signature,
            notes=network.notes,
        ),
    )


def _parameters(network: Network) -> int:
    """Count the numbers that the network was trained to: its arrays of floating-point numbers, or of bytes."""
    if network.specified:
        return PARAMETERS
    import onnx

    stored = onnx.load_model_from_string(network.content).graph.initializer
    arrays = (onnx.numpy_helper.to_array(one) for one in stored)
    trained = (array for array in arrays if array.ndim and (array.dtype.kind == "f" or array.itemsize == 1))
    return max(sum(array.size for array in trained), 1)


def _measured(network: Network, found: Found, dataset: data.Dataset) -> FinalMeasurement:
    """Let the reference answer all images: what is reported of a run is said of the network itself."""
    began = time.perf_counter()
    train, _ = training.answered(_answers(network, found, dataset.train), dataset.train.labels)
    test, predictions = training.answered(_answers(network, found, dataset.test), dataset.test.labels)
    return FinalMeasurement(train=train, test=test, predictions=predictions, measurement_s=time.perf_counter() - began)


def _answers(network: Network, found: Found, images: data.Images) -> NDArray[np.float64]:
    starts = range(0, len(images), CHUNK)
    parts = (data.to_input(images.pixels[at : at + CHUNK]) for at in starts)
    answers = np.concatenate([parity.logits_of(network.reference, part) for part in parts])
    if not np.isfinite(answers).all():
        raise ModelRefused(f"it answers {int((~np.isfinite(answers)).any(1).sum()):,} images with what is no number")
    if not answers.any():
        why = COMPARES if found.compares else "its weights are damaged or empty"
        raise ModelRefused(f"it answers every image, asked about it alone, with zeros: {why}")
    return answers


def _enter(folder: Path, record: Record, kind: str, computes: str, content: bytes) -> None:
    """Enter the very file into the run's manifest: it is what is going to be deployed."""
    assert record.checkpoint
    assert record.imported
    stored = {one for runtime in runtimes.of_format(kind) for one in runtime.PRECISIONS.values()}
    precision: Precision = next((one for one in stored if one == computes), "fp32")
    signature = record.imported.signature
    with store.making(folder) as place:
        made = place / formats.file_name(kind, precision)
        made.write_bytes(content)
        artifact = Artifact(
            name=made.name,
            format=kind,
            precision=precision,
            sha256=sha256(content),
            size_bytes=len(content),
            version=kind,
            batch=signature.batch,
            exporter=record.imported.producer,
            exporter_version="",
            export_s=0.0,
            weights_sha256=record.checkpoint.weights.sha256,
            signature=None if signature == OURS else signature,
        )
        store.enter(folder, record, made, artifact)
