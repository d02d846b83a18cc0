// The engraved score: SVG from the server, with a cursor, sounding notes and selected bars.

import * as api from "./api.js";
import { h, s, $, $$ } from "./dom.js";

export class EngravedScore {
  constructor({ seek, selectBar }) {
    this.element = h("div", { class: "leaf sheet", role: "group", "aria-label": "Score" });
    this.seek = seek;
    this.selectBar = selectBar;
    this.places = [];
    this.element.addEventListener("click", (event) => this.point(event));
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  async show(score, music, label) {
    this.score = score;
    this.music = music;
    this.label = label;
    delete this.element.dataset.engraved; // the engraving of another piece is still shown
    if (!this.pages) this.element.replaceChildren(h("p", { class: "wait" }, "Engraving …"));
    await this.engrave();
  }

  async engrave() {
    const width = this.innerWidth();
    this.width = width;
    this.aborting?.abort();
    this.aborting = new AbortController();
    try {
      const { pages, notes } = await api.engrave(this.score, width, this.aborting.signal);
      this.showPages(pages, notes);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 503) setTimeout(() => this.engrave(), 1500);
      else this.element.replaceChildren(h("p", { class: "wait" }, error.message));
    }
  }

  innerWidth() {
    const style = getComputedStyle(this.element);
    return this.element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  }

  /** Show the pages below each other. */
  showPages(pages, notes) {
    this.pages = pages.map((page, index) => {
      const drawing = document.importNode(new DOMParser().parseFromString(page, "image/svg+xml").documentElement, true);
      drawing.setAttribute("role", "img");
      drawing.setAttribute("aria-label", pages.length > 1 ? `${this.label}, page ${index + 1} of ${pages.length}` : this.label);
      $("desc", drawing)?.remove();
      return drawing;
    });
    this.cursor = h("div", { class: "cursor" });
    this.element.replaceChildren(...this.pages, this.cursor);
    const drawn = new Map($$("g.note", this.element).map((element) => [element.id, element]));
    this.notes = notes.map(([id, part, onset, offset]) => ({ part, onset, offset, element: drawn.get(id) })).filter((one) => one.element);
    this.bars = $$("g.measure", this.element).map((measure) => {
      const { x, y, width, height } = measure.getBBox();
      const rect = s("rect", { class: "bar", x, y: y - 180, width, height: height + 360 });
      measure.prepend(rect);
      return rect;
    });
    this.lit = new Set();
    this.measure();
    this.select(this.first ?? 1, this.last ?? this.music.bars);
    this.move(this.tick ?? this.music.start);
    this.element.dataset.engraved = "yes";
  }

  /** Compute the place of each onset, in pixels of this element. */
  measure() {
    const here = this.element.getBoundingClientRect();
    const systems = new Map();
    const places = new Map();
    for (const note of this.notes) {
      const system = note.element.closest("g.system");
      if (!systems.has(system)) {
        const lines = $$("g.staff", system).map((staff) => staff.getBoundingClientRect());
        const top = Math.min(...lines.map((box) => box.top));
        const foot = Math.max(...lines.map((box) => box.bottom));
        const measures = $$("g.measure", system).map((one) => one.getBoundingClientRect());
        systems.set(system, { top: top - here.top - 6, height: foot - top + 12, right: Math.max(...measures.map((box) => box.right)) - here.left });
      }
      const head = ($(".notehead", note.element) ?? note.element).getBoundingClientRect();
      const x = head.left + head.width / 2 - here.left;
      const known = places.get(note.onset);
      if (!known || x < known.x) places.set(note.onset, { tick: note.onset, x, ...systems.get(system) });
    }
    this.places = [...places.values()].sort((a, b) => a.tick - b.tick);
  }

  resized() {
    if (!this.pages) return;
    if (Math.abs(this.innerWidth() - this.width) / this.width > 0.06) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.engrave(), 200);
    }
    this.measure();
    this.move(this.tick ?? this.music.start);
  }

  point(event) {
    const measure = event.target.closest?.("g.measure");
    if (!measure || !this.bars) return;
    const bar = this.bars.findIndex((rect) => rect.parentNode === measure) + 1;
    if (!bar) return;
    this.selectBar(bar, event.shiftKey);
    this.seek(Math.max(this.music.start, (bar - 1) * this.music.meter.bar));
  }

  select(first, last) {
    this.first = first;
    this.last = last;
    const whole = first === 1 && last === this.music.bars;
    this.bars?.forEach((rect, index) => rect.classList.toggle("chosen", !whole && index + 1 >= first && index + 1 <= last));
  }

  move(tick, follow) {
    this.tick = tick;
    if (!this.pages || !this.places.length) return;
    const sounding = new Set(this.notes.filter((note) => note.onset <= tick && tick < note.offset && (follow || tick > this.music.start)));
    for (const note of this.lit) if (!sounding.has(note)) note.element.classList.remove("lit0", "lit1");
    for (const note of sounding) if (!this.lit.has(note)) note.element.classList.add(`lit${note.part}`);
    this.lit = sounding;
    const next = this.places.findIndex((place) => place.tick > tick);
    const place = this.places[(next < 0 ? this.places.length : Math.max(1, next)) - 1];
    const after = next < 0 ? null : this.places[next];
    const sameSystem = after && after.top === place.top;
    const until = after ? after.tick : this.music.end;
    const goal = sameSystem ? after.x : place.right;
    const share = Math.min(1, Math.max(0, (tick - place.tick) / Math.max(1, until - place.tick)));
    const x = place.x + (goal - place.x) * share;
    this.cursor.style.height = `${place.height}px`;
    this.cursor.style.transform = `translate(${x.toFixed(1)}px, ${place.top.toFixed(1)}px)`;
    if (follow && place.top !== this.system) this.follow(place);
    this.system = place.top;
  }

  /** Scroll to the system that is being played. */
  follow(place) {
    const top = this.element.getBoundingClientRect().top + place.top;
    if (top < 0 || top + place.height > innerHeight - 110) scrollBy({ top: top - 90, behavior: "smooth" });
  }
}
