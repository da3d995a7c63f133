"""The data that flows through mnist-bench: frozen, raw, in SI units, and the same in memory as on disk.

Every type is a `msgspec.Struct`: saved as JSON with its field names, checked against its annotations when read back.
"""

from collections.abc import Sequence
from operator import eq
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import LARGEST_BATCH, LARGEST_INT16, PROTOCOL_BATCH, Activation, Precision, Validation
from mnist_bench.core.limits import MOST_CLASSES
from mnist_bench.core.signature import OURS, Signature

SchemaVersion = Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
SCHEMA_VERSION: SchemaVersion = 10
"""Version of the saved documents.

History: 1, the first; 2, `TrainConfig.processes` (1 where it is not there); 3, `Artifact.saturation`
and `files`, `ParityRecord.saturation` and `unreachable`, `Environment.instructions`, `Configuration.host` (this
machine), `BenchPlan.hosts`, `command_format` and `command_precision`, and `Row.kind` (before, `Configuration.format`
was `null` or `training` where a row was neither of a file nor of weights); 4, the checksum at the end of every
document, and `ParityRecord.blind`; 5, `ParityRecord.quantised`, `layers` and `shares`, `FleetRecord`,
`Configuration.processor` (none), `ParityResult.native`, `sample` and `tier`; 6, `passed_over` of `Record` and
`StudyRecord`, and `Row.skips_zeros`; 7, `Artifact.numbers_of`, `QuantisedCertificate.others` and `Row.installed_bytes`;
8, `Record.imported`, a `Checkpoint` without an optimizer, `Artifact.signature`, bounds that are None where nothing
bounds a logit, `ParityRecord.diagnoses` and `assumed`, `Environment.cpu_quota` and `Conditions.throttled_periods`;
9, `ParityResult.sha256`; 10, `Signature.answers`.
"""
READABLE_VERSIONS: tuple[SchemaVersion, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

LARGEST = 2**63 - 1  # JSON readers take no larger integers
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Positive = Annotated[int, Meta(gt=0, le=LARGEST)]
Seconds = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
ClassNames = Annotated[tuple[str, ...], Meta(max_length=MOST_CLASSES)]
"""What the classes are called; there may be fewer of them than the network has outputs."""


class TrainConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train and how; together with the data it determines the result on one build, device and thread count.

    `device` is concrete (`cpu` or `cuda:N`), `threads` are torch's intra-op threads, `processes` share each step's
    images, `dropout` is the probability that a unit of the first hidden layer is dropped.
    """

    dataset: str = "mnist"
    validation: Validation = "test"
    activation: Activation = "relu"
    engine: str = "preallocated"
    device: str = "cpu"
    threads: Positive = 1
    processes: Positive = 1
    epochs: Positive = 15
    batch_size: Positive = PROTOCOL_BATCH
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    seed: Count = 0

    def __post_init__(self) -> None:
        for name in ("threads", "processes", "epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise BadInput(f"{name} must be a positive number, not {getattr(self, name)}")
        if self.batch_size > LARGEST_BATCH:
            raise BadInput(f"batch_size must be at most {LARGEST_BATCH:,}, not {self.batch_size:,}")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout must be in [0, 1), not {self.dropout}")
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"seed must be in [0, 2^63), not {self.seed}")


class Tally(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pass over images: the sum of their cross-entropy losses (in nats) and how many were predicted correctly."""

    loss_sum: float = 0.0
    correct: Count = 0
    images: Count = 0

    def __post_init__(self) -> None:
        if self.correct > self.images:
            raise ValueError("more images are right than there are")

    @property
    def loss(self) -> float:
        """Mean loss per image in nats: an average over images, not over batches, so a short last batch counts less."""
        return self.loss_sum / self.images

    @property
    def accuracy(self) -> float:
        """Share of the images predicted correctly, in [0, 1]."""
        return self.correct / self.images


class EpochMetrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished epoch.

    `train` is the running tally of the epoch's own steps (dropout on, weights changing); `validation` is measured after
    the epoch with dropout off. `train_s` covers the steps alone, `evaluation_s` the validation alone.
    """

    epoch: Positive
    train: Tally
    validation: Tally
    train_s: Annotated[float, Meta(gt=0)]
    evaluation_s: Seconds

    def __post_init__(self) -> None:
        if not (self.train.images and self.validation.images):
            raise ValueError("an epoch without images")


class PartialEpoch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An epoch that was stopped after some step: where it stood, so that it can go on with the very next image."""

    train: Tally
    train_s: Seconds


class SavedFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the run folder, by its name there."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: Sha256
    size_bytes: Count


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files to go on from: weights, and the optimizer's moments with the state of the dropout masks.

    Of a run that was imported there is no optimizer, and `weights` may be an ONNX file: the network as a graph.
    """

    weights: SavedFile
    optimizer: SavedFile | None = None
    partial: PartialEpoch | None = None


class Predictions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The trained network's answer for every test image, in the order of the dataset.

    `margins` are logit differences: the label's logit minus the largest other one; negative where the answer is wrong.
    """

    labels: tuple[Count, ...]
    predictions: tuple[Count, ...]
    margins: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.predictions) == len(self.margins):
            raise ValueError("labels, predictions and margins differ in length")
        for label, prediction, margin in zip(self.labels, self.predictions, self.margins, strict=True):
            if margin * (1 if label == prediction else -1) < 0:
                raise ValueError(f"label {label}, prediction {prediction} and margin {margin:g} contradict each other")

    @property
    def correct(self) -> int:
        """How many of the predictions are right."""
        return sum(label == prediction for label, prediction in zip(self.labels, self.predictions, strict=True))


