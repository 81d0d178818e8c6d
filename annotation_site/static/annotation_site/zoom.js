// A closer look at the picture: key + or z, a click, or the button; then the pointer, a finger or the arrows move it.
// Pinching is the browser's own.

const SCALE = 3;
const STEP = 0.15; // of the picture, for an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Zoom {
  /** @param stage around the one picture; @param button that turns it on and off */
  constructor(stage, button) {
    this.stage = stage;
    this.button = button;
    this.on = false;
    this.at = [0.5, 0.5];
    button.hidden = false;
    button.addEventListener("click", () => this.toggle());
    stage.addEventListener("click", (event) => { if (event.target.matches("img")) this.toggle(event); });
    stage.addEventListener("pointermove", (event) => { if (this.on) this.#to(event); });
  }

  toggle(event) {
    this.on = !this.on;
    this.at = [0.5, 0.5];
    if (event) this.#to(event);
    this.#draw();
  }

  reset() {
    this.on = false;
    this.#draw();
  }

  /** Whether the key was meant for this. */
  key(event) {
    const step = ARROWS[event.key];
    if (["z", "+"].includes(event.key.toLowerCase())) this.toggle();
    else if (this.on && event.key === "Escape") this.toggle();
    else if (this.on && step) this.#move(this.at[0] + STEP * step[0], this.at[1] + STEP * step[1]);
    else return false;
    return true;
  }

  #to(event) {
    const box = this.stage.getBoundingClientRect();
    this.#move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  #move(x, y) {
    this.at = [x, y].map((part) => Math.min(1, Math.max(0, part)));
    this.#draw();
  }

  #draw() {
    const image = this.stage.querySelector("img");
    this.stage.classList.toggle("zoomed", this.on);
    this.button.setAttribute("aria-pressed", String(this.on));
    image.style.transform = this.on ? `scale(${SCALE})` : "";
    image.style.transformOrigin = this.on ? this.at.map((part) => `${100 * part}%`).join(" ") : "";
  }
}
