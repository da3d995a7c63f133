"""What machine this is, which libraries are installed, which devices can be used, and what may change its speed."""

from mnist_bench.environment._conditions import Usage, conditions, usage_since, used
from mnist_bench.environment._machine import (
    available_cores,
    collect,
    free_memory_bytes,
    library_version,
    now,
    processor_identity,
    resolve_device,
)

__all__ = [
    "Usage",
    "available_cores",
    "collect",
    "conditions",
    "free_memory_bytes",
    "library_version",
    "now",
    "processor_identity",
    "resolve_device",
    "usage_since",
    "used",
]
