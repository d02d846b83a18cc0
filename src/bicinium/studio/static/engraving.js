// The engraved score: SVG from the server, with a cursor, sounding notes, selected bars, and notes that can be
// selected and dragged.

import * as api from "./api.js";
import { h, s, $, $$ } from "./dom.js";
import { pitchName } from "./music.js";
import { pitchOfStep, StaffMap } from "./staff.js";

const NEAR = { mouse: 9, pen: 14, touch: 22 }; // pixels from a notehead that still count as on it
const DRAG = 4; // pixels before a press is a drag
const SIXTEENTH = 6;
const PAPER_WIDTH = 900; // pixels

export class EngravedScore {
  /** ``editor`` is the editor of the view. */
  constructor({ seek, selectBar, editor }) {
    Object.assign(this, { seek, selectBar, editor });
    this.element = h("div", { class: "leaf sheet", role: "group", tabindex: "0", "aria-label": "Score", "aria-describedby": "score-keys" });
    this.places = [];
    this.handle = h("div", { class: "handle", hidden: true, "aria-hidden": "true" });
    this.caret = h("div", { class: "note-caret", hidden: true, "aria-hidden": "true" });
    this.element.addEventListener("pointerdown", (event) => this.press(event));
    this.element.addEventListener("click", (event) => this.point(event));
    this.element.addEventListener("keydown", (event) => this.editor.key(event));
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  /** Show another piece. Until it is engraved, the piece before is seen, and cannot be edited. */
  async show(score, music, label) {
    this.label = label;
    this.isOther = true;
    await this.update(score, music);
  }

  /** Show another version of the piece. */
  async update(score, music) {
    Object.assign(this, { score, music });
    if (!this.pages) this.element.replaceChildren(h("p", { class: "wait" }, "Engraving …"));
    await this.engrave();
  }

  /** Engrave the present score. While a request is on its way, only the last of the next ones is sent. */
  async engrave() {
    delete this.element.dataset.engraved;
    this.isStale = true;
    this.engraving ??= this.engraveLatest().finally(() => (this.engraving = null));
    await this.engraving;
  }

  async engraveLatest() {
    while (this.isStale) {
      this.isStale = false;
      const { score, music } = this;
      this.width = this.printWidth ?? this.innerWidth();
      try {
        const engraved = await this.request(score, this.width);
        if (!this.isStale) this.showPages(engraved, music);
      } catch (error) {
        if (error.status === 503) {
          await new Promise((resolve) => setTimeout(resolve, 1500));
          this.isStale = true;
        } else {
          this.pages = null;
          const again = h("button", { type: "button", onclick: () => this.engrave() }, "Try again");
          this.element.replaceChildren(h("p", { class: "wait" }, `${error.message} `, again));
        }
      }
    }
  }

  /** Return the engraving of a score. The last one for the screen is kept. */
  async request(score, width) {
    const { kept } = this;
    if (kept?.score === score && kept.width === width) return kept.engraved;
    const engraved = await api.engrave(score, width);
    if (width !== this.printWidth) this.kept = { score, width, engraved };
    return engraved;
  }

  /** Engrave a score that is going to be shown, so that it then replaces the present one at once. */
  async prepare(score) {
    if (!this.element.hidden) await this.request(score, this.innerWidth());
  }

  /** Print the score as engraved for a page of paper, whatever the width of the screen. */
  async print() {
    if (this.printWidth) return;
    this.printWidth = PAPER_WIDTH;
    await this.engrave();
    if (this.pages) print();
    this.printWidth = null;
    await this.engrave();
  }

  innerWidth() {
    const style = getComputedStyle(this.element);
    return this.element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  }

  /** Show the pages below each other. */
  showPages({ pages, notes, clefs, fifths }, music) {
    this.pages = pages.map((page, index) => {
      const drawing = document.importNode(new DOMParser().parseFromString(page, "image/svg+xml").documentElement, true);
      drawing.setAttribute("role", "img");
      drawing.setAttribute("aria-label", pages.length > 1 ? `${this.label}, page ${index + 1} of ${pages.length}` : this.label);
      $("desc", drawing)?.remove();
      return drawing;
    });
    this.cursor = h("div", { class: "cursor" });
    this.element.replaceChildren(...this.pages, this.cursor, this.caret, this.handle);
    const drawn = new Map($$("g.note", this.element).map((element) => [element.id, element]));
    this.notes = notes.map(([id, part, onset, offset]) => ({ part, onset, offset, element: drawn.get(id) })).filter((one) => one.element);
    this.bars = $$("g.measure", this.element).map((measure) => {
      const { x, y, width, height } = measure.getBBox();
      const rect = s("rect", { class: "bar", x, y: y - 180, width, height: height + 360 });
      measure.prepend(rect);
      return rect;
    });
    this.lit = new Set();
    this.drawnMusic = music;
    this.isOther = false;
    this.signature = { clefs, fifths };
    this.measure();
    this.select(this.selection);
    this.showMarks(this.marks ?? []);
    this.move(this.tick ?? music.start);
    this.showEditing();
    this.element.dataset.engraved = "yes";
  }

  /** Compute the place of each onset and of each staff, in pixels of this element. */
  measure() {
    const here = this.element.getBoundingClientRect();
    const within = ({ left, right, top, bottom }) => ({ left: left - here.left, right: right - here.left, top: top - here.top, bottom: bottom - here.top });
    const bars = this.bars.map((rect) => {
      const measure = rect.parentNode;
      const lines = $$(":scope > g.staff", measure).map((staff) => $$(":scope > path", staff).slice(0, 5).map((line) => within(line.getBoundingClientRect())));
      const edges = lines.flat();
      const box = { left: edges[0].left, right: edges[0].right, top: edges[0].top, bottom: edges.at(-1).bottom };
      const signs = $$("g.clef, g.keySig, g.meterSig", measure).map((sign) => within(sign.getBoundingClientRect()));
      const begin = Math.max(box.left, ...signs.filter(({ left }) => left < (box.left + box.right) / 2).map(({ right }) => right));
      return { box, begin: begin + 10, measure, lines: lines.map((staff) => staff.map(({ top, bottom }) => (top + bottom) / 2)), places: new Map() };
    });
    const byMeasure = new Map(bars.map((bar) => [bar.measure, bar]));
    for (const note of this.notes) {
      const head = within(($(".notehead", note.element) ?? note.element).getBoundingClientRect());
      Object.assign(note, { x: (head.left + head.right) / 2, y: (head.top + head.bottom) / 2 });
      const { places } = byMeasure.get(note.element.closest("g.measure"));
      if (!places.has(note.onset) || note.x < places.get(note.onset).x) places.set(note.onset, { tick: note.onset, x: note.x });
    }
    for (const bar of bars) bar.places = [...bar.places.values()].sort((a, b) => a.tick - b.tick);
    const { meter, start, end } = this.drawnMusic;
    this.map = new StaffMap(bars, { ...this.signature, meter, start, end });
    this.places = bars.flatMap(({ places, box }) => places.map((place) => ({ ...place, top: Math.round(box.top) - 6, height: box.bottom - box.top + 12, right: box.right })));
  }

  resized() {
    const width = this.innerWidth();
    if (!this.width || width <= 0 || this.printWidth) return;
    if (Math.abs(width - this.width) / this.width > 0.06) {
      delete this.element.dataset.engraved;
      clearTimeout(this.later);
      this.later = setTimeout(() => this.engrave(), 200);
    }
    if (!this.pages) return;
    this.measure();
    this.move(this.tick ?? this.music.start);
    this.showMarks(this.marks ?? []);
    this.showEditing();
  }

  // ---- pointing

  placeOf(event) {
    const here = this.element.getBoundingClientRect();
    return { x: event.clientX - here.left, y: event.clientY - here.top };
  }

  /** The drawn note at a place. */
  drawnAt({ x, y }, near) {
    const distance = (note) => Math.hypot(note.x - x, note.y - y);
    return this.notes.filter((note) => distance(note) <= near).sort((a, b) => distance(a) - distance(b))[0];
  }

  /** The row of the score that a drawn note belongs to, unless it was changed since it was drawn. */
  rowOf({ part, onset }) {
    const row = this.editor.noteAt(part, onset);
    const isSame = ({ part: ofPart, onset: begin, pitch }) => ofPart === part && begin === row[0] && pitch === row[1];
    return row && this.drawnMusic.notes.some(isSame) ? row : null;
  }

  press(event) {
    this.isHandled = this.isOther;
    if (event.button !== 0 || this.isOther || !this.map) return;
    const from = this.placeOf(event);
    const onHandle = event.target === this.handle && this.editor.row;
    const drawn = onHandle ? this.selectedNote() : this.drawnAt(from, NEAR[event.pointerType] ?? NEAR.mouse);
    if (!drawn) return;
    this.isHandled = true; // the click that follows is not for the bar
    const row = onHandle || this.rowOf(drawn);
    if (!row) return;
    if (!onHandle) {
      this.editor.select(drawn.part, row[0]);
      this.seek(row[0]);
    }
    if (event.pointerType === "touch" && !onHandle) return; // a finger may want to scroll: it drags the handle
    this.drag(event, from, { drawn, row });
  }

  /** Drag a note: steps of the staff up and down, sixteenths left and right. */
  drag(event, from, { drawn, row }) {
    const { map, editor } = this;
    const [onset, pitch] = row;
    const bar = map.barAt(drawn);
    const step = map.stepAt(bar, drawn.part, drawn.y);
    let goal = { onset, pitch };
    let isDragging = false;
    const move = (moved) => {
      const to = this.placeOf(moved);
      isDragging ||= Math.hypot(to.x - from.x, to.y - from.y) > DRAG;
      if (!isDragging) return;
      const y = drawn.y + to.y - from.y;
      const here = { x: drawn.x + to.x - from.x, y: Math.abs(to.y - from.y) < 60 ? drawn.y : y };
      const newStep = map.stepAt(bar, drawn.part, y);
      const ticks = Math.round((map.tickAt(here) - drawn.onset) / SIXTEENTH) * SIXTEENTH;
      const newPitch = newStep === step ? pitch : pitchOfStep(newStep, map.fifths);
      if (newPitch !== goal.pitch) editor.studio.player.strike(newPitch);
      goal = { onset: Math.max(map.start, onset + ticks), pitch: newPitch };
      const newBar = map.barAt(here);
      this.showHandle({ x: map.xOf(goal.onset), y: map.yOf(newBar, drawn.part, newStep) }, pitchName(newPitch));
    };
    const end = (ended) => {
      for (const [kind, listener] of listeners) removeEventListener(kind, listener);
      if (isDragging && ended.type === "pointerup") editor.change(goal);
      this.showEditing();
    };
    const listeners = [["pointermove", move], ["pointerup", end], ["pointercancel", end]];
    for (const [kind, listener] of listeners) addEventListener(kind, listener);
    event.preventDefault();
    this.element.focus({ preventScroll: true });
  }

  point(event) {
    if (this.isHandled || !this.map) return;
    const place = this.placeOf(event);
    if (this.editor.adding) {
      const [bar, part] = [this.map.barAt(place), this.map.partAt(place)];
      const { grid } = this.editor;
      this.editor.add(part, Math.round(this.map.tickAt(place) / grid) * grid, pitchOfStep(this.map.stepAt(bar, part, place.y), this.map.fifths));
      return;
    }
    const measure = event.target.closest?.("g.measure");
    if (!measure) return;
    const bar = this.bars.findIndex((rect) => rect.parentNode === measure) + 1;
    if (!bar) return;
    this.editor.deselect();
    this.selectBar(bar, event.shiftKey);
    this.seek(Math.max(this.music.start, (bar - 1) * this.music.meter.bar));
  }

  /** ``selection`` is [first, last], bars from 1, or null. */
  select(selection) {
    this.selection = selection;
    const [first, last] = selection ?? [0, -1];
    this.bars?.forEach((rect, index) => rect.classList.toggle("chosen", index + 1 >= first && index + 1 <= last));
  }

  // ---- editing

  selectedNote() {
    const { selected } = this.editor;
    return selected && this.notes?.find((note) => note.part === selected.part && note.onset === selected.onset);
  }

  /** Show the selected note, or the cursor. */
  showEditing() {
    if (!this.map) return;
    const { editor } = this;
    const isCurrent = this.drawnMusic === this.music;
    const drawn = isCurrent && this.selectedNote();
    if (drawn) this.showHandle(drawn);
    else this.handle.hidden = true;
    this.caret.hidden = !editor.adding || !isCurrent;
    if (this.caret.hidden) return;
    const bar = Math.min(this.map.bars.length - 1, Math.floor(editor.caret.tick / this.map.meter.bar));
    const lines = this.map.bars[bar].lines[editor.part];
    const space = (lines[4] - lines[0]) / 4;
    this.caret.className = `note-caret part${editor.part}`;
    Object.assign(this.caret.style, { height: `${6 * space}px`, transform: `translate(${this.map.xOf(editor.caret.tick) - 9}px, ${lines[0] - space}px)` });
  }

  showHandle({ x, y }, text = "") {
    this.handle.hidden = false;
    this.handle.textContent = text;
    this.handle.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** Colour and number the notes of faults: {number, severity, notes: [{part, onset}], isChosen}. */
  showMarks(marks) {
    this.marks = marks;
    if (!this.notes) return;
    for (const { element } of this.notes) element.classList.remove("fault", "error", "warning", "hint", "chosen-fault");
    for (const label of $$(".fault-number", this.element)) label.remove();
    for (const { number, severity, notes, isChosen } of [...marks].sort((a, b) => a.isChosen - b.isChosen)) {
      const drawn = notes.map(({ part, onset }) => this.notes.find((note) => note.part === part && note.onset === onset)).filter(Boolean);
      for (const { element } of drawn) {
        element.classList.remove("error", "warning", "hint");
        element.classList.add("fault", severity, ...(isChosen ? ["chosen-fault"] : []));
      }
      if (!drawn.length) continue;
      const { x, y } = drawn.at(-1);
      const label = h("div", { class: `fault-number ${severity}`, "aria-hidden": "true" }, `${number}`);
      label.style.transform = `translate(${x + 7}px, ${y - 26}px)`;
      this.element.append(label);
    }
  }

  // ---- playing

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
    const foot = $("#transport").getBoundingClientRect().top;
    const scroller = $("#stage").scrollHeight > $("#stage").clientHeight + 1 && getComputedStyle($("#stage")).overflowY === "auto" ? $("#stage") : window;
    if (top < 60 || top + place.height > foot) scroller.scrollBy({ top: top - 130, behavior: "smooth" });
  }
}
