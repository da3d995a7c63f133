"""Inside a measured process: a session as MLPerf LoadGen's system under test."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen
import numpy as np

from mnist_bench import runtimes
from mnist_bench.bench import SCENARIOS
from mnist_bench.bench.worker import NANO, Images, WarmUp, answered, split, timed, warmed

CALLS = 30
ENOUGH = 3.0  # so many times the queries that should fill the duration
KINDS = (loadgen.TestScenario.SingleStream, loadgen.TestScenario.Offline, loadgen.TestScenario.Server)


def serve(
    runtime: str,
    model: dict[str, Any],
    device: str,
    threads: int,
    images: str,
    answers: str,
    load: dict[str, Any],
    logs: str,
) -> dict[str, Any]:
    """Answer all images once, for the check, and then what LoadGen asks.

    Args:
        runtime: its name.
        model: the fields of a `runtimes.Model`.
        device: `cpu` or `cuda:N`.
        threads: CPU threads of an operation.
        images: an `.npy` file, float32 (n, 1, 28, 28).
        answers: a folder to put the answers to them into, by batches of one and by the largest.
        load: the fields of a `loadgen.Load`.
        logs: a folder for LoadGen's files.

    Returns:
        How the session ran: version, provider and precision.
    """
    inputs: Images = np.load(images)
    module = runtimes.load(runtime)
    source = runtimes.Model(**model | {"path": Path(model["path"])})
    with module.open(source, runtimes.Spec(device, threads)) as session:
        for size in (1, load["batch_size"]):
            batches = split(inputs, size)
            np.save(Path(answers, f"loaded-{size}.npy"), answered(session.run, batches)[: len(inputs)])
            warmed(session.run, batches, WarmUp(50, 0.5))
        system = _System(session, inputs, load["batch_size"])
        _drive(system, _settings(system, **load), Path(logs))
        effective = session.inspect()
    return {"version": module.version(), "provider": effective.provider, "precision": effective.precision}


class _System:
    """Answers queries in batches; the responses' buffers live until LoadGen has taken them."""

    def __init__(self, session: runtimes.Session, inputs: Images, batch_size: int) -> None:
        self._run, self._inputs, self._size = session.run, inputs, batch_size

    def seconds(self, size: int) -> float:
        """Return what a call on so many images takes, about: LoadGen makes as many queries as that promises."""
        indices = list(range(min(size, len(self._inputs))))
        return statistics.median(timed(self._run, [self._inputs[indices]], CALLS))

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
    kinds = dict(zip(SCENARIOS, KINDS, strict=True))
    settings.scenario, settings.mode = kinds[scenario], loadgen.TestMode.PerformanceOnly
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
    count = len(system._inputs)
    library = loadgen.ConstructQSL(count, count, lambda _: None, lambda _: None)
    tested = loadgen.ConstructSUT(system.issue, lambda: None)
    try:
        loadgen.StartTestWithLogSettings(tested, library, settings, log)
    finally:
        loadgen.DestroySUT(tested)
        loadgen.DestroyQSL(library)
        time.sleep(0.1)  # its logger writes in a thread of its own
