"""What machine this is, which libraries are installed, which devices can be used, and what may change its speed."""

from mnist_bench.environment._conditions import Usage, conditions, usage_since, used
from mnist_bench.environment._extras import extras, install_extra
from mnist_bench.environment._installed import installed_bytes
from mnist_bench.environment._machine import (
    available_cores,
    collect,
    default_threads,
    free_memory_bytes,
    library_version,
    now,
    processor_identity,
    resolve_device,
)
from mnist_bench.environment._quota import cpu_quota, throttled_periods

__all__ = [
    "Usage",
    "available_cores",
    "collect",
    "conditions",
    "cpu_quota",
    "default_threads",
    "extras",
    "free_memory_bytes",
    "install_extra",
    "installed_bytes",
    "library_version",
    "now",
    "processor_identity",
    "resolve_device",
    "throttled_periods",
    "usage_since",
    "used",
]
