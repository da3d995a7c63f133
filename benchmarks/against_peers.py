"""`mnist-bench train` beside a notebook's loop, JAX and the machine's limit: interleaved fresh processes.

Usage: MNIST_BENCH_DATA=ROOT python benchmarks/against_peers.py [--device cpu|cuda]
    [--rounds N] [--whole N] [--jax PYTHON] [--record FILE]

PYTHON is that of an environment with jax and optax; without it JAX is left out. The limit and JAX are of the CPU. A
round runs the limit, ours, JAX, the notebook, one after the other; a process counts by the median of its epochs after
the first, and what is reported are ratios within a round. A whole training is a process from its start to its end: 15
epochs, each evaluated; modules were compiled before, as in any installation that was used once.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mnist_bench import data, environment

HERE = Path(__file__).parent
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
EPOCHS, NOTEBOOK_EPOCHS, WHOLE = 5, 2, 15


def main() -> None:
    given = arguments()
    content: dict[str, Any] = {
        "environment": msgspec.to_builtins(environment.collect(environment.resolve_device(given.device)))
    }
    if given.jax:
        content["jax"] = run([str(given.jax), "-c", "import json, jax; print(json.dumps(jax.__version__))"])
    with tempfile.TemporaryDirectory() as folder:
        peers = prepared(Path(folder), given.device, given.jax)
        rounds = [{name: epochs(EPOCHS) for name, epochs in peers.items()} for _ in range(given.rounds)]
        whole = [{name: timed(epochs) for name, epochs in peers.items() if name != "floor"} for _ in range(given.whole)]
    content |= {"ratios": ratios(rounds, whole), "rounds": rounds, "whole_s": whole}
    print(json.dumps(content["ratios"], indent=1))
    if given.record:
        given.record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--whole", type=int, default=3)
    parser.add_argument("--jax", type=Path)
    parser.add_argument("--record", type=Path)
    return parser.parse_args()


def prepared(root: Path, device: str, jax: Path | None) -> dict[str, Callable[[int], Any]]:
    """Return what runs so many epochs of each, and gives their seconds."""
    unpack(Path(os.environ["MNIST_BENCH_DATA"]), root)
    notebook = [sys.executable, str(HERE / "notebook_loop.py"), str(root)]
    train = [sys.executable, "-m", "mnist_bench", "train", "--device", device, "--data-dir", str(root)]
    train += ["--out", str(root / "exports")]
    peers: dict[str, Callable[[int], Any]] = {
        "ours": lambda epochs: [
            epoch["train_s"]
            for epoch in run([*train, "--overwrite", "--quiet", "--json", "-", "--epochs", str(epochs)])["epochs"]
        ],
        "notebook": lambda epochs: run([*notebook, str(epochs if epochs == WHOLE else NOTEBOOK_EPOCHS), device]),
    }
    if device == "cpu":
        peers = {"floor": lambda _: run([sys.executable, str(HERE / "floor.py")])} | peers
    if jax:
        arrays = root / "mnist.npz"
        save(arrays, root)
        peers["jax"] = lambda epochs: run([str(jax), str(HERE / "jax_scan.py"), str(arrays), str(epochs)])
    return peers


def ratios(rounds: list[dict[str, Any]], whole: list[dict[str, float]]) -> dict[str, Any]:
    """Return the median and the range of each ratio over the rounds."""
    bounded = [one for one in rounds if "floor" in one]
    found = {
        "ours / floor of torch.mm": [typical(one["ours"]) / one["floor"]["mm_s"] for one in bounded],
        "ours / floor of the fastest products": [typical(one["ours"]) / one["floor"]["fastest_s"] for one in bounded],
    }
    for peer in ("notebook", "jax"):
        if all(peer in one for one in (*rounds, *whole)):
            found[f"{peer} / ours, an epoch"] = [typical(one[peer]) / typical(one["ours"]) for one in rounds]
            found[f"{peer} / ours, a whole training"] = [one[peer] / one["ours"] for one in whole]
    return {
        name: {"median": statistics.median(values), "from": min(values), "to": max(values)}
        for name, values in found.items()
        if values
    }


def typical(seconds: list[float]) -> float:
    return statistics.median(seconds[1:])


def timed(epochs: Callable[[int], object]) -> float:
    began = time.perf_counter()
    epochs(WHOLE)
    return time.perf_counter() - began


def run(command: list[str]) -> Any:
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=surroundings)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        sys.exit(f"{' '.join(command)}\nended with exit code {done.returncode}:\n" + "\n".join(said))
    return json.loads(done.stdout)


def save(path: Path, root: Path) -> None:
    """Write MNIST as arrays for a program that knows nothing of us."""
    dataset = data.load("mnist", root, download=False)
    parts = {"train": dataset.train, "test": dataset.test}
    arrays = {f"{name}_labels": part.labels for name, part in parts.items()}
    pixels = {f"{name}_images": data.to_input(part.pixels).reshape(len(part), -1) for name, part in parts.items()}
    np.savez(path, **arrays, **pixels)


def unpack(source: Path, root: Path) -> None:
    """torchvision unpacks beside the archives: leave the source as it is."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        path = source / "MNIST" / "raw" / name
        content = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{name}.gz").read_bytes())
        (raw / name).write_bytes(content)


if __name__ == "__main__":
    main()
