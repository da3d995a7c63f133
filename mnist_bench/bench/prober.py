"""Inside a measured process: what this machine can do at best, by the products and copies that PyTorch carries."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from mnist_bench.bench._messages import Probed, ProbeRequest
from mnist_bench.core.architecture import Product, inference_products, operations, training_products
from mnist_bench.core.bench_types import Access, Bandwidth, Limits, MatrixRate, Rated
from mnist_bench.core.kinds import PROTOCOL_BATCH

LOOK_S, REPEAT_S = 0.1, 2e-3  # how long to look for the best of runs that last so long each
CHOICE = 0.3  # the share of it that choosing the fastest way takes
TIMER_CALLS = 100_000  # some 5 ms: long enough for the clock, short enough to stay on one core
CALLS_A_GRAPH = 20  # so that the launch of the graph does not count
LARGE: Product = (1024, 1024, 1024)
# From a core's own cache to main memory.
BYTES = (256 * 1024, 2 * 1024**2, 8 * 1024**2, 256 * 1024**2)
TRAINING = f"training step, batch {PROTOCOL_BATCH}"
SHAPES: dict[str, tuple[Product, ...]] = {
    TRAINING: training_products(PROTOCOL_BATCH),
    "inference, batch 128": inference_products(PROTOCOL_BATCH),
    "inference, batch 1024": inference_products(1024),
    "large": (LARGE,),
}
ACCESSES: tuple[Access, ...] = ("read", "copy")
KINDS: dict[str, dict[Rated, torch.dtype]] = {
    "cpu": {"fp32": torch.float32, "bf16": torch.bfloat16},
    "cuda": {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16},
}


@torch.inference_mode()
def probe(wanted: ProbeRequest) -> Probed:
    """Measure the limits for each number of threads."""
    device = wanted.device
    found = []
    for count in wanted.threads:
        torch.set_num_threads(count)
        rates = [
            _matrix_rate(purpose, shapes, precision, device)
            for precision in KINDS[device.partition(":")[0]]
            for purpose, shapes in SHAPES.items()
        ]
        bandwidths = [_bandwidth(access, size, device) for access in ACCESSES for size in BYTES]
        found.append(
            Limits(
                device=device,
                threads=count,
                matrix_rates=tuple(rates),
                bandwidths=tuple(bandwidths),
                timer_s=timer_s(),
            )
        )
    return Probed(tuple(found), builds())


def _matrix_rate(purpose: str, shapes: tuple[Product, ...], precision: Rated, device: str) -> MatrixRate:
    """Measure some products, one after the other, each the fastest way that PyTorch has."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    kind = KINDS[device.partition(":")[0]][precision]
    chosen = []
    for rows, inner, columns in shapes:
        left = torch.randn(rows, inner, device=device).to(kind)
        weight = torch.randn(columns, inner, device=device).to(kind)
        ways = _ways(left, weight, constant=purpose != TRAINING)
        chosen.append(min(ways, key=lambda way: best(way, device, CHOICE)) if len(ways) > 1 else ways[0])

    def run() -> None:
        for way in chosen:
            way()

    rate = operations(shapes) / best(run, device)
    return MatrixRate(shapes=shapes, purpose=purpose, precision=precision, flop_per_s=rate)


def _ways(left: torch.Tensor, weight: torch.Tensor, constant: bool) -> list[Callable[[], object]]:
    """Return the ways to multiply left (m, k) by weight (n, k) transposed; a constant weight may be packed before."""
    out = left.new_empty(len(left), len(weight))
    ways: list[Callable[[], object]] = [partial(torch.mm, left, weight.t(), out=out)]
    one_dnn = torch.ops.mkldnn
    if left.device.type == "cpu" and left.dtype == torch.float32 and hasattr(one_dnn, "_linear_pointwise"):
        # Private: what torch.compile calls for oneDNN. The public way is MKL's, which is not the fastest everywhere.
        packed = [one_dnn._reorder_linear_weight(weight, len(left))] if constant else []
        ways += [partial(one_dnn._linear_pointwise, left, one, None, "none", [], "") for one in (weight, *packed)]
    return ways


def _bandwidth(access: Access, size_bytes: int, device: str) -> Bandwidth:
    """Sum, or copy, so many bytes of memory in all."""
    if access == "read":
        source = torch.ones(size_bytes // 4, device=device)
        seconds = best(source.sum, device)
    else:
        source = torch.ones(size_bytes // 8, device=device)
        copy = torch.empty_like(source)
        seconds = best(lambda: copy.copy_(source), device)
    return Bandwidth(access=access, size_bytes=size_bytes, bytes_per_s=size_bytes / seconds)


def best(run: Callable[[], object], device: str, share: float = 1.0) -> float:
    """Return the seconds of one call: the best of runs that last long enough for the clock, for a share of the time."""
    wait: Callable[[], object] = int
    calls_a_go = 1
    if device.startswith("cuda"):
        wait, run, calls_a_go = partial(torch.cuda.synchronize, device), _recorded(run, device), CALLS_A_GRAPH

    def seconds(goes: int) -> float:
        wait()
        began = time.perf_counter()
        for _ in range(goes):
            run()
        wait()
        return (time.perf_counter() - began) / goes

    seconds(1)
    fastest = seconds(1)
    end = time.perf_counter() + share * LOOK_S
    while time.perf_counter() < end:
        fastest = min(fastest, seconds(max(1, int(REPEAT_S / fastest))))
    return fastest / calls_a_go


def _recorded(run: Callable[[], object], device: str) -> Callable[[], object]:
    """Return what makes some calls as one CUDA graph: from Python, a small product takes as long as its launch."""
    with torch.cuda.device(device):
        run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(CALLS_A_GRAPH):
                run()
    return graph.replay


def timer_s() -> float:
    """Return what it costs to read the clock once, in seconds."""
    began = time.perf_counter_ns()
    for _ in range(TIMER_CALLS):
        time.perf_counter_ns()
    return (time.perf_counter_ns() - began) * 1e-9 / TIMER_CALLS


def builds() -> dict[str, str]:
    """Tell how the numerical libraries were built, as far as they tell themselves."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "torch BLAS": _line(torch.__config__.show(), "Math Kernel Library") or "other than MKL",
        "torch oneDNN": _line(torch.__config__.show(), "MKL-DNN") or "none",
        "torch instructions": torch.backends.cpu.get_cpu_capability(),
        "numpy BLAS": f"{blas.get('name')} {blas.get('version')}",
    }


def _line(text: str, word: str) -> str | None:
    return next((line.strip(" -") for line in text.splitlines() if word in line), None)
