"""Comparing runtimes with a run's reference."""

from pathlib import Path

from mnist_bench import environment, hosts, parity, store
from mnist_bench.analysis.adding import added
from mnist_bench.core.events import OnEvent
from mnist_bench.core.types import Absent, ParityRecord, Record
from mnist_bench.data import Dataset
from mnist_bench.stages.requests import Verify


def plan_of(asked: Verify) -> tuple[parity.Plan, list[Absent] | None]:
    """Return what to ask of whom, and, where all processors are meant, which cannot be emulated here.

    Raises:
        BadInput: what was asked for does not go together, or is not there.
        DeviceUnavailable: the device is not here.
    """
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
    return plan, absent


def compare(
    folder: Path,
    dataset: Dataset,
    plan: parity.Plan,
    asked: Verify,
    absent: list[Absent] | None,
    on_event: OnEvent,
) -> ParityRecord:
    """Compare, on one machine or on emulated processors, the run's files or one from elsewhere."""
    trusted = asked.trust_code
    if asked.processors:
        return parity.verify_fleet(
            folder, dataset, plan, on_event, model=asked.model_file, trusted=trusted, absent=absent
        )
    if asked.model_file:
        return parity.verify_file(asked.model_file, folder, dataset, plan, on_event, trusted=trusted)
    return parity.verify(folder, dataset, plan, on_event)


def is_of_the_run(record: Record, dataset: Dataset, plan: parity.Plan, asked: Verify) -> bool:
    """Tell whether a comparison tells of the run itself, on this machine: no other is saved."""
    here = hosts.HERE in plan.on and all(hosts.is_of_this_machine(host) for host in plan.on)
    of_run = here or (asked.processors and not asked.commands)
    return bool(of_run and not asked.model_file and dataset.name == record.config.dataset)


def save(folder: Path, found: ParityRecord, asked: Verify) -> str | None:
    """Save a comparison, with what was known and not asked again where only a part was asked.

    Unless the run was trained further meanwhile: there may be a newer one already.

    Returns:
        Why it was not saved; None where it was.
    """
    checkpoint = store.load_record(folder).checkpoint
    if checkpoint and checkpoint.weights.sha256 == found.weights_sha256:
        before = store.load_if_sound(folder, type(found)) if asked.partial else None
        store.save(folder, added(before, found) if before else found)
        return None
    return f"{folder} was trained further meanwhile: this is of the weights before, and is not saved"
