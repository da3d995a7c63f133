"""Writing a trained network for deployment."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mnist_bench import formats, parity, store
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.errors import BadInput, MnistBenchError, TargetUnavailable
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.types import Artifact, Record
from mnist_bench.stages.requests import Export

Outcome = tuple[str, Precision, Artifact | Skipped | MnistBenchError]
"""A format, a precision, and what came of it."""


def export(folder: Path, asked: Export, on_begin: Callable[[str], None]) -> tuple[Record, list[Outcome]]:
    """Write what was asked for into a run folder, and enter it into the manifest.

    Args:
        folder: the run's; it is locked meanwhile.
        asked: its device is concrete.
        on_begin: is told of every file before it is written.

    Returns:
        The run's record, and what came of every format and precision: one that fails does not stop the others.

    Raises:
        BadInput: there is no such format, or one that was named cannot hold a precision that was.
        RunNotFound: the folder holds no run.
    """
    store.load_record(folder)  # refuses what is no run before a folder is made for its lock
    pairs = list(_pairs(asked))
    outcomes: list[Outcome] = []
    with store.locked(folder):
        record = store.load_record(folder)
        for name, precision in pairs:
            on_begin(f"exporting {name} {precision} …")
            outcomes.append((name, precision, _written(folder, record, name, precision, asked)))
    return record, outcomes


def _pairs(asked: Export) -> Iterator[tuple[str, Precision]]:
    """Yield every format with every precision wanted; a format named on its own must be able to hold them."""
    precisions = asked.precisions
    for name in formats.names() if "all" in asked.names else dict.fromkeys(asked.names):
        held = formats.precisions(name)
        wanted = held if "all" in precisions else [kind for kind in held if kind in precisions]
        missing = set(precisions) - set(held) - {"all"}
        if missing and "all" not in asked.names:
            raise BadInput(f"{name} cannot hold {', '.join(sorted(missing))}: choose from {', '.join(held)}")
        yield from ((name, kind) for kind in wanted)


def _written(
    folder: Path, record: Record, name: str, precision: Precision, asked: Export
) -> Artifact | Skipped | MnistBenchError:
    try:
        return formats.export(
            folder,
            record,
            name,
            precision=precision,
            opset=asked.opset,
            device=asked.device,
            data_dir=asked.data_dir,
            reference=lambda: parity.reference_answers(folder, record, asked.data_dir),
        )
    except MnistBenchError as error:
        return error


def check(outcomes: Sequence[Outcome], *, skipping_is_failing: bool) -> None:
    """Raise one error for all exports that failed, with the exit code of the first.

    Raises:
        ChildFailed: some failed.
        TargetUnavailable: all were skipped; or some, where that is failing.
    """
    skipped = [done for *_, done in outcomes if isinstance(done, Skipped)]
    failed = [(name, kind, done) for name, kind, done in outcomes if isinstance(done, MnistBenchError)]
    if failed:
        reasons = "; ".join(f"{name} {kind}: {error}" for name, kind, error in failed)
        raise ChildFailed(f"{len(failed)} of {len(outcomes)} exports failed: {reasons}", failed[0][2].exit_code)
    if skipped and (skipping_is_failing or len(skipped) == len(outcomes)):
        raise TargetUnavailable("; ".join(map(str, skipped)))
