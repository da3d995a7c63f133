"""A study from its plan to its saved record: job by job, saved after each, on as many processes as there are."""

import contextlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mnist_bench import data, environment, store, training
from mnist_bench.core import child
from mnist_bench.core.commands import on_study
from mnist_bench.core.dataset_names import how_to_find, shown
from mnist_bench.core.errors import BadInput, EnvironmentProblem, Interrupted, RecordDamaged
from mnist_bench.core.events import OnEvent, SeedsDone, Stop
from mnist_bench.core.kinds import Activation
from mnist_bench.core.study_types import BATCHED, SeedFailure, SeedResult, StudyRecord
from mnist_bench.core.types import TrainConfig
from mnist_bench.study.crew import POLL_S, Crew
from mnist_bench.study.jobs import Assignment, Job, Outcome, Plan, failed, jobs_of

TRAIN = "mnist_bench.study.worker:train"
AT_ONCE = 64  # seeds in one batched network
LONGEST_JOB_S = 86_400.0  # after a day it hangs
OVER = object()


@dataclass(frozen=True)
class WorkerOptions:
    """What this process has to work with: where its data are, and how many seeds it may train at a time, if told."""

    data_dir: Path | None
    workers: int | None = None

    def jobs(self, config: TrainConfig) -> int:
        """Return how many jobs are done at a time: one a core, shared by the processes that torchrun started here.

        On a GPU it is one, of many seeds at once or of one, unless told.
        """
        if config.engine == BATCHED:
            return 1
        if config.device != "cpu":
            return self.workers or 1
        return self.workers or max(environment.available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)

    def seeds(self, config: TrainConfig) -> int:
        """Return how many seeds a job has at most."""
        return (self.workers or AT_ONCE) if config.engine == BATCHED else 1


def new_study(
    name: str,
    config: TrainConfig,
    activations: Sequence[Activation],
    seeds: Sequence[int],
    dataset: data.Dataset,
    passed_over: Sequence[str] = (),
) -> StudyRecord:
    """Return the record of a study that has not begun; `passed_over` as in the record."""
    return StudyRecord(
        name=name,
        environment=environment.collect(config.device),
        dataset=training.dataset_info(dataset, config.validation),
        config=replace(config, activation=activations[0], seed=seeds[0]),
        activations=tuple(activations),
        seeds=tuple(sorted(seeds)),
        passed_over=tuple(passed_over),
    )


def extended(saved: StudyRecord, activations: Sequence[Activation], seeds: Sequence[int]) -> StudyRecord:
    """Return a study whose plan is what is asked for and what is done already: nothing that is done is dropped."""
    done = {result.key for result in saved.results}
    own = [one for one in saved.activations if one in activations or one in {activation for activation, _ in done}]
    return replace(
        saved,
        activations=tuple(dict.fromkeys((*own, *activations))),
        seeds=tuple(sorted({*seeds, *(seed for _, seed in done)})),
        failures=(),
    )


def run(
    record: StudyRecord,
    dataset: data.Dataset,
    folder: Path,
    options: WorkerOptions,
    on_event: OnEvent,
    stop: Stop,
    crew: Crew,
) -> StudyRecord:
    """Train what a study lacks, with all processes of a crew; save after every job.

    Args:
        record: from `new_study`, or a saved one to go on with.
        dataset: the data that the record names.
        folder: the study's folder, locked by the caller.
        options: what this process has to work with.
        on_event: is called at the start and for each training that is over.
        stop: is asked several times a second.
        crew: whom to share the jobs with; this process is its rank 0.

    Returns:
        The record as saved, with a failure for each training that came to no result.

    Raises:
        BadInput: the record was made with other data.
        Interrupted: `stop` asked for it; what is done is saved.
        OutputUnwritable: the folder cannot be written; what was saved before stays as it is.
    """
    _check_data(record, dataset)
    jobs = _published(record, options, crew)
    on_event(SeedsDone(len(record.results), len(record.keys)))
    record = replace(record, resumed_at=(*record.resumed_at, environment.now())) if record.results and jobs else record
    with contextlib.closing(_work(crew, jobs, record.config, options)) as turns:
        for outcome in _outcomes(crew, jobs, turns):
            if outcome:
                record = _saved(record, outcome, folder, on_event)
            elif number := stop():
                raise Interrupted(_farewell(record, folder), number)
    crew.wait_for_workers()
    return record


