"""What `mnist-bench bench` measures of each target beside a loop written by hand: interleaved fresh processes.

Usage: MNIST_BENCH_DATA=ROOT python benchmarks/against_hand_written.py RUN [--rounds N] [--record FILE] [TARGET …]

RUN is the folder of a run on MNIST with ReLU, with its exports. A round measures every target by one of our workers and
by a loop of `hand_written/`, in turns the one first and the other; what is reported are the ratios of their medians
within a round. One thread, batches of 1 and 128. What is installed beside Python (Node, a browser, C++) has a loop in
its own language.
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

import msgspec
import numpy as np
import onnxruntime
from hand_written import in_python

from mnist_bench import data, environment, formats, hosts, parity, runtimes, store
from mnist_bench.bench.inference import calls_for
from mnist_bench.core.npm import ONNXRUNTIME_WEB
from mnist_bench.hosts import _headers

LOOPS = Path(__file__).parent / "hand_written"
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
    """Yield the targets in float32 and int8 for which there is a loop: here, and where ONNX Runtime answers beside."""
    wanted = parity.Wanted(on=hosts.everywhere())
    for target in parity.find_targets(run, store.load_record(run), wanted).ready:
        known = target.runtime in in_python.LOOPS if target.host == hosts.HERE else target.runtime == "onnxruntime"
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
        return lambda: printed([sys.executable, str(LOOPS / "in_python.py"), *words])
    raw = pixels.with_suffix(".f32")
    raw.write_bytes(np.load(pixels).tobytes())
    command = ELSEWHERE[target.host.kind](target, pixels.parent)
    return lambda: printed([*command, words[1], str(raw), sizes])


def in_node(target: parity.Target, _folder: Path) -> list[str]:
    packages = Path(target.launch.command[1]).parent / "node_modules"
    return ["node", str(LOOPS / "in_node.mjs"), str(packages)]


def in_browser(_target: parity.Target, _folder: Path) -> list[str]:
    return [sys.executable, str(LOOPS / "in_browser.py"), str(ONNXRUNTIME_WEB.place())]


def in_cpp(_target: parity.Target, folder: Path) -> list[str]:
    """Compile the loop against the wheel's library, with the headers that the host gets."""
    program = folder / "hand_written"
    if not program.exists():
        (folder / "headers").mkdir()
        headers = _headers.fetch(folder / "headers") / "include" / "onnxruntime"
        (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
        (folder / "libonnxruntime.so.1").symlink_to(library)  # as the library calls itself
        link = [str(library), f"-Wl,-rpath,{folder}"]
        words = ["c++", "-std=c++17", "-O2", f"-I{headers}", str(LOOPS / "in_cpp.cpp"), *link, "-o", str(program)]
        subprocess.run(words, check=True)
    return [str(program)]


ELSEWHERE: dict[str, Callable[[parity.Target, Path], list[str]]] = {
    "browser": in_browser,
    "cpp": in_cpp,
    "node": in_node,
}


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
