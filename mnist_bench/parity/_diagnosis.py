"""What is wrong with a target that fails: all that usually is wrong is tried, and named where it explains the answers.

The hypotheses are the modules of `hypotheses/`; `docs/diagnosis.md` says how they are counted.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray

from mnist_bench import hosts, runtimes, store
from mnist_bench.core import plugins
from mnist_bench.core.commands import line
from mnist_bench.core.errors import (
    MnistBenchError,
    ModelRefused,
    RuntimeFailed,
    TargetUnavailable,
    Unreachable,
    Unsupported,
)
from mnist_bench.core.kinds import PROTOCOL_BATCH
from mnist_bench.core.types import Diagnosis, Hypothesis, ParityResult
from mnist_bench.parity import hypotheses
from mnist_bench.parity._asking import Answer
from mnist_bench.parity._assuming import Assumption
from mnist_bench.parity._compare import EPS, NOT_FLOAT32, OTHER_WEIGHTS, TOLERANCE_EPS, Inputs, tier_of
from mnist_bench.parity._layers import Looking, furthest
from mnist_bench.parity._reference import Weights
from mnist_bench.parity._sample import SEED, rows
from mnist_bench.parity._targets import Target
from mnist_bench.parity.hypotheses._case import EXACT, Answers, Case, Guess, Hits, Images, Proof

TOGETHER = 32
"""Images of a batch in which one is asked whether they change each other."""
TESTS, PROBES = 600, 300
"""On how many images hypotheses are tried, besides edge images and those whose answers are furthest off."""

ENOUGH = 0.999
"""Such a share of the images must be explained, and of those among them that are answered wrongly."""

TIME_S = 60.0
"""What has not been begun by then is not tried."""

MOST_RUNS = 20
"""Other runs whose weights are tried, the newest."""

TWO, TOO_LATE = "two of these at once", f"there was no time left ({TIME_S:.0f} s)"
Named = tuple[str, Guess]


def diagnose(target: Target, answer: Answer, looking: Looking, proof: Callable[[], Proof | None]) -> Diagnosis | None:
    """Try to explain a failing target's answers; None where they are right, or cannot be compared with anything.

    Args:
        target: what failed.
        answer: its answers to all images, in the first configuration in which it failed.
        looking: what the target can be asked with.
        proof: what is proved of its file, if that is quantised.
    """
    inputs = looking.inputs
    if answer.logits is None or answer.logits.shape != inputs.reference.shape or not _told_apart(target):
        return None
    if not (np.isfinite(answer.logits).all() and np.isfinite(inputs.reference).all()):
        return None  # what is no number is explained by nothing
    chosen = sampled(inputs, answer.logits)
    asking = _Asking(target, answer, looking)
    case = _case(asking, inputs, chosen, proof)
    wrong = ~case.right()
    if not wrong.any():
        return None
    found = Trial(case, wrong).run(asking.session)
    listed = tuple(_hypothesis(name, guess, wrong, looking.plan.assumption) for name, guess in found)
    name = target.name(looking.plan.device)
    return Diagnosis(target=name, images=len(chosen), wrong=int(wrong.sum()), hypotheses=listed)


def _told_apart(target: Target) -> bool:
    """Tell whether anything is tried for what a target claims to be."""
    return target.precision in EXACT or target.precision.startswith("int8")


def sampled(inputs: Inputs, answers: Answers) -> NDArray[np.intp]:
    """Choose the images on which hypotheses are tried, in order.

    Test images, half of them those of the smallest margins; all edge images; probes; and those that are furthest off.
    """
    asked = len(inputs.images) - inputs.probes
    tests = rows(inputs.first(asked), TESTS)
    probes = np.random.default_rng(SEED).permutation(inputs.probes)[:PROBES] + asked
    found: NDArray[np.intp] = np.unique(np.concatenate([tests, probes, furthest(inputs, answers)]))
    return found


def _case(asking: "_Asking", inputs: Inputs, chosen: NDArray[np.intp], proof: Callable[[], Proof | None]) -> Case:
    target, looking, answers = asking.target, asking.looking, asking.answer.logits
    assert answers is not None
    tier = tier_of(target.precision, asking.answer.arithmetic)

    @cache
    def of_chosen() -> Proof | None:
        found = proof()
        return Proof(*(bounds.only(chosen) for bounds in found)) if found else None

    return Case(
        images=inputs.images[chosen],
        answers=answers[chosen].astype(np.float64),
        logits=inputs.reference[chosen],
        tolerance=tier.largest_difference if tier else TOLERANCE_EPS * EPS * inputs.largest_logit,
        largest=inputs.largest_logit,
        precision=target.precision,
        ask=asking.ask,
        show=asking.show,
        output=inputs.output,
        signature=target.signature,
        reference=looking.reference,
        others=lambda: other_runs(looking.folder),
        proof=of_chosen,
        together=asking.ask_together,
        computes=asking.answer.precision,
    )


def other_runs(folder: Path) -> Iterator[tuple[str, Weights]]:
    """Yield the weights of the newest of the other runs that lie beside a run; of those that can be read."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # others may remove theirs meanwhile
        names = [name for name in store.run_names(folder.parent) if name != folder.name]
    for name in names[:MOST_RUNS]:
        with contextlib.suppress(MnistBenchError, OSError):
            record = store.load_record(folder.parent / name)
            if record.checkpoint:
                arrays = store.load_weights(folder.parent / name, record.checkpoint.weights)
                yield name, Weights.of(arrays, record.config.activation)


