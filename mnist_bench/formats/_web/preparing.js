// From a drawing or a picture to 28 × 28 pixels, as MNIST's were made: fitted into 20 × 20, then centred by mass.

export const SIDE = 28;
const INNER = 20;
const FAINT = 16; // of 255: what is lighter is no ink

/** Return the box of what is inked, [left, top, right, bottom], the last two exclusive; null where nothing is. */
function boxOf(ink, width, height) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] < FAINT) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  }
  return right ? [left, top, right, bottom] : null;
}

/** Return how much of each of `count` equal parts of [from, to) lies on each pixel: [[first pixel, [weights]]]. */
function shares(from, to, count) {
  const step = (to - from) / count;
  return Array.from({ length: count }, (_, part) => {
    const [begin, end] = [from + part * step, from + (part + 1) * step];
    const first = Math.floor(begin);
    const weights = [];
    for (let pixel = first; pixel < end; pixel++) weights.push((Math.min(pixel + 1, end) - Math.max(pixel, begin)) / step);
    return [first, weights];
  });
}

/** Average ink over the parts of a box: Float64Array (columns · rows). */
function averaged(ink, width, [left, top, right, bottom], columns, rows) {
  const across = shares(left, right, columns);
  const down = shares(top, bottom, rows);
  const found = new Float64Array(columns * rows);
  down.forEach(([y, weightsY], row) => {
    across.forEach(([x, weightsX], column) => {
      let sum = 0;
      weightsY.forEach((weightY, j) => weightsX.forEach((weightX, i) => {
        sum += weightY * weightX * (ink[(y + j) * width + x + i] ?? 0);
      }));
      found[row * columns + column] = sum;
    });
  });
  return found;
}

/** Prepare ink, 0 to 255, Uint8Array (width · height): Uint8Array (784), or null where nothing is drawn. */
export function prepared(ink, width, height) {
  const box = boxOf(ink, width, height);
  if (!box) return null;
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const scale = INNER / Math.max(wide, high);
  const [columns, rows] = [wide, high].map((size) => Math.max(1, Math.round(size * scale)));
  const small = averaged(ink, width, box, columns, rows);
  let [mass, massX, massY] = [0, 0, 0];
  small.forEach((value, place) => {
    mass += value;
    massX += value * ((place % columns) + 0.5);
    massY += value * (Math.floor(place / columns) + 0.5);
  });
  const shift = (centre, size) => Math.min(Math.max(Math.round(SIDE / 2 - centre), 0), SIDE - size); // nothing is cut off
  const [dx, dy] = [shift(massX / mass, columns), shift(massY / mass, rows)];
  const found = new Uint8Array(SIDE * SIDE);
  small.forEach((value, place) => {
    found[(dy + Math.floor(place / columns)) * SIDE + dx + (place % columns)] = Math.round(value);
  });
  return found;
}

/** Turn RGBA into ink: how much each pixel differs from the ground, which is what most of the border shows. */
export function inkOf(rgba, width, height) {
  const grey = new Uint8Array(width * height);
  for (let place = 0; place < grey.length; place++) {
    const [red, green, blue, alpha] = rgba.subarray(4 * place, 4 * place + 4);
    const over = (value) => (value * alpha + 255 * (255 - alpha)) / 255; // what is transparent lies on white
    grey[place] = Math.round(0.299 * over(red) + 0.587 * over(green) + 0.114 * over(blue));
  }
  const border = grey.filter((_, place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  }).sort();
  const ground = border[border.length >> 1];
  const inverted = ground > 127;
  const ink = grey.map((value) => Math.max(0, inverted ? ground - value : value - ground));
  const darkest = ink.reduce((most, value) => Math.max(most, value), 0);
  const faint = Math.max(FAINT, darkest / 5); // shadows and noise of a photograph
  const stretched = ink.map((value) => (value < faint ? 0 : Math.round((255 * value) / darkest)));
  return { ink: darkest < FAINT ? new Uint8Array(ink.length) : stretched, inverted };
}
