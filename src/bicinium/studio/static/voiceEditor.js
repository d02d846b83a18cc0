// An editor for one voice: on a piano roll with pointer or keys, or on a piano keyboard.

import { h, s, $, clamp, renew } from "./dom.js";
import { ComputerKeyboard } from "./computerKeyboard.js";
import { isBlack, meterOf, pitchName, placeOf } from "./music.js";

const ROW = 13;
const LEFT = 40;
const LENGTHS = [
  [6, "sixteenth"],
  [12, "eighth"],
  [18, "dotted eighth"],
  [24, "quarter"],
  [36, "dotted quarter"],
  [48, "half"],
  [72, "dotted half"],
  [96, "whole"],
];
const RANGES = { upper: [57, 84], lower: [36, 62] };
const FIRST_LETTERS = { upper: 60, lower: 48 }; // the C that the first letter key plays

export class VoiceEditor {
  /** onChange(score, voice) is called after every change. */
  constructor(studio, onChange) {
    this.studio = studio;
    this.onChange = onChange;
    this.element = $("#editor");
    this.notes = []; // {onset, pitch, duration}, one at a time
    this.length = 24;
    this.voice = "upper";
    this.letters = new ComputerKeyboard({ onPress: (pitch) => this.playLetter(pitch), onRelease: (pitch) => this.keyOf(pitch)?.classList.remove("down"), onChange: () => this.lettersMoved() });
    this.build();
  }

  build() {
    const { capabilities } = this.studio;
    const select = (name, options, value) => h("select", { name, onchange: () => this.formChanged() }, options.map(([option, text]) => h("option", { value: option, selected: option === value }, text)));
    this.form = h(
      "header",
      {},
      h("h2", {}, "Your voice"),
      h("label", {}, "Key ", select("key", capabilities.keys.map(({ name, printed }) => [name, printed]), "C major")),
      h("label", {}, "Metre ", select("meter", capabilities.meters.map((one) => [one, one]), "4/4")),
      h("label", {}, "Bars ", h("input", { name: "bars", type: "number", min: "1", max: "32", value: "4", onchange: () => this.formChanged() })),
      h("label", {}, "Tempo ", h("input", { name: "tempo", type: "number", min: "20", max: "300", value: "96", onchange: () => this.notify() })),
      h("label", {}, "Voice ", select("voice", [["upper", "upper"], ["lower", "lower"]], "upper")),
      h("label", {}, "Note ", select("length", LENGTHS.map(([ticks, name]) => [`${ticks}`, name]), "24")),
    );
    this.grid = h("div", { class: "leaf grid", tabindex: "0", role: "application", "data-keys": "", "aria-label": "PianoPiano roll editor. Arrow keys move the cursor, Enter sets or removes a note, Backspace removes, brackets change the length.", "aria-describedby": "editor-help", onkeydown: (event) => this.key(event) });
    this.keys = h("div", { class: "keys", role: "group", "aria-label": "Piano keyboard: enters a note at the cursor", "aria-describedby": "letters-help" });
    this.lettersHelp = h("p", { class: "hint", id: "letters-help" });
    const playing = h("label", { class: "letters" }, h("input", { type: "checkbox", checked: true, onchange: ({ target }) => this.turnLetters(target.checked) }), "Play with letter keys");
    this.status = h("p", { class: "unseen", role: "status" });
    const tools = h(
      "p",
      { class: "actions" },
      h("button", { type: "button", onclick: () => this.rest() }, "Rest"),
      h("button", { type: "button", onclick: () => this.back() }, "Remove last note"),
      h("button", { type: "button", onclick: () => this.clear() }, "Clear"),
      h("button", { type: "button", onclick: () => this.studio.player.playing ? this.studio.player.stop() : this.play() }, "Play"),
    );
    const help = h("p", { class: "hint", id: "editor-help" }, "Click to set or remove a note, drag to make it longer. Keys: arrows move the cursor, Enter sets a note, Backspace removes, [ and ] change the length.");
    this.element.replaceChildren(this.form, this.keys, playing, this.lettersHelp, this.grid, help, tools, this.status);
  }

  value(name) {
    return $(`[name=${name}]`, this.form).value;
  }

  open() {
    this.element.hidden = false;
    this.letters.visible = true;
    this.studio.updateWelcome();
    this.formChanged();
    this.grid.focus({ preventScroll: true });
  }

  close() {
    this.element.hidden = true;
    this.letters.visible = false;
  }

