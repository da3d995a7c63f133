"""Folders whose modules are plug-ins: the file name is the registration, and there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from mnist_bench.core.errors import BadInput


def names(package: ModuleType) -> tuple[str, ...]:
    """Return the plug-in names of a package, sorted, without importing any of them.

    A module `torch_export.py` is the plug-in `torch-export`; a leading underscore hides a module.
    """
    return names_in(package.__path__)


def names_in(folders: Iterable[str]) -> tuple[str, ...]:
    """Return the plug-in names of some folders, without importing even the package: for a text of help."""
    modules = (info.name for info in pkgutil.iter_modules(folders))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def load(package: ModuleType, name: str) -> ModuleType:
    """Import one plug-in of a package by its name.

    Raises:
        BadInput: no module of that name is in the package's folder; its `SEVERAL` is what such modules are called, if
            that is not the package's name.
    """
    if name not in names(package):
        kind = getattr(package, "SEVERAL", package.__name__.rpartition(".")[2])
        raise BadInput(f"no {name!r} among the {kind}: choose from {', '.join(names(package))}")
    return importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}")


def load_all(package: ModuleType) -> tuple[ModuleType, ...]:
    """Import every plug-in of a package, in the order of their `ORDER` attribute, then of their names."""
    modules = (load(package, name) for name in names(package))
    return tuple(sorted(modules, key=lambda module: (getattr(module, "ORDER", 0), module.__name__)))
