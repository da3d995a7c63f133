// The drawing area: mouse, finger, pen and keys. What is drawn is the alpha of the canvas, so that it suits any ground.

const STEP = 14; // of the canvas's 280 pixels: what an arrow key moves
const WIDTH = 24; // of a stroke, so that it is two to three pixels wide for the network

export class Drawing {
  #canvas;
  #context;
  #pen;
  #at = [140, 140];
  #down = false;
  #pointer = null; // the one that draws: a second finger waits until it is lifted

  /** `onChange(finished)` is called as something is drawn, and `onWord` with what to say of the pen. */
  constructor(canvas, pen, onChange, onWord) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#pen = pen;
    this.onChange = onChange;
    this.onWord = onWord;
    this.isFresh = true; // what is there was not drawn here: the first stroke takes its place
    for (const [name, handle] of Object.entries({ pointerdown: this.#begin, pointermove: this.#go, lostpointercapture: this.#end })) {
      canvas.addEventListener(name, handle.bind(this));
    }
    canvas.addEventListener("keydown", this.#key.bind(this));
    canvas.addEventListener("blur", () => this.#lift());
  }

  /** Return how much ink each pixel has: Uint8Array (width · height). */
  ink() {
    const { width, height } = this.#canvas;
    const rgba = this.#context.getImageData(0, 0, width, height).data;
    return Uint8Array.from({ length: width * height }, (_, place) => rgba[4 * place + 3]);
  }

  clear() {
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.isFresh = false;
  }

  /** Show ink, Uint8Array (width · height), as large as fits. */
  show(ink, width, height) {
    this.clear();
    const image = new ImageData(width, height);
    ink.forEach((value, place) => {
      image.data[4 * place + 3] = value;
    });
    const own = new OffscreenCanvas(width, height);
    own.getContext("2d").putImageData(image, 0, 0);
    const scale = Math.min(this.#canvas.width / width, this.#canvas.height / height);
    const [wide, high] = [width * scale, height * scale];
    this.#context.imageSmoothingEnabled = scale < 4;
    this.#context.drawImage(own, (this.#canvas.width - wide) / 2, (this.#canvas.height - high) / 2, wide, high);
    this.isFresh = true;
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.#canvas.width, ((event.clientY - box.top) / box.height) * this.#canvas.height];
  }

  #line(to) {
    const context = this.#context;
    if (this.isFresh) this.clear();
    context.lineWidth = WIDTH;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...this.#at);
    context.lineTo(...to);
    context.stroke();
    this.#at = to;
    this.onChange(false);
  }

  #begin(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    this.#pen.hidden = true;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#at = this.#place(event);
    this.#line(this.#at);
  }

  #go(event) {
    if (event.pointerId !== this.#pointer) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const one of between.length ? between : [event]) this.#line(this.#place(one));
  }

  #end(event) {
    if (event.pointerId !== this.#pointer) return; // comes after pointerup and after pointercancel
    this.#pointer = null;
    this.onChange(true);
  }

  #key(event) {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in moves) {
      const inside = (value) => Math.min(Math.max(value, WIDTH / 2), 280 - WIDTH / 2);
      const to = this.#at.map((value, axis) => inside(value + moves[event.key][axis]));
      if (this.#down) this.#line(to);
      this.#at = to;
    } else if (event.key === " ") {
      this.#down = !this.#down;
      if (this.#down) this.#line(this.#at);
      else this.onChange(true);
      this.onWord(this.#down ? "Pen down" : "Pen lifted");
    } else return;
    event.preventDefault();
    this.#showPen();
  }

  #lift() {
    if (this.#down) this.onChange(true);
    this.#down = false;
    this.#pen.hidden = true;
  }

  #showPen() {
    this.#pen.hidden = false;
    this.#pen.classList.toggle("down", this.#down);
    this.#pen.style.left = `${(100 * this.#at[0]) / this.#canvas.width}%`;
    this.#pen.style.top = `${(100 * this.#at[1]) / this.#canvas.height}%`;
  }
}
