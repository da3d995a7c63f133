// The page: what is drawn goes to the network, and what it answers is shown, and compared.

import { argmax, compare, loadBundle } from "./comparing.js";
import { Drawing } from "./drawing.js";
import { Network, engines } from "./network.js";
import { SIDE, inkOf, prepared } from "./preparing.js";

const QUIET_MS = 400; // a screen reader is told once nothing more is drawn
const MOST_SHOWN = 24;
const LARGEST_FILE = 50 * 2 ** 20;
const part = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const short = (value) => (value < 0.01 ? value.toExponential(1) : value.toPrecision(3));
const images = (count) => `${number(count)} ${count === 1 ? "image" : "images"}`;

let bundle = null;
let model = null;
let network = null;
let choices = [];
let turn = 0; // of engines: what belongs to an earlier one ends
let pixels = null;
let saying; // the timer of what a screen reader will be told
let shownImage = null; // the number of the test image that is shown
let lastImage = -1;
const rows = [];

// What the network gets

function preview(found) {
  const context = part("preview").getContext("2d", { willReadFrequently: true }); // so small a canvas needs no GPU
  const image = new ImageData(SIDE, SIDE);
  for (let place = 0; place < SIDE * SIDE; place++) image.data.set([found[place], found[place], found[place], 255], 4 * place);
  context.putImageData(image, 0, 0);
}

/** Take pixels for the network, Uint8Array (784), or null for none; what was complained of before is over. */
function take(found, source, described) {
  complain("");
  pixels = found;
  part("invitation").hidden = found !== null;
  preview(found ?? new Uint8Array(SIDE * SIDE));
  part("preview").setAttribute("aria-label", described);
  part("source").textContent = source;
}

const FITTED = "28\u202f×\u202f28 pixels, fitted into 20\u202f×\u202f20 and centred by mass, as MNIST’s are.";
const drawing = new Drawing(part("canvas"), part("pen"), drawn, say);

/** What is there is no test image any more. */
function leaveTestImage() {
  shownImage = null;
  part("number").value = "";
}

async function drawn(finished) {
  leaveTestImage();
  const found = prepared(drawing.ink(), part("canvas").width, part("canvas").height);
  take(found, FITTED, found ? "Your drawing in 28 by 28 pixels" : "Nothing yet");
  await answer(finished);
}

function clear() {
  drawing.clear();
  leaveTestImage();
  take(null, FITTED, "Nothing yet");
  showNothing();
}

async function showTestImage(index) {
  const count = bundle.labels.length;
  shownImage = lastImage = (index + count) % count;
  part("number").value = shownImage;
  const found = bundle.image(shownImage);
  drawing.show(found, SIDE, SIDE);
  const label = bundle.about.classes[bundle.labels[shownImage]];
  const certified = bundle.certified[shownImage] ? "certified" : "not certified";
  take(found, `Test image ${number(shownImage)}, as it is. Labelled ${label}; ${certified}.`, `Test image ${shownImage}, labelled ${label}`);
  await answer(true);
}

