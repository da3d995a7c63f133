"""In what two machines, their software and their settings differ, by what records say of them."""

from collections.abc import Sequence

from msgspec import Struct

from mnist_bench.core.bench_types import Conditions
from mnist_bench.core.types import Environment


def machine_differences(one: Environment, other: Environment) -> list[str]:
    """Return in what two machines differ."""
    return _differences(one, other, ("cpu_model", "cores", "memory_bytes", "platform", "virtual_machine", "gpu"))


def software_differences(one: Environment, other: Environment) -> list[str]:
    """Return in what the software on two machines, or at two times, differs."""
    return _differences(one, other, ("python", "libraries", "gpu_driver"))


def condition_differences(one: Conditions, other: Conditions) -> list[str]:
    """Return in what the settings that change a machine's speed differ."""
    return _differences(one, other, ("affinity", "governor", "variables", "builds"))


def _differences(one: Struct, other: Struct, names: Sequence[str]) -> list[str]:
    pairs = ((name, getattr(one, name), getattr(other, name)) for name in names)
    return [f"{name.replace('_', ' ')}: {_short(a, b)}" for name, a, b in pairs if a != b]


def _short(one: object, other: object) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        changed = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        return ", ".join(f"{name} {one.get(name)} and {other.get(name)}" for name in changed)
    return f"{one} and {other}"
