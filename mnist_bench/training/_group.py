"""The processes that train one network: what one of them does for all, and how an error of one becomes everyone's.

What they tell each other goes over a process group of torch.distributed, whose operations fail at once where another
process has ended, and after a time limit where it is silent.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import msgspec
import torch
import torch.distributed as dist

from mnist_bench.core import torchrun
from mnist_bench.core.errors import BUG, CTRL_C, SIGNALLED, FailedElsewhere, Interrupted, MnistBenchError, ProcessLost
from mnist_bench.core.torchrun import Place

SILENT_S = 600.0
"""A process that does not answer for so long counts as lost: loading, evaluating and saving take less."""

SIGNS_OF_A_LOSS = ("gloo/transport", "pair closure", "Connection closed by peer", "Connection reset by peer")
"""In the messages of gloo's errors, which have no type of their own."""

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """All processes that train together, as one of them sees them; a single one needs nobody and nothing.

    Every method that is not a property must be called by all of them in the same order.
    """

    place: Place = field(default_factory=Place)

    @property
    def size(self) -> int:
        """How many there are."""
        return self.place.size

    @property
    def leads(self) -> bool:
        """Whether this is the first one, which reads, writes and speaks for all."""
        return self.place.rank == 0

    def device(self, name: str) -> str:
        """Return this process's own device of a kind: `cpu`, or of several CUDA devices its own."""
        return name if self.size == 1 or name == "cpu" else f"cuda:{self.place.local_rank}"

    def together(self, action: Callable[[], T]) -> T:
        """Do something in every process; an error of one is raised in all, that of the lowest rank.

        Raises:
            FailedElsewhere: another process failed, with this exit code.
        """
        if self.size == 1:
            return action()
        error = None
        try:
            result = action()
        except MnistBenchError as caught:
            error = caught
        failed = _reduced(self.size if error is None else self.place.rank, dist.ReduceOp.MIN)
        if failed == self.size:
            return result
        told = msgspec.msgpack.encode((str(error), error.exit_code) if error else None)
        message, exit_code = msgspec.msgpack.decode(_sent(told, failed, self.place.rank), type=tuple[str, int])
        if error is not None and failed == self.place.rank:
            raise error
        raise FailedElsewhere(f"process {failed} of {self.size}: {message}", exit_code)

    def first(self, action: Callable[[], T], kind: type[T]) -> T:
        """Do something in the first process while the others wait; its result, or its error, is everyone's.

        Args:
            action: what to do.
            kind: the type of its result, one that msgspec can encode.
        """
        if self.size == 1:
            return action()
        result = self.together(lambda: action() if self.leads else None)
        content = _sent(msgspec.msgpack.encode(result), 0, self.place.rank)
        return msgspec.msgpack.decode(content, type=kind)

    def agreed(self, stop: Callable[[], int | None]) -> Callable[[], int | None]:
        """Return a `stop` that gives every process the same answer: the highest signal that came to any."""
        if self.size == 1:
            return stop
        return lambda: _reduced(stop() or 0, dist.ReduceOp.MAX) or None


ALONE = Group()


@contextlib.contextmanager
def process_group(silent_s: float = SILENT_S) -> Iterator[Group]:
    """Join the processes that torchrun has started, or be alone; leave at the end.

    An error that leaves this is said by the first process alone: in the others it becomes a FailedElsewhere without
    words, of the same exit code.

    Raises:
        BadInput: the variables that torchrun sets are there in part.
        ProcessLost: another process is gone, or silent for too long.
    """
    place = torchrun.place()
    if place.size == 1:
        yield ALONE
        return
    try:
        with _losses_explained(place.size):
            _join(place, silent_s)
            try:
                yield Group(place)
            finally:
                _leave()
    except (MnistBenchError, KeyboardInterrupt, SystemExit) as error:
        if place.rank:
            raise FailedElsewhere("", _exit_code(error)) from error
        if isinstance(error, MnistBenchError) or _exit_code(error) <= SIGNALLED:
            raise
        words = f"stopped; what was saved is there: start the {place.size} processes again, with --resume"
        raise Interrupted(words, _exit_code(error) - SIGNALLED) from error


def _leave() -> None:
    """Give the process group back while Python still can: what of it is left at the exit aborts the process."""
    gc.collect()  # DistributedDataParallel refers to itself, and holds the group
    if dist.is_initialized():
        dist.destroy_process_group()


def _join(place: Place, silent_s: float) -> None:
    cuda = torch.cuda.is_available() and place.local_rank < torch.cuda.device_count()
    if cuda:
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        timeout=timedelta(seconds=silent_s),
        rank=place.rank,
        world_size=place.size,
    )


@contextlib.contextmanager
def _losses_explained(size: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or any(sign in str(error) for sign in SIGNS_OF_A_LOSS)):
            raise
        raise ProcessLost(
            f"one of the {size} processes is gone, or does not answer; what was saved is there: "
            f"start them again, with --resume"
        ) from error


def _exit_code(error: BaseException) -> int:
    match error:
        case MnistBenchError():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG
    return CTRL_C


def _reduced(number: int, how: dist.ReduceOp.RedOpType) -> int:
    tensor = torch.tensor(number)
    dist.all_reduce(tensor, how)
    return int(tensor)


def _sent(content: bytes, source: int, rank: int) -> bytes:
    """Send bytes from one process to all."""
    size = torch.tensor(len(content))
    dist.broadcast(size, source)
    own = rank == source
    buffer = (
        torch.frombuffer(bytearray(content), dtype=torch.uint8) if own else torch.empty(int(size), dtype=torch.uint8)
    )
    dist.broadcast(buffer, source)
    return buffer.numpy().tobytes()