def _published(record: StudyRecord, options: WorkerOptions, crew: Crew) -> tuple[Job, ...]:
    """Divide what a study lacks among the processes of a crew, and tell them."""
    share = -(-len(record.lacking) // crew.size)
    jobs = jobs_of(record.lacking, min(options.seeds(record.config), share))
    crew.publish(Plan(record.config, record.dataset.sha256, jobs))
    return jobs


def _outcomes(crew: Crew, jobs: Sequence[Job], turns: Iterator[int]) -> Iterator[Outcome | None]:
    """Yield what each job has come to, from whatever process; None often in between, to be able to stop."""
    awaited = set(range(len(jobs)))
    while awaited:
        if next(turns, OVER) is OVER:  # others are still at work
            time.sleep(POLL_S)
        for index, outcome, taker in list(crew.poll_results(awaited)):
            awaited.remove(index)
            yield outcome or _lost(jobs[index], taker)
        if awaited:
            yield None


def _check_data(record: StudyRecord, dataset: data.Dataset) -> None:
    if dataset.sha256 != record.dataset.sha256:
        raise BadInput(
            f"study {record.name!r} was begun with other data than this {shown(dataset.name)}: "
            f"{how_to_find(dataset.name)}"
        )
    if record.dataset != training.dataset_info(dataset, record.config.validation):
        raise RecordDamaged(
            f"study {record.name!r} counts the images or the classes of {shown(dataset.name)} otherwise: "
            f"restore its record"
        )


def help_out(plan: Plan, options: WorkerOptions, stop: Stop, crew: Crew) -> int:
    """Do a share of the jobs that rank 0 of a crew has planned, hand in what they come to, and return how many.

    Raises:
        BadInput: this machine's data are not those of rank 0.
        DeviceUnavailable: the device is not here.
        Interrupted: `stop` asked for it, or rank 0 was stopped.
        EnvironmentProblem: rank 0 ended, or is gone.
    """
    config = replace(plan.config, device=_device_here(plan.config.device))
    if plan.jobs and data.load(config.dataset, options.data_dir).sha256 != plan.sha256:
        raise BadInput(
            f"the {shown(config.dataset)} here are other data than those of rank 0: {how_to_find(config.dataset)}"
        )
    done = 0
    with contextlib.closing(_work(crew, plan.jobs, config, options)) as turns:
        for finished in turns:
            done += finished
            if number := stop():
                raise Interrupted(f"rank {crew.rank} stopped; rank 0 saves what is done", number)
            crew.check_keeper()
    crew.leave()
    return done


def _work(crew: Crew, jobs: Sequence[Job], config: TrainConfig, options: WorkerOptions) -> Generator[int]:
    """Take jobs while there are any, and do so many at a time; yield often, each time how many have ended since.

    When it is closed before the end, its processes are killed, and what they were at is handed in as not done.
    """
    calls, most = child.Calls(), options.jobs(config)
    running: dict[Future[Outcome], int] = {}
    with ThreadPoolExecutor(most) as pool:
        try:
            while True:
                while len(running) < most and (index := crew.take(len(jobs))) is not None:
                    running[pool.submit(_train, jobs[index], config, options, calls)] = index
                if not running:
                    return
                ended, _ = wait(running, POLL_S, FIRST_COMPLETED)
                for future in ended:
                    crew.post(running.pop(future), future.result())
                yield len(ended)
        finally:
            calls.stop()
            with contextlib.suppress(EnvironmentProblem):
                for index in running.values():
                    crew.post(index, failed(jobs[index], f"rank {crew.rank} was stopped", EnvironmentProblem.exit_code))


def _train(job: Job, config: TrainConfig, options: WorkerOptions, calls: child.Calls) -> Outcome:
    """Do a job in a process of its own; one that dies costs its own seeds alone."""
    assignment = Assignment(config, job, str(options.data_dir) if options.data_dir else None)
    try:
        return child.call(
            TRAIN,
            assignment,
            Outcome,
            time_limit_s=LONGEST_JOB_S,
            died_exit_code=EnvironmentProblem.exit_code,
            among=calls,
        )
    except child.ChildFailed as error:
        return failed(job, str(error), error.exit_code)


def _saved(record: StudyRecord, outcome: Outcome, folder: Path, on_event: OnEvent) -> StudyRecord:
    """Add what a job came to, and save."""
    found = {result.key: result for result in (*record.results, *outcome.results)}
    new = not record.results
    record = replace(
        record,
        results=tuple(found[key] for key in record.keys if key in found),
        failures=(*record.failures, *outcome.failures),
    )
    if record.results:  # until something has come, an older study of this name stays
        store.save_study(folder, record, new=new)
    over: tuple[SeedResult | SeedFailure, ...] = (*outcome.results, *outcome.failures)
    for one in over:
        on_event(SeedsDone(len(record.results), len(record.keys), len(record.failures), one))
    return record


def _device_here(device: str) -> str:
    """Return the device of this process: of each machine's GPUs, the one that torchrun's local rank says."""
    return device if device == "cpu" else environment.resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")


def _lost(job: Job, rank: int) -> Outcome:
    return failed(job, f"rank {rank}, which was at it, is gone", EnvironmentProblem.exit_code)


def _farewell(record: StudyRecord, folder: Path) -> str:
    if not record.results:
        return "stopped before the first training was done; nothing was saved"
    done = f"{len(record.results)} of {len(record.keys)} trainings are saved"
    return f"stopped; {done}: go on with {on_study(folder, '--resume')}"
