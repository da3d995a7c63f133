"""Who hears of a training that a command has begun: the screen, unless it is to be quiet."""

from mnist_bench.cli._progress import tell, training_display
from mnist_bench.cli._signals import stop_on_signal
from mnist_bench.stages.training import Audience


def audience(*, quiet: bool) -> Audience:
    """Return it; what goes wrong beside the training is told in any case."""
    return Audience(
        say=(lambda _: None) if quiet else tell,
        warn=tell,
        display=lambda: training_display(quiet),
        stopping=stop_on_signal,
    )
