"""Folders whose modules are plug-ins: the file name is the registration, and there is no list to edit.

A package with a mapping `OPEN` takes plug-ins of other distributions too: entry points of the group that is called as
the package, `mnist_bench.runtimes` say, each the name of a plug-in and its module. One that cannot be imported has the
attributes of that mapping, and says why it cannot be used: the others are not harmed.
"""

import functools
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.text import of_error, reason

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def names(package: ModuleType) -> tuple[str, ...]:
    """Return the plug-in names of a package, sorted, without importing any of them.

    A module `torch_export.py` is the plug-in `torch-export`; a leading underscore hides a module.
    """
    return tuple(sorted({*names_in(package.__path__), *_of_others(package)}))


def _of_others(package: ModuleType) -> "Mapping[str, EntryPoint]":
    """Return what other distributions add to a package."""
    if not hasattr(package, "OPEN"):
        return {}
    return _entry_points(package.__name__, tuple((folder, _changed_at(folder)) for folder in sys.path))


def _changed_at(folder: str) -> int:
    """Return when something was last put into a folder, or taken from it, in ns; 0 where there is none."""
    try:
        return os.stat(folder or os.curdir).st_mtime_ns  # noqa: PTH116 whatever stands in the path
    except (OSError, ValueError):
        return 0


@functools.lru_cache(maxsize=8)
def _entry_points(group: str, _path: tuple[tuple[str, int], ...]) -> "Mapping[str, EntryPoint]":
    """Read what distributions on the path declare, which takes a while: anew where the path or a folder has changed."""
    from importlib import metadata

    return {entry.name: entry for entry in metadata.entry_points(group=group)}


def names_in(folders: Iterable[str]) -> tuple[str, ...]:
    """Return the plug-in names of some folders, without importing even the package: for a text of help."""
    modules = (info.name for info in pkgutil.iter_modules(folders))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def load(package: ModuleType, name: str) -> ModuleType:
    """Import one plug-in of a package by its name; its own before one of another distribution.

    Raises:
        BadInput: no module of that name is in the package's folder; its `SEVERAL` is what such modules are called, if
            that is not the package's name.
    """
    if name not in names_in(package.__path__):
        if entry := _of_others(package).get(name):
            return _of_other(package, entry)
        kind = getattr(package, "SEVERAL", package.__name__.rpartition(".")[2])
        raise BadInput(f"no {name!r} among the {kind}: choose from {', '.join(names(package))}")
    return importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}")


def _of_other(package: ModuleType, entry: "EntryPoint") -> ModuleType:
    """Import the module of an entry point, or return one that says why that cannot be done."""
    try:
        module: ModuleType = entry.load()
        lacking = [name for name in (*package.OPEN, "why_unavailable") if not hasattr(module, name)]
        why = f"it lacks {', '.join(lacking)}" if lacking else None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 it is anybody's code, and may want to end us
        why = f"it cannot be imported: {reason(of_error(error))}"
    if why is None:
        return module
    skipped = Skipped(entry.name, why, f"mend or remove {entry.dist.name if entry.dist else entry.value}")
    broken = ModuleType(entry.value)
    vars(broken).update(package.OPEN, why_unavailable=lambda: skipped)
    return broken


def load_all(package: ModuleType) -> tuple[ModuleType, ...]:
    """Import every plug-in of a package, in the order of their `ORDER` attribute, then of their names."""
    modules = (load(package, name) for name in names(package))
    return tuple(sorted(modules, key=lambda module: (getattr(module, "ORDER", 0), module.__name__)))
