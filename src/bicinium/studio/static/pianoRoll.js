// A piano roll: notes that can be selected and dragged, barlines, violations, the model's analysis, a cursor,
// selected bars.

import { h, s, clamp } from "./dom.js";
import { pitchName, barOf } from "./music.js";

const SEVERITIES = ["error", "warning", "hint"]; // of faults, the worst first
const ROW = 8;
const TOP = 18;
const LEFT = 34;
const STRIP = 64; // height of the analysis
const MIN_SCALE = 0.7; // pixels per tick; wider rolls are scrolled
const MARGIN = 4; // semitones above and below the notes
const EDGE = 6; // pixels at the end of a note that lengthen it
const DRAG = 4; // pixels before a press is a drag
const SIXTEENTH = 6;

export class PianoRoll {
  /** seek(tick) and selectBar(bar, extend) are called on a click; ``editor`` is the editor of the view. */
  constructor({ seek, selectBar, editor }) {
    this.element = h("div", { class: "leaf roll", tabindex: "0", role: "group", "aria-label": "Piano roll", "aria-describedby": "score-keys" });
    Object.assign(this, { seek, selectBar, editor });
    this.element.addEventListener("keydown", (event) => this.editor.key(event));
    this.lit = [];
  }

  show(music, { marks = [], analysis = null, label = "" } = {}) {
    this.music = music;
    this.element.setAttribute("aria-label", `Piano roll${label ? ` of ${label}` : ""}`);
    const width = Math.max(280, this.element.clientWidth || this.element.parentElement?.clientWidth || 800);
    this.scale = Math.max(MIN_SCALE, (width - LEFT - 16) / music.end);
    const pitches = music.notes.map((note) => note.pitch);
    this.low = Math.max(0, Math.min(...pitches, 55) - MARGIN);
    this.high = Math.min(127, Math.max(...pitches, 72) + MARGIN);
    const foot = TOP + (this.high - this.low + 1) * ROW;
    const height = foot + (analysis ? STRIP : 0) + (marks.length ? 22 : 6);
    const full = LEFT + music.end * this.scale + 12;
    this.foot = foot;
    this.chosen = s("rect", { class: "chosen", y: TOP, height: foot - TOP, x: 0, width: 0 });
    this.now = s("line", { class: "now", y1: TOP - 6, y2: foot + (analysis ? STRIP - 14 : 0), x1: LEFT, x2: LEFT });
    const drawing = s("svg", { width: full, height, viewBox: `0 0 ${full} ${height}`, role: "img", "aria-label": this.describe(music, marks) });
    drawing.append(this.chosen, ...this.lines(music, foot));
    this.notes = music.notes.map((note) => this.note(note));
    drawing.append(...this.notes.map(({ rect }) => rect));
    if (analysis) drawing.append(...this.drawAnalysis(analysis, foot));
    this.caret = s("rect", { class: "caret", height: ROW, rx: 1.5 });
    drawing.append(...marks.map((mark, index) => this.mark(mark, index, foot + (analysis ? STRIP : 0))), this.caret, this.now);
    drawing.addEventListener("pointerdown", (event) => this.press(event));
    drawing.addEventListener("click", (event) => this.point(event));
    this.drawing = drawing;
    this.element.replaceChildren(drawing);
    this.showMarks(this.faults ?? []);
    this.showEditing();
  }

  x(tick) {
    return LEFT + tick * this.scale;
  }

  y(pitch) {
    return TOP + (this.high - pitch) * ROW;
  }

  describe(music, marks) {
    const count = (part) => music.notes.filter((note) => note.part === part).length;
    const wrong = marks.length ? `, ${marks.length} places marked` : "";
    return `${music.bars} bars, ${count(0)} notes in the upper voice, ${count(1)} in the lower${wrong}`;
  }

  lines(music, foot) {
    const lines = [];
    const every = [1, 2, 4, 8, 16].find((bars) => bars * music.meter.bar * this.scale > 22) ?? 32;
    for (let tick = 0, bar = 1; tick <= music.end; tick += music.meter.bar, bar += 1) {
      lines.push(s("line", { class: "barline", x1: this.x(tick), x2: this.x(tick), y1: TOP, y2: foot }));
      if (tick < music.end && (bar - 1) % every === 0) lines.push(s("text", { x: this.x(tick) + 3, y: TOP - 5 }, `${bar}`));
    }
    for (let pitch = this.low; pitch <= this.high; pitch += 1) {
      if (pitch % 12) continue;
      const y = this.y(pitch) + ROW / 2;
      lines.push(s("line", { class: "octave", x1: LEFT, x2: this.x(music.end), y1: y, y2: y }), s("text", { x: 6, y: y + 4 }, pitchName(pitch)));
    }
    return lines;
  }

