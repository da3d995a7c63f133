"""As in_python.py, with ONNX Runtime for the web in headless Chromium.

Usage: python in_browser.py FOLDER FILE IMAGES.f32 BATCH,…

FOLDER holds what `mnist-bench hosts --install browser` keeps. A browser's clock moves in steps of 5 µs: a sample is the
mean of as many calls as take half a millisecond.
"""

import json
import os
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = """<!doctype html><script type="module">
import * as ort from "./ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
const pixels = new Float32Array(await (await fetch("images.f32")).arrayBuffer());
const call = async (batch) => {
  const image = new ort.Tensor("float32", batch, [batch.length / 784, 1, 28, 28]);
  return (await session.run({ image })).logits.data;
};
const found = {};
for (const size of SIZES) {
  const batches = [];
  for (let at = 0; at + size * 784 <= pixels.length; at += size * 784) batches.push(pixels.slice(at, at + size * 784));
  const began = performance.now();
  let warm = 0;
  for (; warm < 50 || performance.now() - began < 500; warm++) await call(batches[warm % batches.length]);
  const each = Math.ceil(0.5 / ((performance.now() - began) / warm));
  const times = [];
  for (let sample = 0; sample < Math.max(60, Math.min(1000, 15360 / size)); sample++) {
    const start = performance.now();
    for (let number = 0; number < each; number++) await call(batches[(sample * each + number) % batches.length]);
    times.push((performance.now() - start) / each / 1000);
  }
  times.sort((a, b) => a - b);
  found[size] = times[times.length >> 1];
}
window.found = found;
</script>"""
KINDS = {"mjs": "text/javascript", "wasm": "application/wasm", "html": "text/html"}


def main(folder: str, model: str, images: str, sizes: str) -> None:
    from playwright.sync_api import sync_playwright

    files = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    files |= {"model.onnx": Path(model).read_bytes(), "images.f32": Path(images).read_bytes()}
    files["page.html"] = PAGE.replace("SIZES", f"[{sizes}]").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Type", KINDS.get(self.path.rpartition(".")[2], "application/octet-stream"))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, sync_playwright() as started:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=sandbox)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        page.wait_for_function("window.found", timeout=120_000)
        print(json.dumps(page.evaluate("window.found")))
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