  /** Draw the grid again and keep the notes that fit. */
  formChanged() {
    this.meter = meterOf(this.value("meter"));
    this.bars = clamp(Math.round(Number(this.value("bars"))) || 4, 1, 32);
    this.end = this.bars * this.meter.bar;
    this.length = Number(this.value("length"));
    if (this.voice !== this.value("voice")) {
      const up = this.value("voice") === "upper" ? 24 : -24;
      for (const note of this.notes) note.pitch += up;
      this.voice = this.value("voice");
      this.caret = null;
    }
    [this.low, this.high] = RANGES[this.voice];
    if (this.letters.low !== this.low) this.letters.setRange(FIRST_LETTERS[this.voice], this.low, this.high);
    this.notes = this.notes.filter((note) => note.onset + note.duration <= this.end && note.pitch >= this.low && note.pitch <= this.high);
    this.caret ??= { tick: 0, pitch: this.voice === "upper" ? 72 : 48 };
    this.caret.tick = clamp(this.caret.tick, 0, this.end - 6);
    this.scale = clamp((this.element.clientWidth - LEFT - 20) / this.end, 0.9, 2.6);
    this.drawKeys();
    this.draw();
    this.notify();
  }

  get step() {
    return Math.min(this.length, this.length % 12 ? 6 : 12);
  }

  draw() {
    const width = LEFT + this.end * this.scale + 10;
    const height = (this.high - this.low + 1) * ROW + 20;
    const x = (tick) => LEFT + tick * this.scale;
    const y = (pitch) => 20 + (this.high - pitch) * ROW;
    const parts = [];
    for (let pitch = this.low; pitch <= this.high; pitch += 1) {
      if (isBlack(pitch)) parts.push(s("rect", { class: "black", x: LEFT, y: y(pitch), width: width - LEFT - 10, height: ROW }));
      if (!isBlack(pitch)) parts.push(s("text", { x: 8, y: y(pitch) + 10 }, pitchName(pitch)));
    }
    for (let tick = 0; tick <= this.end; tick += this.meter.unit) {
      const barline = tick % this.meter.bar === 0;
      parts.push(s("line", { class: barline ? "barline" : "beat", x1: x(tick), x2: x(tick), y1: 20, y2: height }));
      if (barline && tick < this.end) parts.push(s("text", { x: x(tick) + 4, y: 13 }, `${tick / this.meter.bar + 1}`));
    }
    const kind = this.voice === "upper" ? "part0" : "part1";
    for (const note of this.notes) parts.push(s("rect", { class: `note ${kind}`, rx: 2, x: x(note.onset), y: y(note.pitch) + 1, width: note.duration * this.scale - 1, height: ROW - 2 }));
    const { tick, pitch } = this.caret;
    parts.push(s("rect", { class: "caret", x: x(tick), y: y(pitch), width: Math.min(this.length, this.end - tick) * this.scale, height: ROW, rx: 2 }));
    const drawing = s("svg", { width, height, "aria-hidden": "true" }, parts);
    drawing.addEventListener("pointerdown", (event) => this.press(event, drawing));
    this.grid.replaceChildren(drawing);
  }

  at(event, drawing) {
    const box = drawing.getBoundingClientRect();
    const tick = clamp((event.clientX - box.left - LEFT) / this.scale, 0, this.end - 1);
    return { tick, pitch: clamp(this.high - Math.floor((event.clientY - box.top - 20) / ROW), this.low, this.high) };
  }

  press(event, drawing) {
    const { tick, pitch } = this.at(event, drawing);
    const there = this.notes.find((note) => note.onset <= tick && tick < note.onset + note.duration && note.pitch === pitch);
    this.grid.focus({ preventScroll: true });
    if (there) {
      this.notes = this.notes.filter((note) => note !== there);
      this.changed(`${pitchName(pitch)} removed`);
      return;
    }
    const onset = Math.floor(tick / this.step) * this.step;
    this.caret = { tick: onset, pitch };
    const before = this.notes;
    this.set(onset, pitch, this.length);
    const drag = (moved) => {
      const until = Math.ceil(this.at(moved, drawing).tick / this.step) * this.step;
      this.notes = before;
      this.set(onset, pitch, Math.max(this.step, until - onset, this.length), false);
    };
    const drop = () => {
      removeEventListener("pointermove", drag);
      this.notify();
    };
    addEventListener("pointermove", drag);
    addEventListener("pointerup", drop, { once: true });
  }

  /** Set a note. Notes in its way are shortened or removed. */
  set(onset, pitch, duration, audible = true) {
    const end = Math.min(onset + duration, this.end);
    if (end <= onset) return;
    const kept = this.notes.flatMap((note) => {
      const noteEnd = note.onset + note.duration;
      if (noteEnd <= onset || note.onset >= end) return [note];
      return note.onset < onset ? [{ ...note, duration: onset - note.onset }] : [];
    });
    this.notes = [...kept, { onset, pitch, duration: end - onset }].sort((a, b) => a.onset - b.onset);
    if (audible) {
      this.studio.player.strike(pitch);
      this.changed(`${pitchName(pitch)}, ${placeOf(onset, this.meter)}`);
    } else this.draw();
  }

