"""What can change a machine's speed from one minute to the next; recorded, never set."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import mnist_bench
from mnist_bench.core.bench_types import Conditions
from mnist_bench.environment._machine import available_cores
from mnist_bench.environment._quota import throttled_periods

SETTINGS = ("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "TORCH", "ORT_", "CUDA_", "NVIDIA_TF32_OVERRIDE")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
GPU_FIELDS = (
    "clocks.sm",
    "clocks.mem",
    "power.limit",
    "temperature.gpu",
    "pstate",
    "persistence_mode",
    "driver_version",
)
LOOK_S = 1.0  # shorter looks are mostly rounding: the system counts in hundredths of a second


@dataclass(frozen=True)
class Usage:
    """Processor time used until a moment: by all, by the hypervisor's other guests, and by us; in seconds."""

    all_s: float
    steal_s: float | None
    ours_s: float
    at_s: float


def used() -> Usage:
    """Return the processor time used until now, on the cores that this process may use."""
    cores = [one for place, one in enumerate(psutil.cpu_times(percpu=True)) if place in affinity()]
    steal = sum(one.steal for one in cores) if hasattr(cores[0], "steal") else None
    return Usage(sum(map(_busy_s, cores)), steal, sum(os.times()[:4]), time.monotonic())


def _busy_s(core: Any) -> float:
    """Return the seconds that a core has worked for this system; guests' are part of user and nice already."""
    idle = ("idle", "iowait", "steal", "guest", "guest_nice")
    return float(sum(core) - sum(getattr(core, name, 0.0) for name in idle))


def affinity() -> tuple[int, ...]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(available_cores()))


def usage_since(before: Usage) -> tuple[float, float | None]:
    """Return which shares of our cores' time other processes, and other guests of the hypervisor, have taken since."""
    after = used()
    capacity = max(after.at_s - before.at_s, 1e-9) * len(affinity())
    others = (after.all_s - before.all_s) - (after.ours_s - before.ours_s)
    steal = None if after.steal_s is None or before.steal_s is None else after.steal_s - before.steal_s
    return max(others, 0.0) / capacity, None if steal is None else max(steal, 0.0) / capacity


def conditions(device: str = "cpu") -> Conditions:
    """Look for a second at what this machine does besides, and at everything that may change its speed.

    `builds` is left empty: only a process that has imported the libraries can tell.
    """
    before = used()
    time.sleep(LOOK_S)
    busy, steal = usage_since(before)
    commit, dirty = _source()
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return Conditions(
        affinity=affinity(),
        governor=GOVERNOR.read_text().strip() if GOVERNOR.exists() else None,
        frequency_hz=frequency.current * 1e6 if frequency and frequency.current else None,
        busy_share=busy,
        steal_share=steal,
        variables={name: os.environ[name] for name in sorted(os.environ) if name.startswith(SETTINGS)},
        builds={},
        commit=commit,
        dirty=dirty,
        gpu=_gpu(device),
        throttled_periods=throttled_periods(),
    )


def _source() -> tuple[str | None, bool | None]:
    """Return the commit of mnist-bench's source, and whether it was changed since; None where it is no checkout."""
    root = Path(mnist_bench.__file__).parent.parent
    if not (root / ".git").exists():
        return None, None
    commit, changes = _said("git", "-C", str(root), "rev-parse", "HEAD"), None
    if commit:
        changes = _said("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return commit or None, None if changes is None else bool(changes)


def _gpu(device: str) -> dict[str, str]:
    if not device.startswith("cuda"):
        return {}
    index = device.partition(":")[2] or "0"
    said = _said("nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader", f"--id={index}")
    return dict(zip(GPU_FIELDS, (value.strip() for value in said.split(",")), strict=False)) if said else {}


def _said(*command: str) -> str | None:
    """Return what a command prints; None where it is not there or fails."""
    program = shutil.which(command[0])
    if not program:
        return None
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 fixed words
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