class FinalMeasurement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured once, after the last epoch, with dropout off.

    `train` is the training set again (for the true overfitting gap), `test` the test set with each prediction.
    """

    train: Tally
    test: Tally
    predictions: Predictions
    measurement_s: Seconds


class DatasetInfo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which data were used: `sha256` are of the unpacked files (or of the arrays, for embedded data)."""

    name: str
    classes: ClassNames
    sha256: dict[str, Sha256]
    train_images: Positive
    validation_images: Positive
    test_images: Positive


class Environment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine and the software, as found when the work began; unknown things are None.

    `instructions` are the instruction sets that decide how matrix products are computed, as Linux calls them; empty
    where the system does not tell. `cores` are those that the process may keep busy: of its affinity, as far as its
    `cpu_quota` goes, which is in cores and None where there is no limit.
    """

    started_at: str
    python: str
    platform: str
    cpu_model: str | None
    cores: Positive
    memory_bytes: Positive
    load_average: float | None
    virtual_machine: bool | None
    libraries: dict[str, str]
    instructions: tuple[str, ...] = ()
    gpu: str | None = None
    gpu_driver: str | None = None
    cpu_quota: Annotated[float, Meta(gt=0)] | None = None


class Imported(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a network came from that is not the specified one, or was not trained here.

    `source` is the name of the file, or what `train --network` was given, `kind` what it was, `producer` who wrote it,
    `precision` in what it computes. `specified` tells whether the network is the specified one, of which then weights
    are held; else its graph is. `signature` is what the file wants, `notes` are what was found and chosen, a sentence
    each.
    """

    source: str
    sha256: Sha256
    size_bytes: Count
    kind: str
    producer: str
    precision: str
    specified: bool
    signature: Signature
    notes: tuple[str, ...] = ()


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run: the only thing that is saved, compared and reported.

    `passed_over` says why faster engines could not be used where none was asked for. A run that was `imported` has
    epochs only where its network is a module that was trained here; else the dataset alone of its `config` was chosen,
    and the activation found.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    environment: Environment
    dataset: DatasetInfo
    config: TrainConfig
    parameters: Positive
    epochs: tuple[EpochMetrics, ...] = ()
    checkpoint: Checkpoint | None = None
    final: FinalMeasurement | None = None
    resumed_at: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    imported: Imported | None = None

    def __post_init__(self) -> None:
        if [epoch.epoch for epoch in self.epochs] != list(range(1, len(self.epochs) + 1)):
            raise ValueError("the epochs are not numbered 1, 2, 3 …")
        self._check_epochs()
        self._check_checkpoint(self.checkpoint)
        if self.final:
            self._check_final(self.final)

    @property
    def is_graph(self) -> bool:
        """Whether the network is held as a graph: it is not the specified one."""
        return self.imported is not None and not self.imported.specified

    @property
    def signature(self) -> Signature:
        """What images the network that is held wants: the specified one takes ours."""
        return self.imported.signature if self.imported and self.is_graph else OURS

    @property
    def network(self) -> str:
        """What the network is, in words."""
        if self.imported and self.is_graph:
            return self.imported.source if self.epochs else f"the graph of {self.imported.source}"
        return f"784-512-256-10, {self.config.activation}"

    def _check_epochs(self) -> None:
        if self.config.dataset != self.dataset.name or not self.dataset.classes:
            raise ValueError("the data are not those of the configuration, or have no classes")
        if len(self.epochs) > self.config.epochs:
            raise ValueError(f"{len(self.epochs)} epochs of {self.config.epochs}")
        expected = self.dataset.train_images, self.dataset.validation_images
        if any((epoch.train.images, epoch.validation.images) != expected for epoch in self.epochs):
            raise ValueError("an epoch that is not over all training and all validation images")

    def _check_checkpoint(self, checkpoint: Checkpoint | None) -> None:
        partial = checkpoint and checkpoint.partial
        if self.imported and (partial or not checkpoint):
            raise ValueError("an imported run that is not finished, or without weights")
        if checkpoint and not self.imported and not checkpoint.optimizer:
            raise ValueError("a checkpoint without the optimizer's state")
        if checkpoint and not (self.epochs or partial or self.imported):
            raise ValueError("a checkpoint from before the first image")
        if partial and partial.train.images >= self.dataset.train_images:
            raise ValueError("a partial epoch with as many images as a whole one")
        if partial and partial.train.images % self.config.batch_size:
            raise ValueError("a partial epoch that does not end with a step")

    def _check_final(self, final: FinalMeasurement) -> None:
        found, classes = final.predictions, len(self.dataset.classes)
        trained = self.imported or len(self.epochs) == self.config.epochs
        if not trained or not self.checkpoint:
            raise ValueError("a final measurement before the last epoch")
        if final.train.images != self.dataset.train_images:
            raise ValueError("the final measurement is not of the whole training set")
        if not final.test.images == len(found.labels) == self.dataset.test_images:
            raise ValueError("the final measurement is not of the whole test set")
        if final.test.correct != found.correct:
            raise ValueError(f"{final.test.correct} correct, and {found.correct} of the predictions are")
        if max(found.labels) >= classes or max(found.predictions) >= max(classes, CLASSES):
            raise ValueError(f"a label beyond the {classes} classes, or a prediction beyond the outputs")


