"""The parent's end of the protocol: starts a worker, asks it, and leaves nothing of it behind."""

import contextlib
import hashlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mnist_bench import runtimes
from mnist_bench.core import process, protocol, scratch, text
from mnist_bench.core.errors import (
    CannotRun,
    MnistBenchError,
    ModelRefused,
    OutOfMemory,
    RuntimeFailed,
    TargetUnavailable,
    Unreachable,
    Unsupported,
)
from mnist_bench.core.protocol import Message, ProtocolError
from mnist_bench.core.signature import OURS
from mnist_bench.core.types import Count, Positive, Seconds
from mnist_bench.hosts._contract import SYSROOT, Launch

if TYPE_CHECKING:
    import psutil

    from mnist_bench.core.signature import Signature

A = TypeVar("A", bound=Struct)

MOST_LOGITS = 1024
"""So many numbers of 8 bytes an image are room for any answer, right or wrong; more is not worth reading."""

MOST_VALUES = 4096
"""So many numbers an image are room for all layers of this network."""

SMALL_BYTES, FILES_BYTES = 2**20, 2**28
PARTING_S = 5.0  # until a worker that was told to close has ended


class Hello(Struct, frozen=True, kw_only=True):
    """Who answers: a runtime, its version, the worker's own words for itself, its process id where it runs.

    `origin` is the package's folder where the worker is mnist-bench's, `unavailable` why the runtime cannot be used.
    """

    protocol: int
    runtime: str
    version: str = "?"
    worker: str = "?"
    pid: Count | None = None
    import_s: Seconds | None = None
    origin: str | None = None
    unavailable: dict[str, str] | None = None


class Opened(Struct, frozen=True, kw_only=True):
    """How long it took to open a model, its batch size where that is fixed, and whether it can show its `layers`."""

    load_s: Seconds | None = None
    batch: Positive | None = None
    layers: bool = False


class Sums(Struct, frozen=True, kw_only=True):
    """See `runtimes.PairSums`."""

    largest: Count
    beyond: Count
    pairs: Count


class Inspected(Struct, frozen=True, kw_only=True):
    """How a session really runs; see `runtimes.Effective`."""

    provider: str
    precision: str
    pair_sums: Sums | None = None
    arithmetic: str | None = None


class Timing(Struct, frozen=True, kw_only=True):
    """What to time: so many calls of a batch, after a warm-up, and after answering so many images for the check."""

    batch_size: Positive
    calls: Positive
    warm_up_calls: Count
    warm_up_s: Seconds
    answers: Count


class Instructions(Struct, frozen=True, kw_only=True):
    """What a worker's processor has: instruction sets in Linux's words, and the instructions that can be tried."""

    features: tuple[str, ...]
    known: tuple[str, ...]


class _TimedReply(Struct, frozen=True, kw_only=True):
    first_call_s: float
    warm_up_calls: Count
    warm_up_s: Seconds
    peak_resident_bytes: Count | None = None
    peak_device_bytes: Count | None = None


@dataclass(frozen=True)
class Timed:
    """What was timed, in seconds, and the answers that were given before."""

    first_call_s: float
    warm_up_calls: int
    warm_up_s: float
    times_s: tuple[float, ...]
    peak_resident_bytes: int | None
    peak_device_bytes: int | None
    logits: NDArray[Any] | None


@dataclass(frozen=True)
class Limits:
    """How long a worker may take in all, and how much memory it may allocate, where the system can limit that."""

    time_s: float
    memory_bytes: int | None = None


