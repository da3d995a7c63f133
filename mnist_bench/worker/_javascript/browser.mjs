// A worker in a browser: ONNX Runtime for the web, behind the protocol of docs/protocol.md. Python carries the messages.

import { Answering } from "./answering.mjs";
import { browserStep } from "./timing.mjs";

const NEWLINE = 10;
const BYTES = { float16: 2, float32: 4, float64: 8, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8 };

/** Import the engine: once for each number of threads, which it has for good. */
const engines = new Map();
async function engine(threads) {
  if (!engines.has(threads)) {
    const ort = await import(`./ort.wasm.min.mjs?threads=${threads}`);
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = "error";
    engines.set(threads, ort);
  }
  return engines.get(threads);
}

async function open(content, threads) {
  const ort = await engine(threads);
  const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  // ONNX Runtime refuses to start without SIMD; without shared memory it falls back to one thread, and says so here.
  const found = ort.env.wasm.numThreads;
  return { session, Tensor: ort.Tensor, provider: `wasm SIMD, ${found} thread${found === 1 ? "" : "s"}` };
}

function parsed(content) {
  const bytes = new Uint8Array(content);
  const end = bytes.indexOf(NEWLINE);
  const message = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const arrays = {};
  let at = end + 1;
  for (const { name, dtype, shape } of message.arrays ?? []) {
    const size = shape.reduce((product, one) => product * one, BYTES[dtype]);
    arrays[name] = bytes.slice(at, at + size); // in memory of its own, in which any type of array may begin
    at += size;
  }
  return { ...message, arrays };
}

function encoded({ message, fields = {}, arrays = [] }) {
  const described = arrays.map(([name, dtype, shape]) => ({ name, dtype, shape }));
  const values = arrays.map(([, , , array]) => array);
  return new Blob([`${JSON.stringify({ message, ...fields, arrays: described })}\n`, ...values]);
}

/** Hand an answer over, or nothing, and wait for the next message; null where the other side has nothing to say yet. */
async function exchange(answer) {
  const response = await fetch("exchange", { method: "POST", body: answer });
  if (!response.ok) throw new Error(`the bridge answers ${response.status}`);
  return response.status === 204 ? null : parsed(await response.arrayBuffer());
}

const began = performance.now();
const ort = await engine(1);
const importSeconds = (performance.now() - began) * 1e-3;
const worker = new Answering({
  open,
  now: () => performance.now() * 1e6,
  resolution: browserStep() * 1e9,
  hello: { version: ort.env.versions.web, import_s: importSeconds },
});
let answer = null;
for (;;) {
  const message = await exchange(answer);
  answer = message && encoded(await worker.answer(message));
}
