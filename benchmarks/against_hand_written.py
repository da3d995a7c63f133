"""What `mnist-bench bench` measures of each target beside a loop written by hand: interleaved fresh processes.

Usage: MNIST_BENCH_DATA=ROOT python benchmarks/against_hand_written.py RUN [--rounds N] [--record FILE] [TARGET …]

RUN is the folder of a run on MNIST with ReLU, with its exports. A round measures every target by one of our workers and
by `hand_written.py`, in turns the one first and the other; what is reported are the ratios of their medians within a
round. One thread, batches of 1 and 128; Node's loop is JavaScript.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hand_written
import msgspec
import numpy as np

from mnist_bench import data, environment, formats, hosts, parity, runtimes, store
from mnist_bench.bench.inference import calls_for
from mnist_bench.core.kinds import Skipped

HERE = Path(__file__).parent
SIZES = (1, 128)
IMAGES = 2_048
Measure = Callable[[], dict[str, float]]


def main() -> None:
    given = arguments()
    dataset = data.load("mnist", Path(os.environ["MNIST_BENCH_DATA"]), download=False)
    images = data.to_input(dataset.test.pixels[:IMAGES])
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder, "images.npy")
        np.save(pixels, images)
        pairs = {
            target.name(): (lambda target=target: ours(target, images), by_hand(target, given.run, pixels))
            for target in targets(given.run, given.targets)
        }
        rounds = [one_round(pairs, number) for number in range(given.rounds)]
    content = {
        "environment": msgspec.to_builtins(environment.collect()),
        "ratios": ratios(rounds),
        "rounds": rounds,
    }
    for name, found in content["ratios"].items():
        print(
            name,
            *(f"batch {size}: {one['median']:.3f} ({one['from']:.3f}-{one['to']:.3f})" for size, one in found.items()),
        )
    if given.record:
        given.record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--record", type=Path)
    return parser.parse_args()


def targets(run: Path, names: list[str]) -> Iterator[parity.Target]:
    """Yield the targets in float32 and int8 for which a loop is written, here and in Node where that is installed."""
    node = hosts.Host("node")
    there = () if isinstance(hosts.load("node").why_unavailable(), Skipped) else (node,)
    wanted = parity.Wanted(on=(hosts.HERE, *there))
    for target in parity.find_targets(run, store.load_record(run), wanted).ready:
        known = target.runtime in hand_written.LOOPS
        if known and target.precision not in ("fp16", "bf16") and (not names or target.name() in names):
            yield target


def ours(target: parity.Target, images: Any) -> dict[str, float]:
    with hosts.started(target.launch, target.model, hosts.Limits(180)) as worker:
        worker.greet(target.asked)
        opened = worker.open(target.model, runtimes.Spec("cpu", 1, target.precision))
        fixed = target.model.batch or opened.batch
        return {
            str(size): statistics.median(worker.time(images, timing(size)).times_s)
            for size in SIZES
            if fixed in (None, size)
        }


def timing(size: int) -> hosts.Timing:
    return hosts.Timing(batch_size=size, calls=calls_for(size), warm_up_calls=50, warm_up_s=0.5, answers=0)


def by_hand(target: parity.Target, run: Path, pixels: Path) -> Measure:
    if target.model.format == parity.WEIGHTS:
        (name,) = target.model.files
    else:
        name = formats.file_name(target.model.format, target.precision)
    sizes = ",".join(map(str, [1] if target.model.batch else SIZES))
    words = [target.runtime, str(run / name), str(pixels), sizes]
    if target.host == hosts.HERE:
        return lambda: printed([sys.executable, str(HERE / "hand_written.py"), *words])
    raw = pixels.with_suffix(".f32")
    raw.write_bytes(np.load(pixels).tobytes())
    packages = Path(target.launch.command[1]).parent / "node_modules"
    return lambda: printed(["node", str(HERE / "hand_written.mjs"), str(packages), words[1], str(raw), sizes])


def printed(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with exit code {done.returncode}:\n{done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_round(pairs: dict[str, tuple[Measure, Measure]], number: int) -> dict[str, Any]:
    """Measure every target both ways; the way that is first changes with the round."""
    found: dict[str, Any] = {}
    for name, (mine, theirs) in pairs.items():
        ways = {"ours": mine, "by hand": theirs}
        measured = {way: ways[way]() for way in sorted(ways, reverse=bool(number % 2))}
        found[name] = measured
        print(number, name, measured, file=sys.stderr)
    return found


def ratios(rounds: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the median and the range of ours over by hand, by target and batch size."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, first in rounds[0].items():
        for size in first["by hand"]:
            values = [one[name]["ours"][size] / one[name]["by hand"][size] for one in rounds]
            found.setdefault(name, {})[size] = {
                "median": statistics.median(values),
                "from": min(values),
                "to": max(values),
            }
    return found


if __name__ == "__main__":
    main()
