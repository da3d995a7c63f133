"""How much faster `mnist-bench train` is than a notebook's loop, on this machine: interleaved fresh processes.

Usage: MNIST_BENCH_DATA=ROOT python benchmarks/against_notebook.py [PAIRS] [RECORD.json]

Each pair runs the notebook's loop, then ours, two and four epochs each; a process counts by the median of its epochs
after the first. The result is the median of the pairs' ratios; every raw second is kept in the record.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from mnist_bench import environment

NOTEBOOK = Path(__file__).with_name("notebook_loop.py")
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def main(pairs: int, record: Path | None) -> None:
    with tempfile.TemporaryDirectory() as root:
        unpack(Path(os.environ["MNIST_BENCH_DATA"]), Path(root))
        runs = [{"notebook_s": notebook(root), "ours_s": ours(root)} for _ in range(pairs)]
    ratios = [typical(run["notebook_s"]) / typical(run["ours_s"]) for run in runs]
    summary = {"median_ratio": statistics.median(ratios), "ratios": ratios, "runs": runs}
    print(json.dumps(summary, indent=1))
    if record:
        content = {"environment": msgspec.to_builtins(environment.collect()), **summary}
        record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def typical(seconds: list[float]) -> float:
    return statistics.median(seconds[1:])


def notebook(root: str) -> list[float]:
    return run([sys.executable, str(NOTEBOOK), root, "2"])


def ours(root: str) -> list[float]:
    out = str(Path(root, "exports"))
    command = [sys.executable, "-m", "mnist_bench", "train", "--data-dir", root, "--out", out]
    epochs = run([*command, "--epochs", "4", "--overwrite", "--quiet", "--json", "-"])["epochs"]
    return [epoch["train_s"] for epoch in epochs]


def run(command: list[str]):  # type: ignore[no-untyped-def]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def unpack(source: Path, root: Path) -> None:
    """torchvision unpacks beside the archives: leave the source as it is."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        path = source / "MNIST" / "raw" / name
        content = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{name}.gz").read_bytes())
        (raw / name).write_bytes(content)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
