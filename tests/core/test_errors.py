import inspect
import re

from mnist_bench.core import errors


def test_the_tree_in_the_docstring_names_every_error() -> None:
    defined = {
        name for name, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__
    }
    assert set(re.findall(r"[A-Z][a-z]\w+(?=\s|$)", errors.__doc__ or "")) >= defined


def test_exit_codes_are_those_of_the_design() -> None:
    codes = {
        errors.TrainingDiverged: 1,
        errors.AccuracyTooLow: 1,
        errors.DataDamaged: 2,
        errors.RunExists: 2,
        errors.DataUnavailable: 3,
        errors.DeviceUnavailable: 3,
        errors.OutputUnwritable: 3,
        errors.MnistBenchError: 70,
    }
    assert {error: error.exit_code for error in codes} == codes
    assert errors.Interrupted("stopped", 2).exit_code == 130
    assert errors.Interrupted("stopped", 15).exit_code == 143
