// A closer look at one picture of a grid: the pointer rests on it, key z, or the button (then a touch looks instead of
// ticking). The large picture lies over the other half of the page and takes no clicks.

const REST = 350; // ms that the pointer rests before it shows

export class Lens {
  /** @param frame holds an <img>; @param button turns looking by touch on and off; @param taskOf (cell) => task */
  constructor(frame, button, taskOf) {
    this.frame = frame;
    this.button = button;
    this.taskOf = taskOf;
    this.timer = 0;
    this.locked = false;
    button.hidden = false;
    button.addEventListener("click", () => {
      this.locked = !this.locked;
      button.setAttribute("aria-pressed", String(this.locked));
      if (!this.locked) this.hide();
    });
  }

  get open() { return !this.frame.hidden; }

  show(task, cell) {
    const box = cell.getBoundingClientRect();
    const image = this.frame.querySelector("img");
    if (image.src !== new URL(task.image_url, location).href) image.src = task.image_url;
    image.alt = cell.querySelector("img").alt;
    this.frame.classList.toggle("left", box.left + box.width / 2 > innerWidth / 2);
    this.frame.hidden = false;
  }

  hide() {
    this.frame.hidden = true;
    this.frame.querySelector("img").alt = "";
  }

  /** Show what the mouse rests on. Fingers have the button. */
  watch(container, selector) {
    container.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "mouse") return;
      const cell = event.target.closest(selector);
      clearTimeout(this.timer);
      if (cell) this.timer = setTimeout(() => this.show(this.taskOf(cell), cell), this.open ? 0 : REST);
      else this.hide();
    });
    container.addEventListener("pointerleave", (event) => {
      clearTimeout(this.timer);
      if (event.pointerType === "mouse") this.hide();
    });
  }
}
