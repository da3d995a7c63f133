"""The worker in JavaScript gives a model images as its signature has them: beside an engine that only notes them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import mnist_bench

NODE = shutil.which("node")
ANSWERING = Path(mnist_bench.__file__).parent / "worker" / "_javascript" / "answering.mjs"
SCRIPT = """
const { Answering } = await import(process.argv[1]);
const asked = JSON.parse(process.argv[2]);
const calls = [];
class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
const session = {
  inputNames: ["image"], outputNames: ["label", "logits"], release() {},
  run({ image }) {
    calls.push([image.type, image.data.constructor.name, image.dims]);
    const rows = image.dims[0];
    return { label: { data: new Float32Array(rows) }, logits: { data: new Float32Array(rows * 10).fill(7) } };
  },
};
const worker = new Answering({ open: () => ({ session, Tensor, provider: "none" }), now: () => 0 });
const opened = await worker.answer({ message: "open", threads: 1, arrays: { m: new Uint8Array(3) }, ...asked.open });
const images = new Uint8Array(asked.bytes);
const answers = await worker.answer({ message: "run", batch_size: asked.batch, arrays: { images } });
const [, , shape, values] = answers.arrays?.[0] ?? [];
console.log(JSON.stringify({ opened, calls, shape, values: [...new Set(values)] }));
"""

pytestmark = [pytest.mark.programs, pytest.mark.skipif(NODE is None, reason="no Node here")]


def answered(signature: dict[str, Any] | None, size: int, images: int, batch: int) -> dict[str, Any]:
    asked = {"open": {"signature": signature}, "bytes": size * images * 784, "batch": batch}
    assert NODE
    command = [NODE, "--input-type=module", "-e", SCRIPT, str(ANSWERING), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def signature(**fields: Any) -> dict[str, Any]:
    return {"shape": [1, 28, 28], "dtype": "float32", "output": "label", "batch": None} | fields


def test_images_are_ours_unless_told() -> None:
    found = answered(None, 4, 3, 2)
    assert found["calls"] == [["float32", "Float32Array", [2, 1, 28, 28]], ["float32", "Float32Array", [1, 1, 28, 28]]]


def test_images_come_as_the_signature_has_them() -> None:
    found = answered(signature(shape=[784], dtype="uint8", output="logits"), 1, 3, 2)
    assert found["calls"] == [["uint8", "Uint8Array", [2, 784]], ["uint8", "Uint8Array", [1, 784]]]
    assert (found["shape"], found["values"]) == ([3, 10], [7])


def test_a_fixed_batch_is_filled_up() -> None:
    found = answered(signature(batch=2, output="logits"), 4, 3, 2)
    assert [call[2][0] for call in found["calls"]] == [2, 2]
    assert found["shape"] == [3, 10]


def test_a_type_that_is_not_known_is_unsupported() -> None:
    found = answered(signature(dtype="float16"), 2, 2, 2)
    assert found["opened"]["fields"]["kind"] == "unsupported"
