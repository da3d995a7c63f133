"""A session as MLPerf LoadGen's system under test."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen
import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import SCENARIOS
from mnist_bench.worker.clock import NANO, Images, WarmUp, answered, split, timed, warmed

CALLS = 30  # to estimate how many queries fill the duration
ENOUGH = 3.0  # so many times the queries that should fill the duration
WARM_UP = WarmUp(50, 0.5)
FILES = {"summary": "mlperf_log_summary.txt", "detail": "mlperf_log_detail.txt"}

Run = Callable[[Images], NDArray[np.float32]]


def driven(run: Run, inputs: Images, load: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Answer all images once, for the check, and then what LoadGen asks.

    Args:
        run: the session.
        inputs: the images, float32 (n, 1, 28, 28).
        load: the fields of the message: scenario, duration_s, rate_per_s, latency_bound_s, batch_size.

    Returns:
        The answers by batches of one and by the largest, and LoadGen's files, as bytes.
    """
    answers = {}
    for name, size in (("logits_1", 1), ("logits_n", load["batch_size"])):
        batches = split(inputs, size)
        answers[name] = answered(run, batches)[: len(inputs)]
        warmed(run, batches, WARM_UP)
    with tempfile.TemporaryDirectory() as logs:
        system = _System(run, inputs, load["batch_size"])
        _drive(system, _settings(system, **load), Path(logs))
        files = {name: Path(logs, file) for name, file in FILES.items()}
        written = {name: np.frombuffer(path.read_bytes(), np.uint8) for name, path in files.items() if path.is_file()}
    return answers | written


class _System:
    """Answers queries in batches; the responses' buffers live until LoadGen has taken them."""

    def __init__(self, run: Run, inputs: Images, batch_size: int) -> None:
        self._run, self._inputs, self._size = run, inputs, batch_size

    @property
    def images(self) -> int:
        """How many images LoadGen can ask for."""
        return len(self._inputs)

    def seconds(self, size: int) -> float:
        """Return what a call on so many images takes, about: LoadGen makes as many queries as that promises."""
        indices = list(range(min(size, len(self._inputs))))
        return statistics.median(timed(self._run, [self._inputs[indices]], CALLS)) * NANO

    def issue(self, samples: Sequence[Any]) -> None:
        """Answer some query samples; called by LoadGen."""
        for at in range(0, len(samples), self._size):
            part = samples[at : at + self._size]
            logits = np.ascontiguousarray(self._run(self._inputs[[sample.index for sample in part]]))
            width = logits.itemsize * logits.shape[1]
            base = logits.ctypes.data
            responses = [
                loadgen.QuerySampleResponse(sample.id, base + place * width, width) for place, sample in enumerate(part)
            ]
            loadgen.QuerySamplesComplete(responses)


def _settings(
    system: _System, scenario: str, duration_s: float, rate_per_s: float, latency_bound_s: float, batch_size: int
) -> Any:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, SCENARIOS[scenario])
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = round(1000 * duration_s)
    settings.min_query_count = 1
    if scenario == "server":
        settings.server_target_qps = rate_per_s
        settings.server_target_latency_ns = round(latency_bound_s / NANO)
        settings.server_target_latency_percentile = 0.99
        settings.server_coalesce_queries = True
    elif scenario == "offline":
        settings.offline_expected_qps = ENOUGH * batch_size / system.seconds(batch_size)
    else:
        settings.single_stream_expected_latency_ns = max(round(system.seconds(1) / ENOUGH / NANO), 1)
    return settings


def _drive(system: _System, settings: Any, logs: Path) -> None:
    output = loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = str(logs), False
    log = loadgen.LogSettings()
    log.log_output, log.enable_trace = output, False
    library = loadgen.ConstructQSL(system.images, system.images, lambda _: None, lambda _: None)
    tested = loadgen.ConstructSUT(system.issue, lambda: None)
    try:
        loadgen.StartTestWithLogSettings(tested, library, settings, log)
    finally:
        loadgen.DestroySUT(tested)
        loadgen.DestroyQSL(library)
        time.sleep(0.1)  # its logger writes in a thread of its own