class Worker:
    """A process that answers messages; see `started`.

    Every method raises Unreachable where the process cannot be asked, RuntimeFailed where the runtime raised an error,
    ModelRefused and TargetUnavailable where that is the worker's answer.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", limits: Limits, launch: Launch) -> None:
        self._process, self._limits, self._launch = popen, limits, launch
        assert popen.stderr
        self._line = process.Line(popen)
        self._last_words = process.LastWords(popen.stderr)
        self._expired = threading.Event()
        self._timer = self._alarm(limits.time_s)
        self._images, self._signature = 0, OURS
        self._sent: tuple[NDArray[np.float32], Signature] | None = None
        self._local: int | None = None
        self._below: list[psutil.Process] = []

    def _alarm(self, after_s: float) -> threading.Timer:
        timer = threading.Timer(after_s, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def _expire(self) -> None:
        self._expired.set()
        self.kill()

    def kill(self) -> None:
        """End the process at once; who waits for its answer, in whichever thread, learns that it ended."""
        process.kill_group(self._process)
        self._line.cut()

    def restart_clock(self) -> None:
        """Give it all of its time from now on: it has waited for its turn."""
        self._timer.cancel()
        self._timer = self._alarm(self._limits.time_s)

    def stop_clock(self) -> None:
        """Let it wait for its next turn without limit."""
        self._timer.cancel()

    @property
    def alive(self) -> bool:
        """Whether its process has not ended."""
        return self._process.poll() is None

    def greet(self, runtime: str, device: str = "cpu") -> Hello:
        """Ask who answers, and for a runtime, of several that it may have; refuse another version of the protocol."""
        greeting = {"protocol": protocol.VERSION, "runtime": runtime, "device": device}
        hello = self._asked(Message("hello", greeting), "hello", Hello)
        if hello.protocol != protocol.VERSION:
            raise Unreachable(
                f"it speaks version {hello.protocol} of the protocol, not {protocol.VERSION}: use one that speaks this"
            )
        if hello.unavailable:
            raise TargetUnavailable("; ".join(text.reason(word) for word in hello.unavailable.values()))
        self._local = hello.pid if hello.pid in self._own_processes() else None
        return msgspec.structs.replace(
            hello, **{name: text.reason(getattr(hello, name)) for name in ("runtime", "version", "worker")}
        )

    def open(self, model: runtimes.Model, spec: runtimes.Spec) -> Opened:
        """Open a model, in place of the one before; images will be changed as its signature wants them."""
        self._signature = model.signature or OURS
        files = {} if self._launch.reads_path else model.files
        fields = {
            "device": spec.device,
            "threads": spec.threads,
            "precision": spec.precision,
            "format": model.format,
            "file_precision": model.precision,
            "activation": model.activation,
            "batch": model.batch,
            "foreign": model.foreign,
            "signature": None if self._signature.is_plain else msgspec.to_builtins(self._signature),
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        arrays = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
        return self._asked(Message("open", fields, arrays), "opened", Opened)

    def inspect(self) -> Inspected:
        """Ask how the session really runs."""
        found = self._asked(Message("inspect"), "inspected", Inspected)
        return msgspec.structs.replace(
            found, provider=text.reason(found.provider), precision=text.reason(found.precision)
        )

    def run(self, images: NDArray[np.float32], batch_size: int) -> NDArray[Any]:
        """Return the answers to images float32 (n, 1, 28, 28), asked so many at a time, right or wrong as they are."""
        message = Message("run", {"batch_size": batch_size}, self._only_once(images))
        return _logits(self._ask(message, "answers", self._most()))

    def layers(self, images: NDArray[np.float32], batch_size: int) -> Mapping[str, NDArray[Any]]:
        """Return what every layer gives the images, by name, right or wrong as it is; see `runtimes.Layers`."""
        message = Message("layers", {"batch_size": batch_size}, self._only_once(images))
        return self._ask(message, "layers", SMALL_BYTES + 8 * MOST_VALUES * len(images)).arrays

    def time(self, images: NDArray[np.float32], timing: Timing) -> Timed:
        """Time calls on batches of the images."""
        message = Message("time", msgspec.structs.asdict(timing), self._only_once(images))
        reply = self._ask(message, "timed", self._most() + 8 * timing.calls)
        found, times = _converted(reply, _TimedReply), reply.arrays.get("times_ns")
        logits = _logits(reply) if timing.answers else None
        if logits is not None and (logits.ndim == 0 or len(logits) != timing.answers):
            raise Unreachable(f"its logits have the shape {logits.shape}, and {timing.answers} images were asked")
        if times is None or times.dtype != np.int64 or times.shape != (timing.calls,) or (times < 1).any():
            raise Unreachable(f"its times are not {timing.calls} positive int64, as asked for")
        return Timed(
            first_call_s=max(found.first_call_s, 1e-9),
            warm_up_calls=found.warm_up_calls,
            warm_up_s=found.warm_up_s,
            times_s=tuple((times * 1e-9).tolist()),
            peak_resident_bytes=found.peak_resident_bytes or self._peak_resident_bytes(),
            peak_device_bytes=found.peak_device_bytes,
            logits=logits,
        )

    def load(self, images: NDArray[np.float32], fields: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
        """Let MLPerf LoadGen drive the session; return answers and LoadGen's files, see `docs/protocol.md`."""
        message = Message("load", fields, self._only_once(images))
        return self._ask(message, "loaded", 2 * self._most() + FILES_BYTES).arrays

    def instructions(self) -> Instructions:
        """Ask which instruction sets its processor has."""
        return self._asked(Message("instructions"), "instructions", Instructions)

    def compute(self, name: str, operands: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run one instruction on n triples of operands, uint8 (n, 3, 32); return what it wrote, uint8 (n, 32)."""
        message = Message("instructions", {"name": name}, {"operands": operands})
        results = self._ask(message, "instructions", SMALL_BYTES).arrays.get("results")
        if results is None or results.dtype != np.uint8 or results.shape != (len(operands), operands.shape[2]):
            raise Unreachable(f"its results of {name} are not {len(operands)} arrays of bytes")
        return results

    def close(self) -> None:
        """Tell the worker that it may end, and wait until it has; a runtime that crashes now has said all already."""
        self._timer.cancel()
        self._timer = self._alarm(PARTING_S)
        self._below = process.descendants(self._process.pid)  # once it has ended, they can no longer be found
        with contextlib.suppress(OSError, ProtocolError):
            protocol.write(self._line.sends, Message("close"))
            protocol.read(self._line.receives, SMALL_BYTES)
            self._line.close_sending()
            self._process.wait()

    def end(self) -> None:
        """Kill what is left."""
        self._timer.cancel()
        self.kill()
        process.kill_all(self._below)
        self._process.wait()
        self._line.close()
        self._last_words.text()

    def has(self, images: NDArray[np.float32]) -> bool:
        """Tell whether these very images were the last that were sent."""
        return self._sent is not None and self._sent[0] is images and self._sent[1] == self._signature

    def _only_once(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Send images that the worker has not got already, as the opened model wants them."""
        if self.has(images):
            return {}
        self._sent, self._images = (images, self._signature), len(images)
        return {"images": self._signature.adapt(images)}

    def _most(self) -> int:
        return SMALL_BYTES + 8 * MOST_LOGITS * self._images

    def _asked(self, message: Message, expected: str, kind: type[A]) -> A:
        return _converted(self._ask(message, expected, SMALL_BYTES), kind)

    def _ask(self, message: Message, expected: str, most_bytes: int) -> Message:
        """Send a message and wait for the answer; raise what the worker says went wrong, or how it ended."""
        try:
            protocol.write(self._line.sends, message)
            reply = protocol.read(self._line.receives, most_bytes)
        except OSError as error:
            raise Unreachable(self._fate()) from error
        except ProtocolError as error:
            why = self._fate() if self._expired.is_set() else f"it does not speak the protocol: {error}"
            raise Unreachable(why) from error
        if reply is None:
            raise Unreachable(self._fate())
        if reply.kind == "error":
            raise _as_error(reply.fields)
        if reply.kind != expected:
            raise Unreachable(f"it answers {text.reason(reply.kind)!r} to {message.kind!r}, and not {expected!r}")
        return reply

    def _fate(self) -> str:
        """Say how a worker ended."""
        if self._expired.is_set():
            return f"it took longer than {self._limits.time_s:g} s and was stopped"
        try:
            status = self._process.wait(PARTING_S)
        except subprocess.TimeoutExpired:
            return "it closed its end of the conversation and goes on without us"
        return text.reason(process.epitaph(status, self._last_words.text()))

    def _own_processes(self) -> set[int]:
        """Return the process that was started, and those below it; a process id of another machine is none of them."""
        return {self._process.pid, *(one.pid for one in process.descendants(self._process.pid))}

    def _peak_resident_bytes(self) -> int | None:
        """Return the peak of the process that answers, for engines on this machine that do not tell theirs."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._local}/status").read_text() if self._local else ""
            return next(
                (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None
            )
        return None


def _converted(reply: Message, kind: type[A]) -> A:
    try:
        return msgspec.convert(reply.fields, kind)
    except msgspec.ValidationError as error:
        raise Unreachable(f"its answer {reply.kind!r} is not as it should be: {text.reason(str(error))}") from error


def _logits(reply: Message) -> NDArray[Any]:
    logits = reply.arrays.get("logits")
    if logits is None:
        raise Unreachable(f"its answer {reply.kind!r} has no logits")
    return logits


def _as_error(fields: Mapping[str, Any]) -> MnistBenchError:
    """Return what a worker's error means here."""
    reason = text.reason(str(fields.get("reason", "no reason")))
    match fields.get("kind"):
        case "refused":
            return ModelRefused(reason)
        case "unavailable":
            return TargetUnavailable(reason)
        case "memory":
            return OutOfMemory("it ran out of the memory it may use")
        case "environment":
            return CannotRun(reason)
        case "unsupported":
            return Unsupported(reason)
    return RuntimeFailed(reason)


@contextlib.contextmanager
def started(launch: Launch, model: runtimes.Model | None, limits: Limits) -> Iterator[Worker]:
    """Start a worker, and end it, and all that it started, at the end of this.

    Args:
        launch: how.
        model: what a command that `reads_path` finds at `{model}`: a private copy.
        limits: on time and memory.

    Raises:
        Unreachable: it cannot be started.
    """
    with scratch.folder() as folder:
        command = launch.command
        if launch.reads_path and model is not None:
            path = _copied(model, folder / "model")
            command = tuple(word.replace("{model}", str(path)) for word in command)
        if launch.sysroot:
            made = str(launch.sysroot.made(folder / "sysroot"))
            command = tuple(made if word == SYSROOT else word for word in command)
        try:
            popen = process.start(
                command,
                memory_limit_bytes=limits.memory_bytes,
                folder=Path(launch.folder or folder),
                environment={**launch.environment, **scratch.variables(folder)},
            )
        except OSError as error:
            raise Unreachable(f"{command[0]} cannot be started: {error.strerror}") from error
        worker = Worker(popen, limits, launch)
        try:
            yield worker
            worker.close()
        finally:
            worker.end()


def _copied(model: runtimes.Model, folder: Path) -> Path:
    """Write a model where nobody else writes; return the file, or the folder where there are several."""
    for name, content in model.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
    return folder / next(iter(model.files)) if len(model.files) == 1 else folder