  note(note) {
    const kind = note.part < 2 ? `part${note.part}` : "partx";
    const rect = s("rect", { class: `note ${kind}${note.closed ? "" : " open"}`, rx: 1.5, height: ROW - 1 });
    this.place(rect, note);
    rect.append(s("title", {}, `${pitchName(note.pitch)}, bar ${barOf(note.onset, this.music.meter)}`));
    return { rect, note };
  }

  mark(mark, index, foot) {
    const x = this.x(mark.tick);
    const group = s("g", { class: "mark" }, s("line", { x1: x, x2: x, y1: TOP, y2: foot }), s("circle", { cx: x, cy: foot + 4, r: 4 }));
    group.append(s("title", {}, `${index + 1}. ${mark.message}`));
    return group;
  }

  /** Draw columns for the probability of forbidden tokens, and a line for the surprisal. */
  drawAnalysis({ tick, illegalMass, surprisalBits }, foot) {
    const base = foot + STRIP - 14;
    const tall = STRIP - 24;
    const most = new Map();
    const surprise = new Map();
    tick.forEach((at, index) => {
      most.set(at, Math.max(most.get(at) ?? 0, illegalMass[index]));
      surprise.set(at, (surprise.get(at) ?? 0) + surprisalBits[index]);
    });
    const highest = Math.max(0.01, ...most.values());
    const columns = [...most].filter(([, share]) => share > 1e-4).map(([at, share]) => {
      const height = Math.max(1.5, Math.sqrt(share / highest) * tall);
      const column = s("rect", { class: "illegal-mass", x: this.x(at) - 1.5, width: 3, y: base - height, height });
      column.append(s("title", {}, `${percent(share)} on forbidden tokens`));
      return column;
    });
    const top = Math.max(8, ...surprise.values());
    const points = [...surprise].map(([at, sum]) => `${this.x(at)},${base - (sum / top) * tall}`).join(" ");
    return [
      s("line", { class: "barline", x1: LEFT, x2: this.x(this.music.end), y1: base, y2: base }),
      s("polyline", { class: "surprise", points }),
      s("text", { x: 2, y: base - tall + 8 }, percent(highest)),
      ...columns,
    ];
  }

  placeOf({ clientX, clientY }) {
    const box = this.drawing.getBoundingClientRect();
    const tick = clamp((clientX - box.left - LEFT) / this.scale, this.music.start, this.music.end - 1);
    return { tick, pitch: clamp(this.high - Math.floor((clientY - box.top - TOP) / ROW), this.low, this.high) };
  }

  point(event) {
    if (this.isHandled) return;
    const { tick, pitch } = this.placeOf(event);
    if (this.editor.adding) {
      const { grid } = this.editor;
      this.editor.add(this.editor.part, Math.floor(tick / grid) * grid, pitch);
      return;
    }
    this.editor.deselect();
    this.seek(tick);
    this.selectBar(barOf(tick, this.music.meter), event.shiftKey);
  }

  /** Select a note and drag it, or its end. */
  press(event) {
    const note = this.notes.find(({ rect }) => rect === event.target)?.note;
    const row = note && this.editor.score && this.editor.noteAt(note.part, note.onset);
    this.isHandled = Boolean(row);
    if (!row || event.button !== 0) return;
    const rect = event.target;
    const wasSelected = rect.classList.contains("selected");
    const box = rect.getBoundingClientRect();
    const isEnd = event.clientX > box.right - Math.min(EDGE, box.width / 3);
    if (!wasSelected) {
      this.editor.select(note.part, note.onset);
      this.seek(note.onset);
    }
    if (event.pointerType === "touch" && !wasSelected) return; // a finger may want to scroll
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.drag(event, row, rect, isEnd);
  }

