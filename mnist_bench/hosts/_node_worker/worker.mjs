// A worker in JavaScript: ONNX Runtime in Node, behind the protocol of docs/protocol.md. The clock is next to the call.

import { readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const PIXELS = 28 * 28;
const CLASSES = 10;
const NEWLINE = 10;
const FLOAT_BYTES = 4 * 535818; // the network's parameters in float32
const BYTES = { float16: 2, float32: 4, float64: 8, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8 };

const began = process.hrtime.bigint();
const ort = createRequire(import.meta.url)("onnxruntime-node");
const importSeconds = Number(process.hrtime.bigint() - began) * 1e-9;
const version = JSON.parse(readFileSync(new URL("./node_modules/onnxruntime-node/package.json", import.meta.url))).version;

// What has been read and not been used yet.
let pending = Buffer.alloc(0);

/** Read once, up to so many bytes; nothing at the end of stdin. */
function readSome(bytes) {
  const buffer = Buffer.allocUnsafe(bytes);
  for (;;) {
    try {
      return buffer.subarray(0, readSync(0, buffer));
    } catch (error) {
      if (error.code === "EOF") return buffer.subarray(0, 0);
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function readLine() {
  let end;
  while ((end = pending.indexOf(NEWLINE)) < 0) {
    const more = readSome(65536);
    if (more.length === 0) return null;
    pending = Buffer.concat([pending, more]);
  }
  const line = pending.subarray(0, end).toString("utf8");
  pending = pending.subarray(end + 1);
  return line;
}

/** Read so many bytes into memory of their own, in which any type of array may begin. */
function readBytes(count) {
  const bytes = new Uint8Array(count);
  let filled = Math.min(pending.length, count);
  bytes.set(pending.subarray(0, filled));
  pending = pending.subarray(filled);
  while (filled < count) {
    const more = readSome(Math.min(count - filled, 1 << 20));
    if (more.length === 0) throw new Error("stdin ended within an array");
    bytes.set(more, filled);
    filled += more.length;
  }
  return bytes;
}

function read() {
  const line = readLine();
  if (line === null) return null;
  const message = JSON.parse(line);
  const arrays = {};
  for (const { name, dtype, shape } of message.arrays ?? []) {
    arrays[name] = readBytes(shape.reduce((product, size) => product * size, BYTES[dtype]));
  }
  return { ...message, arrays };
}

function writeAll(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

/** Write a message; `arrays` are [name, dtype, shape, typed array]. */
function write(message, fields = {}, arrays = []) {
  const described = arrays.map(([name, dtype, shape]) => ({ name, dtype, shape }));
  writeAll(Buffer.from(`${JSON.stringify({ message, ...fields, arrays: described })}\n`));
  for (const [, , , values] of arrays) writeAll(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

let session = null;
let precision = null;
let images = new Float32Array(0);

/** Read from a file in what its layers compute: a session cannot be asked. */
function kind(content) {
  if (content.includes("MatMulInteger")) return "int8-dynamic";
  if (content.includes("QuantizeLinear")) return "int8";
  return content.length < FLOAT_BYTES ? "fp16" : "fp32";
}

async function open(message) {
  const [content] = Object.values(message.arrays);
  const start = process.hrtime.bigint();
  session = await ort.InferenceSession.create(content, {
    executionProviders: ["cpu"],
    intraOpNumThreads: message.threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  precision = kind(Buffer.from(content));
  write("opened", { load_s: Number(process.hrtime.bigint() - start) * 1e-9 });
}

/** Cut the images into batches of one size; the last is as short as it is, or filled up with the first images. */
function batches(size, full) {
  const count = images.length / PIXELS;
  const found = [];
  for (let at = 0; at < count; at += size) {
    const here = full ? size : Math.min(size, count - at);
    const batch = new Float32Array(here * PIXELS);
    for (let row = 0; row < here; row++) {
      const from = ((at + row) % count) * PIXELS;
      batch.set(images.subarray(from, from + PIXELS), row * PIXELS);
    }
    found.push(batch);
  }
  return found;
}

/** Answer one batch: from an array to an array. */
async function run(batch) {
  const input = new ort.Tensor("float32", batch, [batch.length / PIXELS, 1, 28, 28]);
  const answers = await session.run({ [session.inputNames[0]]: input });
  return answers[session.outputNames[0]].data;
}

async function answered(parts) {
  const logits = [];
  for (const part of parts) logits.push(Float32Array.from(await run(part)));
  const whole = new Float32Array(logits.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of logits) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function clocked(batch) {
  const start = process.hrtime.bigint();
  await run(batch);
  return process.hrtime.bigint() - start;
}

/** A first call, answers for the check, a warm-up that is not scored, and then the calls that count. */
async function time(message) {
  const parts = batches(message.batch_size, true);
  const first = await clocked(parts[0]);
  const arrays = [];
  if (message.answers > 0) {
    const wanted = parts.slice(0, Math.ceil(message.answers / message.batch_size));
    const logits = (await answered(wanted)).subarray(0, message.answers * CLASSES);
    arrays.push(["logits", "float32", [message.answers, CLASSES], logits]);
  }
  const start = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - start) * 1e-9;
  let calls = 0;
  for (; calls < message.warm_up_calls || seconds() < message.warm_up_s; calls++) await run(parts[calls % parts.length]);
  const warmUp = { warm_up_calls: calls, warm_up_s: seconds() };
  const times = new BigInt64Array(message.calls);
  for (let call = 0; call < message.calls; call++) times[call] = await clocked(parts[call % parts.length]);
  arrays.push(["times_ns", "int64", [message.calls], times]);
  const peak = process.resourceUsage().maxRSS * 1024;
  write("timed", { first_call_s: Number(first) * 1e-9, ...warmUp, peak_resident_bytes: peak }, arrays);
}

async function answer(message) {
  if (message.arrays.images) images = new Float32Array(message.arrays.images.buffer);
  switch (message.message) {
    case "hello":
      write("hello", { protocol: 1, runtime: "onnxruntime", version, pid: process.pid, import_s: importSeconds });
      break;
    case "open":
      await open(message);
      break;
    case "inspect":
      write("inspected", { provider: "CPUExecutionProvider of Node", precision });
      break;
    case "run": {
      const logits = await answered(batches(message.batch_size, false));
      write("answers", {}, [["logits", "float32", [logits.length / CLASSES, CLASSES], logits]]);
      break;
    }
    case "time":
      await time(message);
      break;
    default:
      write("error", { kind: "unsupported", reason: `there is no message '${message.message}' here` });
  }
}

for (let message = read(); message !== null && message.message !== "close"; message = read()) {
  try {
    await answer(message);
  } catch (error) {
    write("error", { kind: "failed", reason: String(error.message ?? error).split("\n")[0] });
  }
}
write("closed");
process.exit(0);
