"""What a verified file carries with it: the verdict, in a few words each."""

from collections.abc import Sequence

import mnist_bench
from mnist_bench.analysis.parity import flipped
from mnist_bench.analysis.processors import certified
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import ParityRecord, ParityResult

FORMAT = "onnx"


def facts(record: ParityRecord, own: Precision | None) -> dict[str, str]:
    """Return what to say of a file that passed.

    Args:
        record: a comparison in which nothing failed.
        own: the precision of the run's own ONNX file that it is of; None where all of it is of one foreign file.

    Raises:
        BadInput: no runtime that was asked opens the file: nothing is known of it.
    """
    results = [one for one in record.results if own is None or _is_of(one, own)]
    if not results:
        raise BadInput(f"nothing that was asked opens the run's {FORMAT} file of {own}: name a --runtime that does")
    proved = certified(record, results[0].configuration)
    said = {
        "verdict": "passed",
        "verified_at": record.environment.started_at,
        "reference": record.name,
        "reference_sha256": record.weights_sha256,
        "dataset": record.dataset,
        "certified": f"{len(proved)} of {len(record.labels)}" if proved else "",
        "flips": str(flipped(record, results)),
        "configurations": str(len(results)),
        "runtimes": _runtimes(results),
        "assumed": ", ".join(record.assumed),
        "machine": f"{record.environment.cpu_model or 'unknown processor'}, {record.environment.platform}",
        "version": mnist_bench.__version__,
    }
    return {name: value for name, value in said.items() if value}


def _is_of(result: ParityResult, precision: Precision) -> bool:
    return (result.configuration.format, result.configuration.precision) == (FORMAT, precision)


def _runtimes(results: Sequence[ParityResult]) -> str:
    """Name each target once, with its version and what ran it."""
    named = (one.configuration for one in results)
    return "; ".join(dict.fromkeys(f"{own.target} {own.version} ({own.provider})" for own in named))
