"""Options that mean the same in every command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(file_okay=False, path_type=Path)

out = click.option("--out", type=FOLDER, default=Path("exports"), show_default=True, help="Folder of the run folders.")
run_name = click.option("--run", "name", metavar="NAME", help="The run.  [default: the newest]")
data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="MNIST_BENCH_DATA",
    show_envvar=True,
    help="A torchvision root to look into first; may be read-only.",
)
convergence_at = click.option(
    "--convergence-at",
    type=click.FloatRange(0, 1, min_open=True),
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
