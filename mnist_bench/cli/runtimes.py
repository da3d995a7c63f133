"""`mnist-bench runtimes`."""

import click

from mnist_bench.cli import _options

ASK_S = 120  # torch.compile and its friends take seconds to import on a slow disk


@click.command(
    epilog="""\b
Examples:
  mnist-bench runtimes                      what can run here, and what is missing
  mnist-bench runtimes --device cuda        the same for the GPU
  mnist-bench runtimes --install openvino   what an extra of that name wants, by pip
  mnist-bench runtimes --format json        for a program
"""
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option("--install", multiple=True, metavar="NAME", help="Install what it lacks into this environment first.")
@_options.renderer
def command(device: str, install: tuple[str, ...], renderer: str) -> None:
    """List all runtimes: version, devices, what they read; for those that are missing, why and what installs them."""
    from mnist_bench import environment, report, runtimes
    from mnist_bench.cli._output import print_tables
    from mnist_bench.cli._progress import tell
    from mnist_bench.core.errors import BadInput

    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise BadInput(f"unknown device {device!r}: choose cpu, cuda or cuda:N")
    for name in install:
        environment.install_extra(name, tell)
    columns = [report.Column(name) for name in ("Runtime", "Version", "Reads", "Precisions", "Devices", "Here")]
    rows = [_row(name, device) for name in runtimes.names()]
    print_tables(renderer, [report.Table(f"Runtimes for {device}", columns, rows)])


def _row(name: str, device: str) -> list[str]:
    from mnist_bench import environment, parity, runtimes

    module = runtimes.load(name)
    missing = parity.absence(name, device)
    here = f"no: {missing.reason}; {missing.remedy}" if missing else "yes" if device == "cpu" else _on(name, device)
    version = environment.library_version(module.LIBRARY) or "–"
    return [name, version, module.FORMAT or "nothing", ", ".join(module.PRECISIONS), ", ".join(module.DEVICES), here]


def _on(name: str, device: str) -> str:
    """Ask a worker whether a runtime can use a device: only its engine knows."""
    from mnist_bench import hosts
    from mnist_bench.core.errors import MnistBenchError

    try:
        with hosts.started(hosts.launch(hosts.HERE), None, hosts.Limits(ASK_S)) as worker:
            worker.greet(name, device)
    except MnistBenchError as error:
        return f"no: {error}"
    return "yes"