async function showFile(file) {
  if (!file) return;
  let bitmap;
  try {
    if (file.size > LARGEST_FILE) throw new Error("too large");
    bitmap = await createImageBitmap(file);
  } catch {
    complain(`${file.name || "What was given"} is no image that this browser can read: choose a PNG or a JPEG of less than 50 MB.`);
    return;
  }
  const scale = Math.min(1, 280 / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.round(size * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { ink, inverted } = inkOf(context.getImageData(0, 0, width, height).data, width, height);
  drawing.show(ink, width, height);
  leaveTestImage();
  const found = prepared(ink, width, height);
  const how = inverted ? "inverted, since its ground is light, then fitted" : "fitted";
  if (found) take(found, `Your image, ${how} into 20\u202f×\u202f20 pixels and centred by mass.`, "Your image in 28 by 28 pixels");
  else take(null, "This image is of one colour: there is nothing to read.", "Nothing yet");
  await answer(true);
}

// What it answers

function showNothing() {
  clearTimeout(saying);
  part("said").textContent = ""; // a screen reader must not find the answer to what is gone
  part("best").textContent = "–";
  part("sure").textContent = "nothing drawn yet";
  for (const row of rows) show(row, 0, "–", false);
}

function show(row, share, words, first) {
  row.bar.style.width = `${100 * share}%`;
  row.share.textContent = words;
  row.all.classList.toggle("first", first);
}

let busy = false;
let again = false;

/** Answer what is there now; of what comes while the network is busy, the last. */
async function answer(finished) {
  if (!pixels) return showNothing();
  if (!network) return;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const logits = [...(await network.run(pixels))];
    if (pixels) showAnswer(logits, finished);
  } catch (error) {
    complain(`The network failed: ${error.message ?? error}`);
  } finally {
    busy = false;
  }
  if (again) {
    again = false;
    await answer(true);
  }
}

function showAnswer(logits, finished) {
  const best = argmax(logits);
  const powers = logits.map((logit) => Math.exp(logit - logits[best]));
  const sum = powers.reduce((total, one) => total + one, 0);
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  rows.forEach((row, place) => show(row, powers[place] / sum, percent(powers[place] / sum), place === best));
  const name = bundle.about.classes[best];
  part("best").textContent = name;
  const right = shownImage === null ? "" : bundle.labels[shownImage] === best ? ", as it is labelled" : ", and it is labelled otherwise";
  part("sure").textContent = `${percent(powers[best] / sum)}${right}`;
  if (finished) say(`${name}, ${percent(powers[best] / sum)}${right}`);
}

function say(words) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    part("said").textContent = words;
  }, QUIET_MS);
}

function complain(words) {
  part("warning").textContent = words;
  part("warning").hidden = !words;
}

// Parity and speed

function verdict(kind, words, more = "") {
  part("verdict").className = `verdict ${kind}`;
  part("verdict-line").textContent = words;
  part("verdict-more").textContent = more;
  part("progress").hidden = kind !== "";
  part("different").hidden = true;
}

/** Say what a comparison found. */
function judged(found) {
  const label = `${bundle.about.precision}, ${network.label}`;
  const flips = found.certifiedFlips.length;
  const same = found.certified - flips;
  const line = `${number(same)} of ${number(found.certified)} certified images, ${flips === 1 ? "1 flip" : `${number(flips)} flips`}; ${label}.`;
  const largest = `largest difference of a logit ${short(found.largest)}, allowed ${short(bundle.about.tolerance)}`;
  const all = `All ${images(found.images)}: ${number(found.flips.length)} predicted differently; ${largest}.`;
  const beyond = found.beyond.length ? ` ${images(found.beyond.length)} beyond what is allowed.` : "";
  verdict(flips || found.beyond.length ? "different" : "same", line, all + beyond);
  list([...new Set([...found.certifiedFlips, ...found.flips, ...found.beyond])]);
}

/** Offer images that differ, to be looked at. */
function list(different) {
  part("different").hidden = different.length === 0;
  const items = different.slice(0, MOST_SHOWN).map((index) => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    button.type = "button";
    button.textContent = number(index);
    button.setAttribute("aria-label", `Show test image ${index}`);
    button.addEventListener("click", () => showTestImage(index));
    item.append(button);
    return item;
  });
  if (different.length > MOST_SHOWN) {
    const rest = document.createElement("li");
    rest.textContent = `and ${number(different.length - MOST_SHOWN)} more`;
    items.push(rest);
  }
  part("different").replaceChildren(...items);
}

/** Open the network in an engine, compare all images, and time it. */
async function use(engine) {
  const own = ++turn;
  const isOver = () => own !== turn;
  try {
    verdict("", "Opening the network …");
    part("progress").value = 0;
    part("latency").textContent = "–";
    part("samples").textContent = "";
    const opened = await Network.open(model, engine);
    if (isOver()) return;
    network = opened;
    part("threads").textContent = threadsInWords(engine);
    part("version").textContent = network.version;
    await answer(true);
    verdict("", `Comparing ${images(bundle.labels.length)} …`);
    const found = await compare(opened, bundle, (share) => { if (!isOver()) part("progress").value = share; }, isOver);
    if (!found) return;
    judged(found);
    const { seconds, samples, calls } = await opened.latency(bundle.image(0));
    if (isOver()) return;
    part("latency").textContent = seconds < 1e-3 ? `${(seconds * 1e6).toFixed(1)} µs` : `${(seconds * 1e3).toFixed(2)} ms`;
    const each = calls === 1 ? `${number(samples)} calls` : `${number(samples * calls)} calls, taken ${calls} at a time`;
    part("samples").textContent = `the median of ${each}`;
  } catch (error) {
    if (!isOver()) verdict("different", `The network cannot be used here: ${error.message ?? error}`, "Try another engine, or a newer browser.");
  }
}

