"""Processes, on one machine or on several, that share a study's jobs through a rendezvous store.

Whoever is free takes the next job, so that a faster machine does more. The store holds small values under keys:
`plan`; `taken/I`, the rank that took job I; `result/I`, in how many pieces its outcome lies under `result/I/…`;
`beat/R`, which changes while rank R lives; `left/R`; `stop`. Everything is JSON, and rank 0 alone writes files. A study
of one process goes the same way, with a store within that process.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from mnist_bench.core.errors import BadInput, EnvironmentProblem, Interrupted, MnistBenchError
from mnist_bench.study.jobs import Outcome, Plan

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

POLL_S = 0.2  # a training takes seconds at least
BEAT_S, LOST_S = 2.0, 60.0  # thirty beats that nobody heard: machines do pause for seconds
JOIN_S, LEAVE_S = 300.0, 10.0  # until every process is there, and until it has left
PIECE = 1024**2  # characters, of at most 4 bytes: torch's TCPStore refuses values above 8 MiB
SIGNALLED = 128  # an exit code above it is a signal's


class Crew:
    """All processes of a study, as the one of rank `rank` sees them.

    Every method raises EnvironmentProblem where the store cannot be reached any more.
    """

    def __init__(self, store: "Store", rank: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rank, self.size = rank, size
        self._store, self._clock = store, clock
        self._next = 0
        self._takers: dict[int, int] = {}
        self._seen: dict[int, tuple[bytes, float]] = {}

    def publish(self, plan: Plan) -> None:
        """Tell all others what to do."""
        with _reaching():
            self._store.set("plan", msgspec.json.encode(plan).decode())

    def plan(self) -> Plan:
        """Wait until rank 0 has told what to do, however long it loads data.

        Raises:
            EnvironmentProblem: it ended before, or is gone.
        """
        while (plan := self._get("plan")) is None:
            self.check_keeper(JOIN_S)
            time.sleep(POLL_S)
        return msgspec.json.decode(plan, type=Plan)

    def take(self, jobs: int) -> int | None:
        """Take the next of so many jobs that nobody has taken; None where there is none."""
        own = str(self.rank)
        while self._next < jobs:
            index, self._next = self._next, self._next + 1
            with _reaching():
                taker = self._store.compare_set(f"taken/{index}", "", own)
            if taker.decode() == own:
                return index
        return None

    def post(self, index: int, outcome: Outcome) -> None:
        """Hand in what a job came to."""
        content = msgspec.json.encode(outcome).decode()
        pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        with _reaching():
            for number, piece in enumerate(pieces):
                self._store.set(f"result/{index}/{number}", piece)
            self._store.set(f"result/{index}", str(len(pieces)))

    def poll_results(self, awaited: Iterable[int]) -> Iterator[tuple[int, Outcome | None, int]]:
        """Yield each of these jobs that is over, what it came to, and who took it: None where that process is gone."""
        for index in sorted(awaited):
            taker = self._taker(index)
            if taker is None:  # jobs are taken in their order, so none behind it is taken
                return
            if (outcome := self._outcome(index)) or not self.alive(taker):
                yield index, outcome, taker

    def _taker(self, index: int) -> int | None:
        if index not in self._takers and (rank := self._get(f"taken/{index}")) is not None:
            self._takers[index] = int(rank)
        return self._takers.get(index)

    def _outcome(self, index: int) -> Outcome | None:
        pieces = self._get(f"result/{index}")
        if pieces is None:
            return None
        with _reaching():
            content = b"".join(self._store.get(f"result/{index}/{number}") for number in range(int(pieces)))
            for number in range(int(pieces)):
                self._store.delete_key(f"result/{index}/{number}")
        return msgspec.json.decode(content, type=Outcome)

    def beat(self, number: int) -> None:
        """Show the others that this process lives."""
        with _reaching():
            self._store.set(f"beat/{self.rank}", str(number))

    def alive(self, rank: int, patience_s: float = LOST_S) -> bool:
        """Tell whether a process has shown that it lives, not longer ago than that."""
        if rank == self.rank:
            return True
        now, shown = self._clock(), self._get(f"beat/{rank}") or b""
        if rank not in self._seen or self._seen[rank][0] != shown:
            self._seen[rank] = shown, now
        return now - self._seen[rank][1] < patience_s

    def leave(self) -> None:
        """Tell rank 0 that this process needs the store no more."""
        with _reaching():
            self._store.set(f"left/{self.rank}", "")

    def wait_for_workers(self) -> None:
        """Wait a little, until no other process needs the store: it may be one that ends with this process."""
        until = self._clock() + LEAVE_S
        staying = set(range(1, self.size))
        while staying and self._clock() < until:
            staying = {rank for rank in staying if self._get(f"left/{rank}") is None and self.alive(rank)}
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Do what rank 0 does; where that ends before its end, the others are told."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(EnvironmentProblem):
                self.end(getattr(error, "exit_code", MnistBenchError.exit_code))
            raise

    def end(self, exit_code: int) -> None:
        """Tell the others that rank 0 ends with this exit code before the study does."""
        with _reaching():
            self._store.set("stop", str(exit_code))

    def check_keeper(self, patience_s: float = LOST_S) -> None:
        """Raise where rank 0 has ended, or is gone: nobody would save what is done from now on.

        Raises:
            Interrupted: a signal stopped it.
            EnvironmentProblem: something else did.
        """
        if self.rank == 0:
            return
        if (code := self._get("stop")) is not None:
            if int(code) > SIGNALLED:
                raise Interrupted("stopped, as rank 0 was; it tells how to go on", int(code) - SIGNALLED)
            raise EnvironmentProblem(f"rank 0 ended with exit code {int(code)}: see what it says")
        if not self.alive(0, patience_s):
            raise EnvironmentProblem(
                f"rank 0 has not been heard of for {patience_s:g} s: see what it says, and go on with --resume"
            )

    def _get(self, key: str) -> bytes | None:
        with _reaching():
            return self._store.get(key) if self._store.check([key]) else None


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Turn torch's errors of a lost connection into ours."""
    import torch.distributed as dist

    try:
        yield
    except dist.DistError as error:
        reason = str(error).partition("\n")[0]
        raise EnvironmentProblem(
            f"the other processes of the study cannot be reached ({reason}): see what rank 0 says"
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[Crew]:
    """Join the processes that torchrun has started, or be alone; leave at the end.

    Raises:
        BadInput: some of the variables are set that torchrun sets, and others are not.
        EnvironmentProblem: the others cannot be reached.
    """
    from torch.distributed import HashStore, PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Crew(HashStore(), rank=0, size=1)
        return
    try:
        with _reaching():
            found, rank, size = next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_S))))
    except ValueError as error:
        raise BadInput(
            f"WORLD_SIZE is set, but torchrun did not start this process ({error}): unset it, or use torchrun"
        ) from error
    crew = Crew(PrefixStore("mnist-bench", found), rank, size)
    with _beating(crew):
        yield crew


@contextlib.contextmanager
def _beating(crew: Crew) -> Iterator[None]:
    """Show from a thread of its own that this process lives."""
    over = threading.Event()

    def beat() -> None:
        number = 0
        with contextlib.suppress(EnvironmentProblem):  # whoever does the work meets it too
            while not over.is_set():
                crew.beat(number)
                number += 1
                over.wait(BEAT_S)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
