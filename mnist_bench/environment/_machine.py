"""The machine, the libraries and the devices."""

import datetime
import os
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil

from mnist_bench.core.errors import BadInput, DeviceUnavailable
from mnist_bench.core.types import Environment
from mnist_bench.environment._quota import cpu_quota

INSTRUCTIONS = (
    *("sse4_1", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)
"""What Linux calls the instruction sets, of x86 and of ARM, by which libraries choose their kernels."""

LIBRARIES = ("mnist-bench", "torch", "onnx", "onnxruntime", "numpy", "scikit-learn")


def library_version(name: str) -> str | None:
    """Return the installed version of a distribution without importing it, or None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def available_cores() -> int:
    """Return how many logical cores this process may keep busy: those of its affinity, as far as its quota goes.

    Of a quota of 1.5 cores one is kept busy: with two threads both would be made to wait.
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return affine if quota is None else max(min(affine, int(quota)), 1)


def default_threads() -> int:
    """Return how many threads to use where none are asked for: `OMP_NUM_THREADS`, at most all cores; else these."""
    cores, (first, *_) = available_cores(), os.environ.get("OMP_NUM_THREADS", "").split(",")
    return min(int(first), cores) if first.strip().isdecimal() and int(first) else cores


def free_memory_bytes() -> int:
    """Return how much memory can be allocated before this machine begins to swap."""
    return int(psutil.virtual_memory().available)


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def collect(device: str = "cpu") -> Environment:
    """Describe this machine; the GPU too, where `device` is one."""
    cpuinfo = _proc_cpuinfo()
    return Environment(
        started_at=now(),
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        cpu_model=processor(cpuinfo) or platform.processor() or None,
        cores=available_cores(),
        cpu_quota=cpu_quota(),
        memory_bytes=psutil.virtual_memory().total,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        virtual_machine="hypervisor" in cpuinfo["flags"].split() if "flags" in cpuinfo else None,
        libraries={name: version for name in LIBRARIES if (version := library_version(name))},
        instructions=instructions(cpuinfo),
        **_gpu(device),
    )


def processor(cpuinfo: Mapping[str, str]) -> str | None:
    """Return a processor's name, with family and model where a virtual machine leaves the name without a number."""
    name = cpuinfo.get("model name")
    told = [f"{key.removeprefix('cpu ')} {cpuinfo[key]}" for key in ("cpu family", "model") if key in cpuinfo]
    if not name or not told or any(letter.isdigit() for letter in name):
        return name
    return f"{name} ({', '.join(told)})"


def instructions(cpuinfo: Mapping[str, str]) -> tuple[str, ...]:
    """Return which of `INSTRUCTIONS` a processor has."""
    there = f"{cpuinfo.get('flags', '')} {cpuinfo.get('Features', '')}".split()
    return tuple(name for name in INSTRUCTIONS if name in there)


def processor_identity() -> tuple[str, ...]:
    """Return all that tells which instructions this processor has, and how they are best used."""
    cpuinfo = _proc_cpuinfo()
    told = (cpuinfo.get("flags", ""), cpuinfo.get("Features", ""), cpuinfo.get("CPU part", ""))
    return platform.machine(), processor(cpuinfo) or platform.processor(), *told


def resolve_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a concrete device that is there: `cpu` or `cuda:N`.

    Raises:
        BadInput: the name is none of these.
        DeviceUnavailable: there is no such CUDA device here.
    """
    if name == "cpu":
        return name
    kind, _, index = name.partition(":")
    if name != "auto" and (kind != "cuda" or (index and not index.isdecimal()) or name.endswith(":")):
        raise BadInput(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N")
    count = _cuda_devices()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    if int(index or 0) >= count:
        found = f"{count} CUDA device{'s' if count > 1 else ''}" if count else "no CUDA device"
        raise DeviceUnavailable(f"device {name!r} is not available: torch sees {found}; use --device cpu or auto")
    return f"cuda:{int(index or 0)}"


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _gpu(device: str) -> dict[str, str | None]:
    if not device.startswith("cuda"):
        return {}
    import torch

    driver = Path("/proc/driver/nvidia/version")
    version = driver_version(driver.read_text(encoding="utf-8")) if driver.exists() else None
    return {"gpu": torch.cuda.get_device_name(device), "gpu_driver": version}


def driver_version(text: str) -> str | None:
    """Return the version that NVIDIA's driver names, in the words of its closed or of its open kernel module."""
    found = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", text.partition("\n")[0])
    return found and found.group()


def _proc_cpuinfo() -> dict[str, str]:
    """Return the first processor's entries of Linux's /proc/cpuinfo; empty on other systems."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text(encoding="utf-8").partition("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
