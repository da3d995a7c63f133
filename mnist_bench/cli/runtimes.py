"""`mnist-bench runtimes`."""

from typing import Any

import click

from mnist_bench.cli import _options


@click.command(
    epilog="""\b
Examples:
  mnist-bench runtimes                   what can run here, and what is missing
  mnist-bench runtimes --device cuda     the same for the GPU
  mnist-bench runtimes --format json     for a program
"""
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@_options.renderer
def command(device: str, renderer: str) -> None:
    """List all runtimes: version, devices, what they read; for those that are missing, why and what installs them."""
    from mnist_bench import report, runtimes
    from mnist_bench.cli._output import print_tables

    columns = [report.Column(name) for name in ("Runtime", "Version", "Reads", "Precisions", "Devices", "Here")]
    rows = [_row(name, runtimes.load(name), device) for name in runtimes.names()]
    print_tables(renderer, [report.Table(f"Runtimes for {device}", columns, rows)])


def _row(name: str, module: Any, device: str) -> list[str]:
    from mnist_bench.core.errors import BadInput

    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise BadInput(f"unknown device {device!r}: choose cpu, cuda or cuda:N")
    here = "yes"
    if kind not in module.DEVICES:
        here = f"no: it does not run on {kind}"
    elif skipped := module.why_unavailable(device):
        here = f"no: {skipped.reason}; {skipped.remedy}"
    reads = module.FORMAT or "nothing"
    version = "–" if module.why_unavailable("cpu") else module.version()
    return [name, version, reads, ", ".join(module.PRECISIONS), ", ".join(module.DEVICES), here]
