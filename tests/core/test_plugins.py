from types import ModuleType

import pytest

from mnist_bench import cli, tracking
from mnist_bench.core import plugins
from mnist_bench.core.errors import BadInput
from mnist_bench.data import sets
from mnist_bench.report import answers, figures, renderers
from mnist_bench.report.page import sections
from mnist_bench.report.views import bench, parity, training
from mnist_bench.training import engines

FOLDERS = {
    sets: "load",
    engines: "create",
    tracking: "create",
    training: "build",
    parity: "build",
    bench: "build",
    figures: "build",
    answers: "build",
    sections: "build",
    renderers: "render",
    cli: "command",
}
PLUGINS = [(folder, name) for folder in FOLDERS for name in plugins.names(folder)]


@pytest.mark.parametrize(("folder", "name"), PLUGINS, ids=lambda value: getattr(value, "__name__", value))
def test_every_module_of_a_plugin_folder_keeps_its_contract(folder: ModuleType, name: str) -> None:
    module = plugins.load(folder, name)
    assert callable(getattr(module, FOLDERS[folder]))
    assert module.__doc__


def test_private_modules_are_no_plugins() -> None:
    assert plugins.names(engines)
    assert not [name for folder in FOLDERS for name in plugins.names(folder) if name.startswith(("_", "-"))]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"no 'abacus' among the engines: choose from .*eager"):
        plugins.load(engines, "abacus")


def test_plugins_come_in_their_order() -> None:
    orders = [module.ORDER for module in plugins.load_all(training)]
    assert orders == sorted(set(orders))
