"""`mnist-bench verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options, _requests

if TYPE_CHECKING:
    from mnist_bench.core.types import Absent, ParityRecord
    from mnist_bench.data import Dataset
    from mnist_bench.parity import Plan


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
@_options.quiet
def command(**given: Any) -> None:
    """Check that every runtime gives the reference's answers.

    Compares every runtime with one float64 reference, image by image. Each is graded by the strictest check it passes.
    docs/certificate.md says on which images agreement is proved.

    Exit code 1: a runtime flips a certified image, leaves the tolerance, or does not run at the precision it claims;
    the likely cause is named if it is known. Exit code 3: a runtime could not be asked.
    """
    from mnist_bench import data, environment, hosts, parity, store
    from mnist_bench.cli._output import check_json_path, newest_run
    from mnist_bench.cli._progress import tell_remarks

    asked = _requests.Verify(**given)
    check_json_path(asked.json_path)
    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    record = store.load_record(folder)
    usable, absent = parity.usable() if asked.all_processors else ((), None)
    plan = parity.Plan(
        runtimes=asked.runtimes,
        device=environment.resolve_device(asked.device),
        on=asked.fleet(usable) if asked.processors else asked.hosts if asked.model_file else asked.all_hosts,
        format=asked.command_format,
        precision=asked.precision,
        output=asked.output,
        layers=asked.layers,
        assumption=parity.Assumption.of(asked.assumptions),
        **asked.configurations,
        **asked.limits,
    )
    dataset = data.load(asked.dataset or record.config.dataset, asked.data_dir).with_classes_of(record.dataset.classes)
    if asked.dataset and not asked.quiet:
        tell_remarks(dataset)
    found = _verify(folder, dataset, plan, asked, absent)
    _show(found, asked)
    here = hosts.HERE in plan.on and all(hosts.is_of_this_machine(host) for host in plan.on)
    of_run = here or (asked.processors and not asked.commands)
    if of_run and not asked.model_file and dataset.name == record.config.dataset:
        _save(folder, found)  # only what tells of the run itself
    _judge(found)


def _verify(
    folder: Path, dataset: "Dataset", plan: "Plan", asked: _requests.Verify, absent: "list[Absent] | None"
) -> "ParityRecord":
    from mnist_bench import parity
    from mnist_bench.cli._progress import configurations_display

    trusted = asked.trust_code
    with configurations_display(asked.quiet) as on_event:
        if asked.processors:
            return parity.verify_fleet(
                folder, dataset, plan, on_event, model=asked.model_file, trusted=trusted, absent=absent
            )
        if asked.model_file:
            return parity.verify_file(asked.model_file, folder, dataset, plan, on_event, trusted=trusted)
        return parity.verify(folder, dataset, plan, on_event)


def _save(folder: Path, found: "ParityRecord") -> None:
    """Save a comparison, unless the run was trained further meanwhile: there may be a newer one already."""
    from mnist_bench import store
    from mnist_bench.cli._screen import complain

    checkpoint = store.load_record(folder).checkpoint
    if checkpoint and checkpoint.weights.sha256 == found.weights_sha256:
        store.save(folder, found)
    else:
        complain(f"{folder} was trained further meanwhile: this is of the weights before, and is not saved")


def _show(found: "ParityRecord", asked: _requests.Verify) -> None:
    from mnist_bench import report
    from mnist_bench.cli._output import print_tables, write_json
    from mnist_bench.core.types import FleetRecord

    if asked.json_path:
        write_json([found], asked.json_path)
    if asked.tables:
        options = report.ViewOptions(out=asked.out)
        if isinstance(found, FleetRecord):
            print_tables("rich", report.fleet_tables(found, options))
        else:
            print_tables("rich", report.parity_tables(found, options))


def _judge(found: "ParityRecord") -> None:
    """Raise ParityBroken where any configuration failed, and Unanswered where a target could not be asked."""
    from mnist_bench.core.errors import ParityBroken, Unanswered
    from mnist_bench.core.types import FleetRecord

    failed = [result for result in found.results if result.failures]
    if failed:
        first = failed[0]
        where = f"{first.configuration.threads} thread(s), batch {first.configuration.batch_size}"
        raise ParityBroken(
            f"{len(failed)} of {len(found.results)} configurations do not give the reference's answers; the first: "
            f"{first.configuration.target} with {where}: {'; '.join(first.failures)}"
        )
    if found.unreachable:
        lost = found.unreachable[0]
        raise Unanswered(
            f"{len(found.unreachable)} target(s) could not be asked, so nothing is known of them; the first: "
            f"{lost.target}: {lost.reason}"
        )
    if isinstance(found, FleetRecord) and all(one.refusal for one in found.processors):
        refused = found.processors[0]
        raise Unanswered(f"no emulated processor counts; the first: {refused.name}: {refused.refusal}")
