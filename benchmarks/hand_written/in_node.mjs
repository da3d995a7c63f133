// As in_python.py, with ONNX Runtime in Node: node in_node.mjs NODE_MODULES FILE IMAGES.f32 BATCH,…

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, file, raw, sizes] = process.argv.slice(2);
const ort = createRequire(`${modules}/`)("onnxruntime-node");
const bytes = readFileSync(raw);
const pixels = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });

async function call(batch) {
  const image = new ort.Tensor("float32", batch, [batch.length / 784, 1, 28, 28]);
  return (await session.run({ image })).logits.data;
}

const found = {};
for (const size of sizes.split(",").map(Number)) {
  const batches = [];
  for (let at = 0; at + size * 784 <= pixels.length; at += size * 784) batches.push(pixels.slice(at, at + size * 784));
  const began = performance.now();
  for (let warm = 0; warm < 50 || performance.now() - began < 500; warm++) await call(batches[warm % batches.length]);
  const times = [];
  const calls = Math.max(60, Math.min(1000, Math.floor(15360 / size)));
  for (let number = 0; number < calls; number++) {
    const batch = batches[number % batches.length];
    const start = process.hrtime.bigint();
    await call(batch);
    times.push(Number(process.hrtime.bigint() - start) * 1e-9);
  }
  times.sort((a, b) => a - b);
  found[size] = times[Math.floor(times.length / 2)];
}
console.log(JSON.stringify(found));