class Saturation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a quantised file's sums of two neighbouring products fit in 16 bits, in which some processors add them.

    `largest_sum` is the largest that the weights allow, in magnitude, with activations of up to 255; of `pairs` of
    neighbouring weights, `pairs_beyond` can exceed 16 bits.
    """

    largest_sum: Count
    fits_16_bits: bool
    pairs_beyond: Count
    pairs: Count

    def __post_init__(self) -> None:
        if self.fits_16_bits is not (self.largest_sum <= LARGEST_INT16) or self.fits_16_bits is bool(self.pairs_beyond):
            raise ValueError("a largest sum, a verdict and a number of pairs that contradict each other")

    @classmethod
    def of(cls, largest: int, beyond: int, pairs: int) -> "Saturation":
        """Judge sums of neighbouring products: the largest, how many exceed 16 bits, and how many there are."""
        return cls(largest_sum=largest, fits_16_bits=largest <= LARGEST_INT16, pairs_beyond=beyond, pairs=pairs)


class Artifact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file exported for deployment.

    `files` are those within, where it is a folder; `sha256` is then that of their list, a line `SHA-256 NAME` each,
    as sha256sum prints it, in the order of their names, and `size_bytes` their sum. `version` is the format's own
    (an ONNX opset, an archive version), `batch` its batch size where that is fixed and None where any is taken,
    `weights_sha256` the checkpoint file that it was exported from. `saturation` is of int8 files, and None for
    others. `numbers_of` is the hash of the quantised ONNX file whose integers, scales and zero points it has.
    `signature` is of a file from elsewhere that wants other images than ours do.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    format: str
    precision: Precision = "fp32"
    device: str = "cpu"
    sha256: Sha256
    size_bytes: Count
    files: tuple[SavedFile, ...] = ()
    version: str
    batch: Positive | None = None
    exporter: str
    exporter_version: str
    export_s: Seconds
    weights_sha256: Sha256
    saturation: Saturation | None = None
    numbers_of: Sha256 | None = None
    signature: Signature | None = None


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has been exported from a run."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    run: str
    artifacts: tuple[Artifact, ...] = ()

    def __post_init__(self) -> None:
        inner = [[file.name for file in one.files] for one in self.artifacts]
        for names in ([one.name for one in self.artifacts], *inner):
            if len(set(names)) < len(names):
                raise ValueError("a file that is named twice")


class Deviation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image on which a runtime's prediction is not the reference's."""

    image: Count
    prediction: Count


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A runtime, or a training engine, as it was run.

    `format` is that of the file, and empty where it reads none; `provider` is what really ran, as read back from it;
    `host` is where, if not here; `processor` the emulated one, and empty on a machine's own.
    """

    runtime: str
    version: str
    format: str
    precision: Precision
    device: str
    provider: str
    threads: Positive
    batch_size: Positive
    host: str = ""
    processor: str = ""

    @property
    def target(self) -> str:
        """What was run, without threads and batch; see `target_name`."""
        return target_name(self.runtime, self.precision, self.device, self.host)


def target_name(runtime: str, precision: str, device: str = "cpu", host: str = "") -> str:
    """Name a target: `onnxruntime`, `onnxruntime int8`, `torch-eager cuda:0`, `onnxruntime int8 on haswell`."""
    parts = [runtime, "" if precision == "fp32" else precision, "" if device == "cpu" else device]
    # A program that never said its name is called by its command, once.
    return " ".join([*filter(None, parts), *([f"on {host}"] if host not in ("", runtime) else [])])


RUNGS = (
    "none",
    "shape and dtype",
    "finite",
    "certified predictions",
    "all predictions",
    "within tolerance",
    "bitwise",
)
"""The checks from the weakest to the strictest; a runtime is graded by the last one up to which it passes all."""


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which test images were asked where that was not all: half those of the smallest margins, half drawn by a seed."""

    seed: Count
    images: tuple[Count, ...]

    def __post_init__(self) -> None:
        if not self.images or list(self.images) != sorted(set(self.images)):
            raise ValueError("a sample of no images, or of images that are not in order")


