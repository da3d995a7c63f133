"""What `mnist-bench study` does: alone, or as one of the processes that torchrun started."""

import dataclasses
from pathlib import Path

import mnist_bench.report as report
from mnist_bench import data, environment, store, study, training
from mnist_bench.cli._output import print_tables, show_result, write_json
from mnist_bench.cli._progress import study_display, tell, tell_remarks
from mnist_bench.cli._screen import say
from mnist_bench.cli._signals import stop_on_signal
from mnist_bench.core.architecture import CLASSES
from mnist_bench.core.commands import on_study
from mnist_bench.core.dataset_names import in_a_run
from mnist_bench.core.errors import BadInput, StudyIncomplete
from mnist_bench.core.study_types import BATCHED, SeedFailure, StudyRecord
from mnist_bench.core.types import TrainConfig
from mnist_bench.stages.requests import Study, changed
from mnist_bench.stages.training import passed_over

SEEDS = tuple(range(8))  # enough for an interval, and a minute or two on the digits
PROTOCOL = "dataset", "validation", "epochs", "batch_size", "learning_rate"
FIXED_ON_RESUME = (*PROTOCOL, "device", "engine")
NAMED = 3  # failures in a line of an error; the tables name all


def carry_out(asked: Study) -> None:
    """Make a study, or go on with one; or, in torchrun's other processes, help with it."""
    options = study.WorkerOptions(asked.data_dir, asked.workers)
    with study.joined() as crew:
        if crew.rank:
            plan = crew.plan()
            with stop_on_signal() as stop:
                done = study.help_out(plan, options, stop, crew)
            if not asked.quiet:
                tell(f"rank {crew.rank}: {done} of {len(plan.jobs)} jobs done here")
            return
        with crew.keeping():
            folder, record = _trained(options, asked, crew)
    _show(record, asked)
    _judge(record, folder)


def _trained(options: study.WorkerOptions, asked: Study, crew: study.Crew) -> tuple[Path, StudyRecord]:
    folder, _, config = _prepare(asked)
    dataset = data.load(config.dataset, asked.data_dir, outputs=CLASSES)
    if not asked.quiet:
        tell_remarks(dataset)
    with store.locked(folder, StudyRecord), study_display(asked.quiet) as on_event, stop_on_signal() as stop:
        # Once more, now that nobody else can write the study.
        _, saved, config = _prepare(asked, dataset)
        record = _planned(folder, saved, config, dataset, asked)
        if not asked.quiet:
            for line in passed_over(record.name, record.passed_over):
                tell(line)
        return folder, study.run(record, dataset, folder, options, on_event, stop, crew)


def _prepare(asked: Study, dataset: data.Dataset | None = None) -> tuple[Path, StudyRecord | None, TrainConfig]:
    """Return the study's folder, its saved record where it is to be resumed, and how to train; or refuse."""
    folder = store.study_folder(asked.out, asked.name or f"study-{in_a_run(asked.dataset)}")
    if not (asked.resume or asked.overwrite):
        store.check_new(folder, StudyRecord)
    saved = store.load_study(folder) if asked.resume and store.exists(folder, StudyRecord) else None
    return folder, saved, _resumed(saved, asked) if saved else _config(asked, dataset)


def _config(asked: Study, dataset: data.Dataset | None = None) -> TrainConfig:
    data.check_name(asked.dataset)
    device, cores = environment.resolve_device(asked.device), environment.available_cores()
    if device == "cpu" and (asked.workers or 1) > cores:
        raise BadInput(f"--workers {asked.workers} is more than the {cores} cores that this process may use")
    engine = asked.engine or (training.default_engine(device, dataset).engine if device == "cpu" else BATCHED)
    if engine != BATCHED or device == "cpu":
        training.usable_engine(engine, device)
    return TrainConfig(
        device=device,
        engine=engine,
        dataset=asked.dataset,
        validation=asked.validation,
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
    )


def _resumed(saved: StudyRecord, asked: Study) -> TrainConfig:
    """Return the saved configuration; refuse any other one."""
    if "device" not in asked.typed:
        asked = dataclasses.replace(asked, device=saved.config.device, engine=asked.engine or saved.config.engine)
    wanted = _config(asked)
    if facts := changed(saved.config, wanted, FIXED_ON_RESUME, asked):
        raise BadInput(
            f"study {saved.name!r} cannot be resumed with other settings ({facts}): omit them, or use another --study"
        )
    return saved.config


def _planned(
    folder: Path,
    saved: StudyRecord | None,
    config: TrainConfig,
    dataset: data.Dataset,
    asked: Study,
) -> StudyRecord:
    """Return the record to begin with, or to go on with: saved, where its plan is another one now."""
    if saved is None:
        chosen = not asked.engine and config.engine != BATCHED
        passed_over = training.default_engine(config.device, dataset).passed_over if chosen else ()
        return study.new_study(folder.name, config, asked.activations, asked.seeds or SEEDS, dataset, passed_over)
    activations = asked.activations if "activation" in asked.typed else saved.activations
    record = study.extended(saved, activations, asked.seeds or saved.seeds)
    if record.keys != saved.keys:
        store.save_study(folder, record, new=False)
    return record


def _show(record: StudyRecord, asked: Study) -> None:
    """Print the tables, or the record, or both, as asked for."""
    if asked.json_path:
        write_json([record], asked.json_path)
    options = report.ViewOptions(asked.convergence_at, asked.out)

    def tables() -> None:
        print_tables("rich", report.study_tables(record, options))
        again = on_study(asked.out / record.name, command="report")
        say(f"Saved in {asked.out}. These tables again: {again}\n")

    show_result(asked.quiet, tables=tables, line=lambda: report.study_line(record, options), data_to=asked.json_path)


def _judge(record: StudyRecord, folder: Path) -> None:
    """Raise where a training came to no result."""
    if record.failures:
        remedy = f"try them again with {on_study(folder, '--resume')}"
        named = "; ".join(map(_described, record.failures[:NAMED])) + ("; …" if len(record.failures) > NAMED else "")
        codes = {failure.exit_code for failure in record.failures}
        raise StudyIncomplete(
            f"{len(record.failures)} of {len(record.keys)} trainings came to no result ({named}): "
            f"{remedy if record.results else 'nothing was saved'}",
            codes.pop() if len(codes) == 1 else StudyIncomplete.exit_code,
        )


def _described(failure: SeedFailure) -> str:
    return f"{failure.activation} seed {failure.seed}: {failure.reason}"