  key(event) {
    const { caret } = this;
    const moves = { ArrowLeft: [-this.step, 0], ArrowRight: [this.step, 0], ArrowUp: [0, event.shiftKey ? 12 : 1], ArrowDown: [0, event.shiftKey ? -12 : -1] };
    const move = moves[event.key];
    if (move) {
      caret.tick = clamp(caret.tick + move[0], 0, this.end - this.step);
      caret.pitch = clamp(caret.pitch + move[1], this.low, this.high);
      this.draw();
      this.reveal();
      this.status.textContent = `${pitchName(caret.pitch)}, ${placeOf(caret.tick, this.meter)}`;
    } else if (event.key === "Enter" || event.key === " ") {
      const there = this.notes.find((note) => note.onset === caret.tick && note.pitch === caret.pitch);
      if (there) this.remove(there);
      else this.enter(caret.pitch);
    } else if (event.key === "Backspace" || event.key === "Delete") {
      const there = this.notes.find((note) => note.onset <= caret.tick && caret.tick < note.onset + note.duration);
      if (there) this.remove(there);
      else this.back();
    } else if (event.key === "[" || event.key === "]") {
      const lengths = LENGTHS.map(([ticks]) => ticks);
      this.length = lengths[clamp(lengths.indexOf(this.length) + (event.key === "]" ? 1 : -1), 0, lengths.length - 1)];
      $("[name=length]", this.form).value = this.length;
      this.draw();
      this.status.textContent = LENGTHS.find(([ticks]) => ticks === this.length)[1];
    } else return;
    event.preventDefault();
  }

  /** Enter a note at the cursor and move the cursor on. */
  enter(pitch) {
    const { tick } = this.caret;
    this.caret = { tick: Math.min(tick + this.length, this.end - this.step), pitch };
    this.set(tick, pitch, this.length);
    this.reveal();
  }

  rest() {
    this.caret.tick = Math.min(this.caret.tick + this.length, this.end - this.step);
    this.draw();
    this.reveal();
  }

  back() {
    const last = this.notes.findLast((note) => note.onset < this.caret.tick) ?? this.notes.at(-1);
    if (!last) return;
    this.caret = { tick: last.onset, pitch: last.pitch };
    this.remove(last);
  }

  remove(note) {
    this.notes = this.notes.filter((one) => one !== note);
    this.changed(`${pitchName(note.pitch)} removed`);
  }

  clear() {
    this.notes = [];
    this.caret.tick = 0;
    this.changed("All removed");
  }

  changed(words) {
    this.status.textContent = words;
    this.draw();
    this.notify();
  }

  reveal() {
    const x = LEFT + this.caret.tick * this.scale;
    if (x > this.grid.scrollLeft + this.grid.clientWidth - 60 || x < this.grid.scrollLeft + LEFT) this.grid.scrollLeft = x - 100;
  }

  play() {
    const player = this.studio.player;
    player.load({ notes: this.notes.map((note) => ({ ...note, part: 0, offset: note.onset + note.duration, velocity: 80 })), meter: this.meter, start: 0, end: this.end, tempo: Number(this.value("tempo")) || 96, bars: this.bars });
    player.play();
  }

  drawKeys() {
    const keys = [];
    for (let pitch = this.low - (isBlack(this.low) ? 1 : 0); pitch <= this.high; pitch += 1) {
      const black = isBlack(pitch);
      const letter = this.letters.letterOf(pitch);
      keys.push(h("button", { type: "button", class: black ? "black" : "white", "aria-label": pitchName(pitch), "aria-keyshortcuts": letter || null, "data-letter": letter || null, "data-pitch": pitch, onclick: () => this.enter(pitch) }, black || pitch % 12 ? "" : pitchName(pitch)));
    }
    renew(this.keys, ...keys);
    const { white, black, down, up } = this.letters.legend;
    this.lettersHelp.textContent = `${white} play the white keys from ${pitchName(this.letters.base)}, ${black} the black keys. ${down} and ${up} change the octave.`;
    this.lettersHelp.hidden = !this.letters.enabled;
  }

  keyOf(pitch) {
    return $(`[data-pitch="${pitch}"]`, this.keys);
  }

  playLetter(pitch) {
    this.enter(pitch);
    this.keyOf(pitch).classList.add("down");
  }

  lettersMoved() {
    this.drawKeys();
    this.status.textContent = `Letter keys from ${pitchName(this.letters.base)}`;
  }

  turnLetters(on) {
    this.letters.enabled = on;
    this.drawKeys();
  }

  /** Report the voice as a score whose other voice is silent. */
  notify() {
    const rows = this.notes.map(({ onset, pitch, duration }) => [onset, pitch, duration, 80]);
    const voices = this.voice === "upper" ? [rows, []] : [[], rows];
    const tempo = clamp(Number(this.value("tempo")) || 96, 20, 300);
    this.onChange({ meter: this.value("meter"), key: this.value("key"), bars: this.bars, tempo, anacrusis: 0, title: "", composer: "", voices }, this.voice);
  }
}
