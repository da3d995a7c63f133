"""The web: a static folder whose page runs the network in its visitor's browser, and compares it with the reference."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_bench import __version__, worker
from mnist_bench.core.dataset_names import output_names
from mnist_bench.core.kinds import Precision, Skipped
from mnist_bench.core.npm import ONNXRUNTIME_WEB
from mnist_bench.formats import onnx
from mnist_bench.formats._messages import Facts, Reference

if TYPE_CHECKING:
    from mnist_bench.formats._request import Request

FILE_NAME = "model.web"
PRECISIONS: tuple[Precision, ...] = ("fp32",)
WANTS_REFERENCE = True
PAGE = Path(__file__).parent / "_web"


def why_unavailable() -> Skipped | None:
    """It needs ONNX Runtime for the web, which npm fetches."""
    missing = ONNXRUNTIME_WEB.why_missing()
    return Skipped("web", missing.reason, missing.remedy) if missing else None


def export(request: "Request", path: Path) -> Facts:
    """Write the folder: the page, ONNX Runtime, the model, and the test images with the reference's answers."""
    reference = request.reference()
    path.mkdir()
    facts = onnx.export(request, path / "model.onnx")
    place = ONNXRUNTIME_WEB.place()
    for source in (*PAGE.iterdir(), worker.JAVASCRIPT / "timing.mjs", *map(place.joinpath, ONNXRUNTIME_WEB.files)):
        # As .js: not every web server knows the type of .mjs, and without it no browser runs it.
        name = f"{source.stem}.js" if source.suffix == ".mjs" else source.name
        shutil.copyfile(source, path / name)
    for name, content in _arrays(reference).items():
        (path / f"{name}.bin").write_bytes(content)
    about = {
        **{name: request.metadata()[name] for name in ("run", "dataset", "activation", "precision", "weights_sha256")},
        "classes": output_names(request.record.dataset.classes, reference.logits.shape[1]),
        "tolerance": reference.tolerance,
        "mnist_bench": __version__,
    }
    (path / "run.json").write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
    return Facts(
        version=f"onnxruntime-web {ONNXRUNTIME_WEB.version}, {facts.version}",
        exporter="mnist-bench",
        exporter_version=__version__,
    )


def _arrays(reference: Reference) -> dict[str, bytes]:
    """Return what the page reads: elements are little-endian, in row-major order."""
    return {
        "images": reference.pixels.astype("u1").tobytes(),
        "labels": reference.labels.astype("u1").tobytes(),
        "logits": reference.logits.astype("<f8").tobytes(),
        "certified": reference.certified.astype("u1").tobytes(),
    }