@dataclass
class _Asking:
    """A target that is asked again as it was when it failed: in the same number of threads and batch size."""

    target: Target
    answer: Answer
    looking: Looking
    worker: hosts.Worker | None = None

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep a session open while this lasts; raises as `Looking` does."""
        plan, target = self.looking.plan, self.target
        with self.looking.workers.asked(target) as self.worker:
            self.worker.greet(target.asked, plan.device)
            threads = self.answer.configuration.threads
            self.worker.open(target.model, runtimes.Spec(plan.device, threads, target.precision))
            yield

    def ask(self, images: Images) -> Answers:
        """Return the answers to some images, in the order of the classes as it is assumed; float64."""
        return self._asked(images, self.answer.configuration.batch_size)

    def ask_together(self, images: Images) -> Answers:
        """Return the same of batches of many images, or of as many as the model insists on."""
        return self._asked(images, self.target.signature.batch or TOGETHER)

    def _asked(self, images: Images, batch_size: int) -> Answers:
        assert self.worker
        found = self.worker.run(images, min(batch_size, len(images)))
        return self.looking.plan.assumption.of_answers(found).astype(np.float64)

    def show(self, images: Images) -> Mapping[str, NDArray[Any]]:
        """Return what layers give the images."""
        assert self.worker
        return self.worker.layers(images, PROTOCOL_BATCH)


@dataclass
class Trial:
    """Hypotheses on trial, the simplest first; those that ask the target again come last, for it may not answer.

    `wrong` (n,) are the images of the case that are answered wrongly, `ends_at` is by the monotonic clock.
    """

    case: Case
    wrong: Hits
    ends_at: float = field(default_factory=lambda: time.monotonic() + TIME_S)

    def __post_init__(self) -> None:
        self.case = replace(self.case, ends_at=self.ends_at)

    def run(self, session: Callable[[], contextlib.AbstractContextManager[None]]) -> list[Named]:
        """Try all, those that ask while a session lasts; return those that apply, the simplest first."""
        all_of_them = plugins.load_all(hypotheses)
        modules = [one for one in all_of_them if self.case.precision in getattr(one, "PRECISIONS", EXACT)]
        asking = [one for one in modules if asks(one)]
        found = {module: self._tried(module) for module in modules if module not in asking}
        together: list[Named] = []
        try:
            if asking:
                with session():
                    for module in asking:
                        found[module] = self._tried(module)
                    together = self._two(found)
        except (Unreachable, TargetUnavailable, RuntimeFailed, ModelRefused) as error:
            reason = f"it could not be asked again: {error}"
            found |= {one: Guess(None, one.SAYS, reason=reason) for one in asking if one not in found}
        named = [(module.NAME, guess) for module in modules if (guess := found[module]) is not None]
        return [*named, *together]

    def _tried(self, module: ModuleType) -> Guess | None:
        if time.monotonic() > self.ends_at:
            return Guess(None, module.SAYS, reason=TOO_LATE)
        try:
            return guess_of(module, self.case)
        except (RuntimeFailed, Unsupported, ModelRefused) as error:  # or the reference does not, once it is changed
            return Guess(None, module.SAYS, reason=f"it does not answer that: {error}")

    def _two(self, found: Mapping[ModuleType, Guess | None]) -> list[Named]:
        """Try two at once, where nothing holds alone: what explains the most of them."""
        if any(guess and holds(guess, self.wrong) for guess in found.values()):
            return []
        tried = [one for one, guess in found.items() if guess and guess.hits is not None]
        best: Guess | None = None
        for first in (one for one in tried if asks(one) or hasattr(one, "OUTPUT")):
            changed = self._changed(first) if time.monotonic() < self.ends_at else None
            for second in tried if changed else ():
                late = time.monotonic() > self.ends_at
                if changed and not late and beside(first, second) and (guess := guess_of(second, changed)):
                    best = max(filter(None, (best, _both(first, guess))), key=_count)
        return [(TWO, best)] if best else []

    def _changed(self, module: ModuleType) -> Case | None:
        """Return the case as it is where a hypothesis holds, so that another can explain the rest."""
        if hasattr(module, "OUTPUT"):
            return replace(self.case, output=module.OUTPUT)
        images = module.asked(self.case) if hasattr(module, "asked") else None
        try:
            return None if images is None else replace(self.case, answers=self.case.ask(images))
        except RuntimeFailed:
            return None


def asks(module: ModuleType) -> bool:
    """Tell whether a hypothesis asks the target again."""
    return hasattr(module, "asked") or getattr(module, "ASKS", False)


def beside(first: ModuleType, second: ModuleType) -> bool:
    """Tell whether a second hypothesis is tried where a first one has changed what is asked, or what is expected.

    What is tried with other weights takes long: only beside what is expected.
    """
    if asks(second):
        return False
    return hasattr(second, "ASSUME") if asks(first) else not hasattr(second, "OUTPUT")


def guess_of(module: ModuleType, case: Case) -> Guess | None:
    """Return what a hypothesis comes to; None where it does not apply."""
    assume = (module.ASSUME,) if getattr(module, "ASSUME", "") else ()
    if hasattr(module, "asked"):
        images = module.asked(case)
        if images is None:
            return None
        return Guess(case.explained(case.logits, case.ask(images)), module.SAYS, module.REMEDY, assume)
    if hasattr(module, "OUTPUT"):
        if case.output == module.OUTPUT:
            return None
        return Guess(case.explained(case.logits, output=module.OUTPUT), module.SAYS, module.REMEDY, assume)
    guess: Guess | None = module.explain(case)
    return guess


def holds(guess: Guess, wrong: Hits) -> bool:
    """Tell whether a hypothesis explains the answers, and the wrong ones among them."""
    return guess.hits is not None and bool(min(guess.hits.mean(), guess.hits[wrong].mean()) >= ENOUGH)


def _count(guess: Guess) -> int:
    return 0 if guess.hits is None else int(guess.hits.sum())


def _both(first: ModuleType, second: Guess) -> Guess:
    """Return that a first hypothesis holds, and with it a second."""
    own = getattr(first, "ASSUME", "")
    assume = (*((own,) if own else ()), *second.assume)
    return Guess(second.hits, f"{first.SAYS}; and {second.says}", f"{first.REMEDY}, and {second.remedy}", assume)


def _hypothesis(name: str, guess: Guess, wrong: Hits, assumption: Assumption) -> Hypothesis:
    """Return what is saved of a hypothesis; `assumption` is what was assumed before."""
    if guess.hits is None:
        return Hypothesis(name=name, says=guess.says, explained=None, reason=guess.reason)
    for one in guess.assume:
        assumption = assumption.and_also(one)
    words = [word for one in assumption.names for word in ("--assume", one)]
    remedy = f"{guess.remedy}; or go on: {line('verify', *words)}" if guess.assume and words else guess.remedy
    share = float(guess.hits.mean())
    return Hypothesis(name=name, says=guess.says, explained=share, holds=holds(guess, wrong), remedy=remedy)


def told(result: ParityResult, cause: Hypothesis) -> ParityResult:
    """Let the failures of a result begin with what is wrong, and its way out."""
    others = (one.removesuffix(NOT_FLOAT32).removesuffix(OTHER_WEIGHTS) for one in result.failures)
    return replace_field(result, failures=(f"{cause.says} ({cause.remedy})", *others))
