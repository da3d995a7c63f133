"""Options that mean the same in every command."""

import math
from pathlib import Path
from typing import Any

import click


class Finite(click.FloatRange):
    """A number in a range; "nan", which is in every range, is refused."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Parse the number."""
        number: float = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number


def _existing_if_typed(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a folder that was typed and is not there; one from the environment matters only where it is used."""
    typed = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    if typed and value and not value.is_dir():
        raise click.BadParameter(f"folder {str(value)!r} does not exist.", context, parameter)
    return value


out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Folder of the run folders.",
)
run_name = click.option("--run", "name", metavar="NAME", help="The run.  [default: the newest]")
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="MNIST_BENCH_DATA",
    show_envvar=True,
    callback=_existing_if_typed,
    help="A torchvision root to look into first; may be read-only.",
)
convergence_at = click.option(
    "--convergence-at",
    type=Finite(0, 1, min_open=True),
    default=0.97,
    show_default=True,
    help="Validation accuracy that counts as converged.",
)
quiet = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
json_output = click.option(
    "--json",
    "json_path",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the record as JSON; to stdout, and nothing else there, with '-'.",
)
renderer = click.option(
    "--format", "renderer", default="rich", show_default=True, metavar="NAME", help="rich, markdown, csv or json."
)
