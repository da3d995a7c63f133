"""Answering messages with one runtime."""

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

import mnist_bench
from mnist_bench import runtimes
from mnist_bench.core import protocol, text
from mnist_bench.core.errors import (
    BadInput,
    DeviceUnavailable,
    EnvironmentProblem,
    MnistBenchError,
    ModelRefused,
    Unsupported,
)
from mnist_bench.core.protocol import Message
from mnist_bench.worker import clock
from mnist_bench.worker.clock import NANO, WarmUp

if TYPE_CHECKING:
    from mnist_bench.core.signature import Signature

MOST_BYTES = 2**32
"""More than any model or any set of images that is sent."""

KINDS: tuple[tuple[type[Exception], str], ...] = (
    (ModelRefused, "refused"),
    (DeviceUnavailable, "unavailable"),
    (Unsupported, "unsupported"),
    (EnvironmentProblem, "environment"),
)
"""What becomes of an error; all others are the runtime's: `failed`, or `environment`, see `_kind`."""

ADVICE = "\n\nSet TORCHDYNAMO_VERBOSE"
"""What torch's compiler adds to every error, after the cause."""

OF_COMPILERS = "torch._inductor"
"""The module of errors that the compiler of torch's runtimes raises; it gets one network, which compiles elsewhere."""