function threadsInWords(engine) {
  if (engine.gpu) return "the GPU’s";
  return `${network.threads}, on ${navigator.hardwareConcurrency || 1} processors`;
}

function isolation() {
  return crossOriginIsolated
    ? "yes: threads, and a clock of 5 µs"
    : "no: one thread, and a clock of 100 µs. A server that sends COOP and COEP changes that; mnist-bench serve --web does.";
}

// The beginning

function makeRows(classes) {
  for (const name of classes) {
    const [all, head, middle, end, bar] = ["tr", "th", "td", "td", "div"].map((tag) => document.createElement(tag));
    const fill = document.createElement("span");
    head.scope = "row";
    head.textContent = name;
    middle.setAttribute("aria-hidden", "true");
    bar.className = "bar";
    bar.append(fill);
    middle.append(bar);
    all.append(head, middle, end);
    rows.push({ all, bar: fill, share: end });
  }
  part("classes").append(...rows.map((row) => row.all));
  part("headline").classList.toggle("words", classes.some((name) => name.length > 2));
}

function introduce(about) {
  part("title").textContent = about.run;
  document.title = `${about.run} in this browser`;
  const activation = { relu: "ReLU", sigmoid: "Sigmoid" }[about.activation] ?? about.activation;
  part("about").textContent = `784-512-256-10 units, ${activation}, trained on ${about.dataset}.`;
  part("footer").textContent = `Exported by mnist-bench ${about.mnist_bench}; weights ${about.weights_sha256.slice(0, 16)}.`;
  part("isolated").textContent = isolation();
  makeRows(about.classes);
  showNothing();
  part("number").max = bundle.labels.length - 1;
  for (const id of ["previous", "number", "next"]) part(id).disabled = false;
}

function listen() {
  part("clear").addEventListener("click", clear);
  part("canvas").addEventListener("keydown", (event) => {
    if (event.key === "Delete" || event.key === "Backspace") clear();
  });
  part("previous").addEventListener("click", () => showTestImage(Math.max(lastImage, 0) - 1));
  part("next").addEventListener("click", () => showTestImage(lastImage + 1));
  part("number").addEventListener("change", () => {
    const wanted = Math.trunc(part("number").valueAsNumber);
    if (Number.isFinite(wanted)) showTestImage(Math.min(Math.max(wanted, 0), bundle.labels.length - 1));
  });
  part("file").addEventListener("change", (event) => {
    showFile(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  part("engine").addEventListener("change", (event) => use(choices[event.target.selectedIndex]));
  document.addEventListener("paste", (event) => showFile(event.clipboardData.files[0]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    part("pad").classList.add("over");
  });
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => part("pad").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    showFile(event.dataTransfer.files[0]);
  });
}

async function begin() {
  verdict("", "Loading the network …");
  preview(new Uint8Array(SIDE * SIDE));
  listen();
  const [loaded, response] = await Promise.all([loadBundle(), fetch("model.onnx")]);
  if (!response.ok) throw new Error(`model.onnx cannot be loaded (${response.status}): is the folder complete?`);
  model = new Uint8Array(await response.arrayBuffer());
  bundle = loaded;
  introduce(bundle.about);
  choices = await engines();
  part("engine").replaceChildren(...choices.map(({ label }) => new Option(label)));
  part("engine").disabled = choices.length === 1;
  await use(choices[0]);
}

begin().catch((error) => verdict("different", `The page cannot begin: ${error.message ?? error}`, "Load it again; if that does not help, export it anew."));