class Beside(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers beside those that the same runtime gave to the same file on this machine's own processor.

    Of `images`, edge images among them, `same_bits` have the very same logits; `flips` are predicted otherwise;
    `largest_difference` is in logits.
    """

    images: Positive
    same_bits: Count
    flips: tuple[Count, ...]
    largest_difference: float

    def __post_init__(self) -> None:
        if self.same_bits + len(self.flips) > self.images:
            raise ValueError("more images alike, and otherwise, than there are")


class ParityResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configuration against the reference, over all test images and then the edge images.

    `rung` counts how far up the parity ladder it came; `correct` is over the test images; differences are |Δlogit| over
    all images, in logits and in float32 ulp of the reference; `beyond_bound` counts logits outside the certificate's
    bound; `ties` are deviations within tolerance on images without a certificate; `tier` is what a lower precision was
    held to. `failures` is empty where it passed.
    `sample` says which images were asked where that was not all: all counts are of these. `native` is of emulated
    processors. `sha256` is that of the file that answered, or of the weights; None where there is neither, and in
    records of before schema version 9.
    """

    configuration: Configuration
    sha256: Sha256 | None = None
    rung: Count
    correct: Count
    deviations: tuple[Deviation, ...] = ()
    ties: Count = 0
    largest_difference: float | None = None
    median_difference: float | None = None
    largest_ulp: float | None = None
    median_ulp: float | None = None
    smallest_tolerance_eps: float | None = None
    beyond_bound: Count = 0
    tier: str = ""
    failures: tuple[str, ...] = ()
    sample: Sample | None = None
    native: Beside | None = None


class Uncertified(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that the certificate does not cover: `margin` is below `bound`, so rounding might change its prediction.

    `label` is None for an edge image, `bound` where nothing is proved of it.
    """

    image: Count
    label: Count | None
    prediction: Count
    rival: Count
    margin: float
    bound: float | None

    def is_of(self, images: int, classes: int) -> bool:
        """Tell whether there are such an image and such classes, of so many."""
        return self.image < images and max(self.prediction, self.rival, self.label or 0) < classes


class Certificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On how many of the test images no float32 runtime can predict anything but what the reference predicts.

    The bounds are None where a layer is not covered: then no image is certified.
    """

    images: Positive
    certified: Count
    uncertified: tuple[Uncertified, ...]
    largest_logit_bound: float | None
    median_margin_bound: float | None


class PairReached(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two neighbouring weights of a unit whose products, on some image, do not fit in 16 bits together.

    `layer` counts the products of integers from 0; the weights are those of the inputs 2 · `pair` and 2 · `pair` + 1.
    """

    layer: Count
    unit: Count
    pair: Count


class QuantisedCertificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which test images no conforming runtime can predict anything else of a quantised file, and what it predicts.

    `uncertified` are the test images on which they may differ, with the middle of what they may answer. Of all others
    `deviations` are not predicted as by the reference: quantisation alone changes them, on every processor; `agreeing`
    counts those that are, and that the float certificate covers too. `uncertified_alone` counts those that are open
    when images are asked one at a time: as many for files that quantise statically. `saturating` are test images on
    which kernels that add two products in 16 bits compute other sums, certified or not, and `pairs_reached` how many
    pairs of weights any of the images brings there, of which `pairs` are the first. `others` are formats whose files
    have the same numbers.
    """

    format: str
    precision: Precision
    sha256: Sha256
    images: Positive
    agreeing: Count
    deviations: tuple[Deviation, ...] = ()
    uncertified: tuple[Uncertified, ...] = ()
    uncertified_alone: Count
    saturating: tuple[Count, ...] = ()
    pairs_reached: Count = 0
    pairs: tuple[PairReached, ...] = ()
    largest_logit_bound: float | None = None
    median_margin_bound: float | None = None
    median_undecided: float = 0.0
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.agreeing + len(self.deviations) > self.certified or self.uncertified_alone > len(self.uncertified):
            raise ValueError("numbers of certified images that contradict each other")
        if bool(self.pairs_reached) is not bool(self.saturating) or len(self.pairs) > self.pairs_reached:
            raise ValueError("pairs of weights that saturate on no image")

    @property
    def certified(self) -> int:
        """On how many test images every processor answers alike, whether its kernels saturate or not."""
        return self.images - len(self.uncertified)

    def check(self, images: int, classes: int) -> None:
        """Raise ValueError where it is not one for so many images and classes."""
        named = [(one.image, one.prediction) for one in self.deviations] + [(image, 0) for image in self.saturating]
        known = all(one.is_of(images, classes) for one in self.uncertified)
        if self.images != images or not known or any(image >= images or label >= classes for image, label in named):
            raise ValueError("a certificate of a quantised file for other images or classes")


class Absent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target that was not compared, and what would make it possible: a saved `Skipped`."""

    target: str
    reason: str
    remedy: str


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer that was known before: of so many `cases`, so many came out `wrong`."""

    name: str
    cases: Positive
    wrong: Count

    def __post_init__(self) -> None:
        if self.wrong > self.cases:
            raise ValueError("more cases wrong than there were")


class Blind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a comparison would not see: of `trials` weights drawn at random, `unseen` could change their sign.

    `probes` images were found from the weights, that light every hidden unit, and asked beside the others.
    """

    probes: Count
    unseen: Count
    trials: Positive

    def __post_init__(self) -> None:
        if self.unseen > self.trials:
            raise ValueError("more trials unseen than there were")


class LayerError(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a layer's values are from the float64 reference's, over all images that were asked and all its units.

    Differences are absolute, and None where a value is not finite. The bounds are the float32 certificate's for this
    layer, the largest and the median of all values; None of lower precisions, which it does not cover, and where
    nothing keeps a sum from overflowing. `bound_used` is the largest share of its own bound that a value's difference
    comes to, and None where that is of a bound of zero; `beyond` how many values leave theirs, and `images_beyond` on
    how many images.
    """

    layer: str
    values: Positive
    largest: float | None
    median: float | None
    largest_bound: float | None = None
    median_bound: float | None = None
    bound_used: float | None = None
    beyond: Count = 0
    images_beyond: Count = 0

    def __post_init__(self) -> None:
        if not self.images_beyond <= self.beyond <= self.values or bool(self.beyond) is not bool(self.images_beyond):
            raise ValueError("numbers of values beyond their bounds that contradict each other")


class TargetLayers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers that a target showed, from first to last, on so many test images: those of the smallest margins.

    On `same_bits` of these it gives the very same logits when it does not show them.
    """

    target: str
    images: Positive
    same_bits: Count
    layers: tuple[LayerError, ...]

    def __post_init__(self) -> None:
        if self.same_bits > self.images or not self.layers:
            raise ValueError("more images alike than there are, or no layer")


Share = Annotated[float, Meta(le=1)]


class LogitError(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far logits are from the float64 reference's: root mean square and largest, and flipped test images."""

    root_mean_square: Annotated[float, Meta(ge=0)]
    largest: Annotated[float, Meta(ge=0)]
    flips: Count


class LayerShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a quantised file answers when one layer is replaced by its float version.

    `share` is of the mean squared error of the logits: how much of it is gone then; negative where this layer's
    quantisation makes up for another's. `of_inputs`, `of_weights` and `of_sums` are how much is gone where only what
    the layer reads is not rounded, only its weights and bias, or only its sums before the activation.
    """

    layer: str
    share: Share
    of_inputs: Share
    of_weights: Share
    of_sums: Share
    kept: LogitError


class QuantisationShares(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a quantised file, what each layer's quantisation has of the final error, over all `images` of the test set.

    Computed in float64 with exact sums of integers and halves rounded to even, image by image.
    """

    format: str
    precision: Precision
    sha256: Sha256
    images: Positive
    whole: LogitError
    layers: tuple[LayerShare, ...]

    def __post_init__(self) -> None:
        if not self.layers or any(one.flips > self.images for one in (self.whole, *(two.kept for two in self.layers))):
            raise ValueError("no layer, or more images flipped than there are")


class Hypothesis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is often wrong with a model, and how much of a target's answers it explains.

    `name` is short, `says` the mistake in a sentence. `explained` is the share of the images whose answers all are as
    they should be if it is so; None where that was not tried, and then `reason` says why. `holds` where it explains
    them all, the wrong ones too; `remedy` is the way out then.
    """

    name: str
    says: str
    explained: Annotated[float, Meta(ge=0, le=1)] | None
    holds: bool = False
    reason: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.explained is None and (self.holds or not self.reason):
            raise ValueError("a hypothesis that was not tried, and holds or does not say why")


class Diagnosis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was tried to explain a target's answers, the simplest first.

    On so many `images`, of which so many were answered `wrong`.
    """

    target: str
    images: Positive
    wrong: Positive
    hypotheses: tuple[Hypothesis, ...]

    def __post_init__(self) -> None:
        if self.wrong > self.images:
            raise ValueError("more images wrong than there were")

    @property
    def cause(self) -> Hypothesis | None:
        """The simplest hypothesis that holds; None where none does."""
        return next((one for one in self.hypotheses if one.holds), None)


class ParityRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `verify` found: every configuration against the float64 reference.

    `classes` names the network's outputs, of which there may be more than the dataset has classes.
    Images 0 … n - 1 are the test images, those from n on the edge images named in `edges`. `labels`,
    `reference_predictions` and `reference_margins` (best logit minus the second) are the reference's, per image.
    `saturation` is of the targets that compute with int8, by name. `unreachable` are targets whose worker could not be
    asked: they hang, died, or do not speak the protocol; that is neither a wrong answer nor a target that is not here.
    `blind` is what fp32 comparisons would not see; None in records of before schema version 4. `quantised` are the
    certificates of the int8 files that were compared. `layers` of targets, and `shares` of int8 files, are there where
    layers were looked at. `diagnoses` are of targets that fail. `assumed` is what of the models was taken for granted,
    as `verify --assume` calls it: answers that are `softmax` are compared with the reference's probabilities, say.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    environment: Environment
    weights_sha256: Sha256
    dataset: str
    classes: ClassNames
    labels: tuple[Count, ...]
    edges: tuple[str, ...]
    reference_predictions: tuple[Count, ...]
    reference_margins: tuple[float, ...]
    largest_logit: float
    tolerance: float
    certificate: Certificate
    results: tuple[ParityResult, ...]
    skipped: tuple[Absent, ...] = ()
    saturation: dict[str, Saturation] = {}
    unreachable: tuple[Absent, ...] = ()
    blind: Blind | None = None
    quantised: tuple[QuantisedCertificate, ...] = ()
    layers: tuple[TargetLayers, ...] = ()
    shares: tuple[QuantisationShares, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, classes = len(self.labels) + len(self.edges), len(self.classes)
        if not (self.labels and len(self.reference_predictions) == len(self.reference_margins) == images):
            raise ValueError("the reference has not one answer an image")
        if max((*self.labels, *self.reference_predictions)) >= classes:
            raise ValueError(f"a label or a prediction beyond the {classes} classes")
        self._check_certificate(images, classes)
        right = list(map(eq, self.labels, self.reference_predictions))
        for result in self.results:
            self._check(result, images, classes, right)
        for one in self.quantised:
            one.check(len(self.labels), classes)
        asked = [one.images for one in self.layers] + [one.images for one in self.shares]
        if max(asked, default=0) > len(self.labels):
            raise ValueError("layers that were looked at on more test images than there are")

    def _check_certificate(self, images: int, classes: int) -> None:
        found, tests = self.certificate, len(self.labels)
        if not all(one.is_of(images, classes) for one in found.uncertified):
            raise ValueError("an image without a certificate that is none, or has a class that is none")
        open_tests = {one.image for one in found.uncertified if one.image < tests}
        if found.images != tests or found.certified + len(open_tests) != tests:
            raise ValueError("certified images and those without a certificate are not all test images")

    def _check(self, result: ParityResult, images: int, classes: int, right: Sequence[bool]) -> None:
        changed = {one.image: one.prediction for one in result.deviations}
        if any(image >= images or prediction >= classes for image, prediction in changed.items()):
            raise ValueError("a deviation on an image, or to a class, that is none")
        if result.rung >= len(RUNGS) or result.correct > len(self.labels):
            raise ValueError("a result on a rung that is none, or with more images right than there are")
        if result.largest_difference is None:  # it gave no logits that could be compared
            return
        tests = len(self.labels)
        asked = result.sample.images if result.sample else range(tests)
        if asked[-1] >= tests or any(image < tests for image in changed.keys() - set(asked)):
            raise ValueError("a sample, or a deviation, of images that were not asked")
        same = sum(right) if len(asked) == tests else sum(right[image] for image in asked)
        moved = sum((now == self.labels[image]) - right[image] for image, now in changed.items() if image < tests)
        if result.correct != same + moved:
            raise ValueError(
                f"{result.configuration.target}: its deviations do not come to its {result.correct} correct"
            )

    @property
    def reference_correct(self) -> int:
        """How many test images the reference predicts correctly."""
        return sum(a == b for a, b in zip(self.labels, self.reference_predictions, strict=False))


class Emulated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A processor that an emulator showed to unmodified programs.

    `instructions` are what it has, in Linux's words, of those that decide how products are computed; `libraries` the
    versions of what ran. `checks` are answers that were known before; `refusal` says why nothing else of it counts.
    """

    name: str
    emulator: str
    model: str
    instructions: tuple[str, ...] = ()
    libraries: dict[str, str] = {}
    checks: tuple[Check, ...] = ()
    refusal: str | None = None


class FleetRecord(ParityRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `verify --cpu` found: the same files on this machine's own processor, and on emulated ones.

    Nothing in it says anything of speed.
    """

    processors: tuple[Emulated, ...]

    @classmethod
    def of(cls, comparison: ParityRecord, processors: tuple[Emulated, ...]) -> "FleetRecord":
        """Add to a comparison which processors were emulated."""
        return cls(**{name: getattr(comparison, name) for name in comparison.__struct_fields__}, processors=processors)

    def __post_init__(self) -> None:
        super().__post_init__()
        counted = {one.name for one in self.processors if one.refusal is None}
        if any(result.configuration.processor not in {"", *counted} for result in self.results):
            raise ValueError("a result of a processor that is none, or was refused")
