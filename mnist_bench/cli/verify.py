"""`mnist-bench verify`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests

if TYPE_CHECKING:
    from mnist_bench.cli._ci import Reporter
    from mnist_bench.cli._stamp import Stamping
    from mnist_bench.core.types import ParityRecord


@click.command(
    epilog="""\b
Examples:
  # the newest run, in every runtime here
  mnist-bench verify
  # one runtime
  mnist-bench verify --run mnist-relu --runtime onnxruntime
  # a file from elsewhere
  mnist-bench verify --run mnist-relu --model other.onnx
  # also: in which layer answers drift
  mnist-bench verify --layers
  # a file that ends in softmax
  mnist-bench verify --model other.onnx --assume softmax
  # also on emulated processors
  mnist-bench verify --cpu all
  # such a file on two of them
  mnist-bench verify --cpu haswell,cortex-a53 --model other.onnx
  # only on an emulated processor
  mnist-bench verify --host haswell
  # for a CI system, and a copy that carries the verdict
  mnist-bench verify --junit verify.xml --stamp verified.onnx
  # any program that speaks the protocol
  mnist-bench verify --command './engine {model}'
  # another machine
  mnist-bench verify \\
    --command 'ssh board mnist-bench serve --runtime onnxruntime'
"""
)
@_options.run_name
@_options.out
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime. Repeatable.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N.")
@click.option(
    "--batch-size",
    "batch_sizes",
    show_default="1,7,128,10000; 128 with --cpu",
    callback=_options.numbers,
    metavar="N,…",
    help="Batch sizes to answer in.",
)
@click.option(
    "--threads", show_default="1,all; 1 with --cpu", callback=_options.numbers, metavar="N,…", help="CPU threads."
)
@click.option(
    "--dataset",
    metavar="NAME|DIR",
    callback=_options.known_or_folder,
    help="Verify on other images than those of the run's dataset.",
)
@_options.data_dir
@click.option(
    "--model",
    "model_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Verify this ONNX or TorchScript file instead of the run's own.",
)
@click.option(
    "--precision",
    type=click.Choice(_options.PRECISIONS),
    help="Precision of the --model file, or of the run's file that a --command opens.  [default: as the file says; "
    "for a --command fp32]",
)
@click.option(
    "--output", default="", metavar="NAME", help="The output of the --model file to use, if there are several."
)
@click.option(
    "--trust-code", is_flag=True, help="Allow a --model file that is a program: TorchScript can run any code."
)
@click.option(
    "--cpu",
    "processors",
    multiple=True,
    callback=_options.processors,
    metavar="NAME,…",
    help="Also on these emulated processors, or all; mnist-bench hosts lists them. Repeatable.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Also compare every layer, and what its quantisation costs (docs/layers.md).",
)
@click.option(
    "--assume",
    "assumptions",
    multiple=True,
    metavar="NAME",
    help="Assume this about the model (docs/diagnosis.md): softmax or log-softmax answers, permuted:3,1,… classes, or "
    "unit, bytes, normalised, inverted or transposed images. Repeatable.",
)
@_options.engine_command
@_options.time_limit(None, "600; 120 for a --model")
@_options.memory_limit
@_options.json_output
@_options.junit
@_options.annotate
@click.option(
    "--stamp",
    "stamp_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="If all pass, copy the ONNX file that was verified, --model's or the run's of --precision, with the verdict "
    "in its metadata; see docs/ci.md.",
)
@_options.quiet
def command(**given: Any) -> None:
    """Check that every runtime gives the reference's answers.

    Compares every runtime with one float64 reference, image by image. Each is graded by the strictest check it passes.
    docs/certificate.md says on which images agreement is proved. Where only a part is asked, what was known of the rest
    stays.

    Exit code 1: a runtime flips a certified image, leaves the tolerance, or does not run at the precision it claims;
    the likely cause is named if it is known. Exit code 3: a runtime could not be asked.
    """
    from mnist_bench.cli import _ci
    from mnist_bench.cli._output import check_json_path

    asked = requests.Verify(**given)
    check_json_path(asked.json_path)
    check_json_path(asked.junit_path)
    with _ci.reporting("verify", asked, asked.model_file) as reporter:
        _carry_out(asked, reporter)


def _carry_out(asked: requests.Verify, reporter: "Reporter") -> None:
    from mnist_bench import data, store
    from mnist_bench.analysis.parity import judge
    from mnist_bench.cli._output import newest_run
    from mnist_bench.cli._progress import configurations_display, tell_remarks
    from mnist_bench.cli._screen import complain
    from mnist_bench.stages import verifying

    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    record = store.load_record(folder)
    stamping = _stamping(asked, folder)
    plan, absent = verifying.plan_of(asked)
    dataset = data.load(asked.dataset or record.config.dataset, asked.data_dir).with_classes_of(record.dataset.classes)
    if asked.dataset and not asked.quiet:
        tell_remarks(dataset)
    with configurations_display(asked.quiet) as on_event:
        found = verifying.compare(folder, dataset, plan, asked, absent, on_event)
    _show(found, asked, reporter)
    if verifying.is_of_the_run(record, dataset, plan, asked) and (complaint := verifying.save(folder, found, asked)):
        complain(complaint)
    judge(found)
    if stamping:
        stamping.write(found)


def _stamping(asked: requests.Verify, folder: Path) -> "Stamping | None":
    if not asked.stamp_path:
        return None
    from mnist_bench.cli._stamp import Stamping

    return Stamping.of(asked, folder, asked.stamp_path)


def _show(found: "ParityRecord", asked: requests.Verify, reporter: "Reporter") -> None:
    import mnist_bench.report as report
    from mnist_bench.analysis import cases
    from mnist_bench.cli._output import print_tables, show_result, write_json
    from mnist_bench.core.types import FleetRecord

    if asked.json_path:
        write_json([found], asked.json_path)
    options = report.ViewOptions(out=asked.out)

    def tables() -> Iterator[report.Table]:
        if isinstance(found, FleetRecord):
            return report.fleet_tables(found, options)
        return report.parity_tables(found, options)

    show_result(
        asked.quiet,
        tables=lambda: print_tables("rich", tables()),
        line=lambda: report.parity_line(found, asked.model_file.name if asked.model_file else ""),
        data_to=asked.data_to,
    )
    reporter.tell(cases.of_parity(found), found, tables)