  drag(from, row, rect, isEnd) {
    const [onset, pitch, duration] = row;
    const { editor } = this;
    let goal = { onset, pitch, duration };
    let isDragging = false;
    const move = ({ clientX, clientY }) => {
      const [dx, dy] = [clientX - from.clientX, clientY - from.clientY];
      isDragging ||= Math.hypot(dx, dy) > DRAG;
      if (!isDragging) return;
      const ticks = Math.round(dx / this.scale / SIXTEENTH) * SIXTEENTH;
      const before = goal.pitch;
      if (isEnd) goal = { ...goal, duration: Math.max(editor.grid, editor.snap(onset + duration + dx / this.scale) - onset) };
      else goal = { ...goal, onset: Math.max(this.music.start, onset + ticks), pitch: clamp(pitch - Math.round(dy / ROW), this.low, this.high) };
      if (goal.pitch !== before) editor.studio.player.strike(goal.pitch);
      this.place(rect, { pitch: goal.pitch, onset: goal.onset, offset: goal.onset + goal.duration });
    };
    const end = (ended) => {
      for (const [kind, listener] of listeners) removeEventListener(kind, listener);
      if (ended.type !== "pointerup" || !isDragging || !editor.change(goal)) this.place(rect, { pitch, onset, offset: onset + duration });
    };
    const listeners = [["pointermove", move], ["pointerup", end], ["pointercancel", end]];
    for (const [kind, listener] of listeners) addEventListener(kind, listener);
  }

  /** Show the selected note, or the cursor. */
  showEditing() {
    if (!this.drawing) return;
    const { selected, adding, caret, length } = this.editor;
    for (const { rect, note } of this.notes) rect.classList.toggle("selected", Boolean(selected) && note.part === selected.part && note.onset === selected.onset);
    this.caret.classList.toggle("off", !adding);
    if (adding) this.place(this.caret, { pitch: caret.pitch, onset: caret.tick, offset: Math.min(this.music.end, caret.tick + length) });
  }

  /** Show the notes of faults; see ``EngravedScore.showMarks``. */
  showMarks(marks) {
    this.faults = marks;
    for (const { rect, note } of this.notes ?? []) {
      const of = marks.filter(({ notes }) => notes.some(({ part, onset }) => part === note.part && onset === note.onset));
      rect.classList.toggle("fault", of.length > 0);
      rect.classList.toggle("chosen-fault", of.some(({ isChosen }) => isChosen));
      const severity = SEVERITIES.find((one) => of.some((mark) => mark.severity === one)); // the worst
      for (const one of SEVERITIES) rect.classList.toggle(one, one === severity);
    }
  }

  place(rect, { pitch, onset, offset }) {
    rect.setAttribute("y", this.y(pitch));
    rect.setAttribute("x", this.x(onset));
    rect.setAttribute("width", Math.max(2, (offset - onset) * this.scale - 1));
  }

  /** ``selection`` is [first, last], bars from 1, or null. */
  select(selection) {
    const { bar } = this.music.meter;
    const [first, last] = selection ?? [1, 0];
    this.chosen.setAttribute("x", this.x((first - 1) * bar));
    this.chosen.setAttribute("width", (last - first + 1) * bar * this.scale);
    this.chosen.setAttribute("height", this.foot - TOP);
  }

  move(tick, follow) {
    const x = this.x(tick);
    this.now.setAttribute("transform", `translate(${x - LEFT} 0)`);
    const sounding = this.notes.filter(({ note }) => note.onset <= tick && tick < note.offset && (follow || tick > this.music.start));
    for (const { rect } of this.lit) rect.classList.remove("lit");
    for (const { rect } of sounding) rect.classList.add("lit");
    this.lit = sounding;
    const view = this.element;
    if (follow && (x < view.scrollLeft + 20 || x > view.scrollLeft + view.clientWidth - 60)) view.scrollLeft = x - 60;
  }
}

function percent(share) {
  return `${(share * 100).toPrecision(2)}\u00a0%`;
}

/** Return a small piano roll for a card. */
export function miniature(music) {
  const pitches = music.notes.length ? music.notes.map((note) => note.pitch) : [60];
  const [low, high] = [Math.min(...pitches) - 1, Math.max(...pitches) + 1];
  const drawing = s("svg", { viewBox: `0 0 ${music.end} ${(high - low) * 4}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const note of music.notes) {
    drawing.append(s("rect", { class: `part${Math.min(note.part, 1)}`, x: note.onset, width: Math.max(2, note.offset - note.onset - 1), y: (high - note.pitch - 1) * 4, height: 4 }));
  }
  return drawing;
}