class Worker:
    """Holds one session of one runtime, of those that it may serve, and the images that it is asked about."""

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        self._module: runtimes.Runtime | None = None
        self._opened = contextlib.ExitStack()
        self._session: runtimes.Session | None = None
        self._spec = runtimes.Spec()
        self._images = np.empty((0, 1, 28, 28), np.float32)
        self._fixed: int | None = None

    def answer(self, message: Message) -> Message:
        """Answer a message; an error is an answer, and leaves the worker as it was."""
        handle = getattr(self, f"_on_{message.kind}", None)
        if handle is None:
            return Message("error", {"kind": "unsupported", "reason": f"message {message.kind!r} is not known"})
        try:
            answer: Message = handle(message.fields, message.arrays)
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever a library raises
            return Message("error", {"kind": _kind(error), "reason": _reason(error)})
        return answer

    def close(self) -> None:
        """Close the session, if there is one."""
        self._opened.close()
        self._session = None

    def _on_hello(self, fields: Mapping[str, Any], _arrays: Mapping[str, Any]) -> Message:
        """Import the runtime and say who answers."""
        name = self._only or str(fields["runtime"])
        self.close()
        began = time.perf_counter_ns()
        self._module = runtimes.load(name)
        version = self._module.version()
        import_s = (time.perf_counter_ns() - began) * NANO
        missing = self._module.why_not_on(str(fields.get("device", "cpu")))
        return Message(
            "hello",
            {
                "protocol": protocol.VERSION,
                "worker": f"mnist-bench {mnist_bench.__version__}, Python {platform.python_version()}",
                "origin": str(Path(mnist_bench.__file__).parent),
                "runtime": name,
                "version": version,
                "pid": os.getpid(),
                "import_s": import_s,
                "unavailable": {"reason": missing.reason, "remedy": missing.remedy} if missing else None,
            },
        )

    def _on_open(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Open a model in place of the one before."""
        if self._module is None:
            raise BadInput("a worker is greeted before it opens anything")
        self.close()
        self._spec = runtimes.Spec(fields["device"], fields["threads"], fields["precision"])
        model = _model(fields, arrays)
        began = time.perf_counter_ns()
        self._session = self._opened.enter_context(self._module.open(model, self._spec))
        load_s = (time.perf_counter_ns() - began) * NANO
        shows, self._fixed = self._session.layers is not None, self._session.batch or model.batch
        return Message("opened", {"load_s": load_s, "batch": self._fixed, "layers": shows})

    def _on_inspect(self, _fields: Mapping[str, Any], _arrays: Mapping[str, Any]) -> Message:
        """Look how the session really runs."""
        found = self._there().inspect()
        sums = found.pair_sums
        return Message(
            "inspected",
            {
                "provider": found.provider,
                "precision": found.precision,
                "pair_sums": sums._asdict() if sums else None,
                "arithmetic": found.arithmetic,
            },
        )

    def _on_run(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Answer the images, so many at a time."""
        session, images = self._there(), self._given(arrays)
        batches = self._batches(images, fields["batch_size"])
        return Message("answers", {}, {"logits": clock.answered(session.run, batches)[: len(images)]})

    def _on_layers(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Show what every layer gives the images, so many at a time."""
        session, images = self._there(), self._given(arrays)
        if session.layers is None:
            raise Unsupported("this runtime does not show its layers")
        parts = [session.layers(batch) for batch in self._batches(images, fields["batch_size"])]
        shown = {name: np.concatenate([part[name] for part in parts])[: len(images)] for name in parts[0]}
        return Message("layers", {}, shown)

    def _batches(self, images: clock.Images, size: int) -> list[clock.Images]:
        """Cut images into batches of a size; where the model takes only one size, into those."""
        if self._fixed:
            return clock.split(images, self._fixed)  # the last one too has to be full
        return [images[at : at + size] for at in range(0, len(images), size)]

    def _on_time(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Time calls: a first one, answers for the check, a warm-up that is not scored, and then those that count."""
        run = self._there().run
        batches = clock.split(self._given(arrays), fields["batch_size"])
        first_call_s = clock.timed(run, batches, 1)[0] * NANO
        checked = fields["answers"]
        answers = clock.answered(run, batches[: -(-checked // fields["batch_size"])])[:checked] if checked else None
        began = time.perf_counter_ns()
        calls = clock.warmed(run, batches, WarmUp(fields["warm_up_calls"], fields["warm_up_s"]))
        warm_up_s = (time.perf_counter_ns() - began) * NANO
        times = np.array(clock.timed(run, batches, fields["calls"]), np.int64)
        return Message(
            "timed",
            {
                "first_call_s": first_call_s,
                "warm_up_calls": calls,
                "warm_up_s": warm_up_s,
                "peak_resident_bytes": clock.peak_resident_bytes(),
                "peak_device_bytes": clock.peak_device_bytes(self._spec.device),
            },
            {"times_ns": times} | ({} if answers is None else {"logits": answers}),
        )

    def _on_load(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Let MLPerf LoadGen drive the session."""
        from mnist_bench.worker import _loadgen

        return Message("loaded", {}, _loadgen.driven(self._there().run, self._given(arrays), fields))

    def _on_instructions(self, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Message:
        """Say which instruction sets there are; or run one instruction on operands, uint8 (n, 3, 32)."""
        from mnist_bench.worker import instructions

        if "name" not in fields:
            return Message("instructions", {"features": instructions.features(), "known": instructions.known()})
        triples = [(a.tobytes(), b.tobytes(), c.tobytes()) for a, b, c in arrays["operands"]]
        found = b"".join(instructions.computed(fields["name"], triples))
        results = np.frombuffer(found, np.uint8).reshape(-1, instructions.WIDTH)
        return Message("instructions", {}, {"results": results})

    def _on_close(self, _fields: Mapping[str, Any], _arrays: Mapping[str, Any]) -> Message:
        self.close()
        return Message("closed")

    def _there(self) -> runtimes.Session:
        if self._session is None:
            raise BadInput("nothing is open")
        return self._session

    def _given(self, arrays: Mapping[str, Any]) -> clock.Images:
        """Return the images that a message brings, or those that came last."""
        self._images = arrays.get("images", self._images)
        if not len(self._images):
            raise BadInput("there are no images to answer")
        return self._images


def _model(fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> runtimes.Model:
    """Take in what is to be opened, and check that it came as it was sent."""
    files = {name: array.tobytes() for name, array in arrays.items()}
    for name, expected in fields["sha256"].items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise ModelRefused(f"{name} did not come as it was sent (SHA-256)")
    return runtimes.Model(
        files,
        fields["format"],
        fields["file_precision"],
        fields["activation"],
        fields["batch"],
        fields["foreign"],
        _signature(fields.get("signature")),
    )


def _signature(fields: Mapping[str, Any] | None) -> "Signature | None":
    """Take in how images come; most models get them as they are, and their workers need no library for this."""
    if fields is None:
        return None
    import msgspec

    from mnist_bench.core.signature import Signature

    return msgspec.convert(fields, Signature)


def _kind(error: BaseException) -> str:
    """Tell an answer of the runtime from what keeps it from running here: a library, a compiler, a full disk."""
    if known := next((kind for of, kind in KINDS if isinstance(error, of)), None):
        return known
    if text.is_out_of_memory(error):
        return "memory"
    for below in text.causes(error):
        if isinstance(below, (ImportError, OSError)) or type(below).__module__.startswith(OF_COMPILERS):
            return "environment"
    return "failed"


def _reason(error: BaseException) -> str:
    """Say in one line what went wrong: an error of ours in its own words."""
    words = str(error) if isinstance(error, MnistBenchError) else text.of_error(error)
    return text.reason(words.partition(ADVICE)[0])


def serve(only: str | None, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Answer messages, with one runtime or with any, until one closes the session, or none comes any more."""
    worker = Worker(only)
    try:
        while message := protocol.read(incoming, MOST_BYTES):
            protocol.write(outgoing, worker.answer(message))
            if message.kind == "close":
                break
    finally:
        worker.close()
