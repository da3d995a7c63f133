"""`mnist-bench serve`."""

import click


@click.command(
    epilog="""\b
Examples:
  mnist-bench serve --runtime onnxruntime                                                  on a board; then, here:
  mnist-bench verify --command 'ssh board mnist-bench serve --runtime onnxruntime'         its answers
  mnist-bench bench --command 'ssh board mnist-bench serve --runtime onnxruntime'          its times, by its clock
"""
)
@click.option("--runtime", required=True, metavar="NAME", help="What answers; mnist-bench runtimes lists them.")
def command(runtime: str) -> int:
    """Answer the messages of docs/protocol.md on stdin and stdout, so that this machine is another one's target.

    Whoever can write to stdin can have files opened, programs (TorchScript, .pt2) among them: over ssh that is whoever
    can log in.
    """
    from mnist_bench import runtimes
    from mnist_bench.worker.__main__ import main

    runtimes.load(runtime)  # refuses a name that there is not, in a line and not in a message
    return main(runtime)
