// Letter keys as a piano: a row of letters plays the white keys from C on, the row above it the black.
// They are taken by where they lie, so that any layout of letters has the same piano.

import { clamp } from "./dom.js";

const KEYS = ["KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ", "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote"];
const BLACK = [1, 3, 6, 8, 10, 13, 15];
const [DOWN, UP] = ["KeyZ", "KeyX"];
const MARKS = { Semicolon: ";", Quote: "'" };
const OCTAVE = 12;

export class Letters {
  /** play(pitch) as a key goes down, release(pitch) as it comes up, moved() where other pitches are played now. */
  constructor({ play, release, moved }) {
    Object.assign(this, { play, release, moved });
    this.on = true;
    this.here = false; // whether what they play on can be seen
    this.held = new Map(); // pitches by codes
    this.layout = null;
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("keyup", ({ code }) => this.lift(code));
    addEventListener("blur", () => [...this.held.keys()].forEach((code) => this.lift(code)));
    this.readLayout();
  }

  /** What is printed on the keys, where the browser tells. */
  async readLayout() {
    this.layout = await navigator.keyboard?.getLayoutMap().catch(() => null);
    if (this.here) this.moved();
  }

  /** Play the pitches from ``low`` to ``high``, the first letter the C at ``base`` or near it. */
  tune(base, low, high) {
    [this.low, this.high] = [low, high];
    this.base = clamp(base, Math.ceil((low - OCTAVE + 1) / OCTAVE) * OCTAVE, Math.floor((high - OCTAVE + 1) / OCTAVE) * OCTAVE);
  }

  nameOf(code) {
    return (this.layout?.get(code) ?? MARKS[code] ?? code.replace("Key", "")).toUpperCase();
  }

  /** The letter that plays a pitch, or "". */
  of(pitch) {
    const code = this.on && KEYS[pitch - this.base];
    return code ? this.nameOf(code) : "";
  }

  /** In words, which letters play what. */
  get words() {
    const row = (black) => KEYS.filter((_, index) => BLACK.includes(index) === black).map((code) => this.nameOf(code)).join(" ");
    return { white: row(false), black: row(true), down: this.nameOf(DOWN), up: this.nameOf(UP) };
  }

  press(event) {
    const { code, target, ctrlKey, metaKey, altKey } = event;
    const typing = target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (!this.on || !this.here || typing || ctrlKey || metaKey || altKey || event.isComposing) return;
    const pitch = this.base + KEYS.indexOf(code);
    if (code === DOWN || code === UP) {
      event.preventDefault();
      if (!event.repeat) this.shift(code === UP ? OCTAVE : -OCTAVE);
    } else if (KEYS.includes(code)) {
      event.preventDefault();
      if (event.repeat || this.held.has(code) || pitch < this.low || pitch > this.high) return;
      this.held.set(code, pitch);
      this.play(pitch);
    }
  }

  lift(code) {
    if (!this.held.has(code)) return;
    this.release(this.held.get(code));
    this.held.delete(code);
  }

  shift(semitones) {
    this.tune(this.base + semitones, this.low, this.high);
    this.moved();
  }
}
