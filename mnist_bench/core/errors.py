"""Every error that mnist-bench raises on purpose.

    MnistBenchError
    ├── CheckFailed             exit 1: something was measured and is not as required
    │   ├── TrainingDiverged
    │   ├── ParityBroken
    │   ├── RuntimeFailed       a runtime raised an error: what it answered, in its own words
    │   ├── AccuracyTooLow
    │   └── Slower
    ├── BadInput                exit 2: what was asked for, or given, is wrong
    │   ├── DataDamaged
    │   ├── RecordDamaged
    │   ├── ModelRefused
    │   ├── RunExists
    │   ├── RunNotFound
    │   └── DifferentMachines
    ├── EnvironmentProblem      exit 3: this machine lacks something (network, disk, device)
    │   ├── DataUnavailable
    │   ├── DeviceUnavailable
    │   ├── TargetUnavailable
    │   ├── Unreachable         a worker hung, died, or does not speak the protocol
    │   │   ├── OutOfMemory
    │   │   ├── CannotRun
    │   │   └── Unsupported     it does not know a message, or cannot do that with this model
    │   ├── Unanswered
    │   ├── OutputUnwritable
    │   ├── TooBusy
    │   ├── MeasurementFailed
    │   ├── StudyIncomplete     (or exit as all its failed seeds did)
    │   └── ProcessLost
    ├── Interrupted             exit 130 (Ctrl-C) or 143 (SIGTERM)
    └── FailedElsewhere         exit as the other one of several processes does

A message is one line that says what happened, to what, and what to do next.
"""

# 2 is what shells and click use for bad usage; 70 is EX_SOFTWARE of sysexits.h; 130 is 128 and the signal.
CHECK_FAILED, USAGE, ENVIRONMENT, BUG, CTRL_C = 1, 2, 3, 70, 130
SIGNALLED = 128
"""A process that a signal ends exits with this and the signal's number, as shells have it."""


class MnistBenchError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command ends with."""

    exit_code = BUG


class CheckFailed(MnistBenchError):
    """Something was measured and is not as required."""

    exit_code = CHECK_FAILED


class TrainingDiverged(CheckFailed):
    """The training loss is no longer a finite number."""


class ParityBroken(CheckFailed):
    """A runtime does not give the reference's answers."""


class RuntimeFailed(CheckFailed):
    """A runtime raised an error: what it answered, in its own words."""


class AccuracyTooLow(CheckFailed):
    """The accuracy that was required was not reached."""


class Slower(CheckFailed):
    """A gate found, and confirmed, that something became slower."""


class BadInput(MnistBenchError, ValueError):
    """What was asked for, or given, is wrong."""

    exit_code = USAGE


class DataDamaged(BadInput):
    """A dataset file does not hold the bytes that it should."""


class RecordDamaged(BadInput):
    """A saved record or checkpoint cannot be read, or does not hold what was saved."""


class ModelRefused(BadInput):
    """A model file is not what it should be, or must not be loaded."""


class RunExists(BadInput):
    """A run or a study of this name is already there, or is being written."""


class RunNotFound(BadInput):
    """There is no run or study of this name."""


class DifferentMachines(BadInput):
    """Two records were not measured on machines of one kind."""


class EnvironmentProblem(MnistBenchError):
    """This machine lacks something that the work needs."""

    exit_code = ENVIRONMENT


class DataUnavailable(EnvironmentProblem):
    """A dataset is not on this machine and could not be downloaded."""


class DeviceUnavailable(EnvironmentProblem):
    """The device that was asked for is not there."""


class TargetUnavailable(EnvironmentProblem):
    """A runtime or a format that was asked for by name cannot be used here."""


class Unreachable(EnvironmentProblem):
    """A worker could not be asked: it did not start, hung, died, or does not speak the protocol."""


class OutOfMemory(Unreachable):
    """A worker used up the memory that it may use."""


class CannotRun(Unreachable):
    """A runtime cannot run on this machine: a library, a compiler or a folder is not as it needs it."""


class Unsupported(Unreachable):
    """A worker does not know a message, or cannot do what it asks with this model."""


class Unanswered(EnvironmentProblem):
    """A comparison is incomplete, since a worker could not be asked."""


class OutputUnwritable(EnvironmentProblem):
    """An output folder or file cannot be written."""


class TooBusy(EnvironmentProblem):
    """Others use this machine so much that nothing can be said of speed."""


class MeasurementFailed(EnvironmentProblem):
    """What was to be measured could not be."""


class StudyIncomplete(EnvironmentProblem):
    """Some seeds of a study came to no result; `exit_code` is theirs, where they all ended with the same."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ProcessLost(EnvironmentProblem):
    """One of several processes that do one work is gone, or does not answer."""


class Interrupted(MnistBenchError):
    """The work was stopped by a signal; what was done has been saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = SIGNALLED + signal_number


class FailedElsewhere(MnistBenchError):
    """What another one of several processes says of its error; nothing, where the first of them says it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
