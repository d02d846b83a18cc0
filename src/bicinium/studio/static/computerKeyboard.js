// The computer keyboard as a piano: the middle row plays white keys, the row above it black keys. Keys are
// identified by position, so every keyboard layout works.

import { clamp } from "./dom.js";

const KEYS = ["KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ", "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote"];
const BLACK = [1, 3, 6, 8, 10, 13, 15];
const [DOWN, UP] = ["KeyZ", "KeyX"];
const MARKS = { Semicolon: ";", Quote: "'" };
const OCTAVE = 12;

export class ComputerKeyboard {
  /** onPress(pitch), onRelease(pitch), and onChange() when the keys play other pitches. */
  constructor({ onPress, onRelease, onChange }) {
    Object.assign(this, { onPress, onRelease, onChange });
    this.enabled = true;
    this.visible = false; // whether the piano keyboard is shown
    this.held = new Map(); // pitches by codes
    this.layout = null;
    addEventListener("keydown", (event) => this.keyDown(event));
    addEventListener("keyup", ({ code }) => this.keyUp(code));
    addEventListener("blur", () => [...this.held.keys()].forEach((code) => this.keyUp(code)));
    this.readLayout();
  }

  /** Read the labels of the keys, if the browser supports it. */
  async readLayout() {
    this.layout = await navigator.keyboard?.getLayoutMap().catch(() => null);
    if (this.visible) this.onChange();
  }

  /** Set the range of pitches and the C of the first letter. */
  setRange(base, low, high) {
    [this.low, this.high] = [low, high];
    this.base = clamp(base, Math.ceil((low - OCTAVE + 1) / OCTAVE) * OCTAVE, Math.floor((high - OCTAVE + 1) / OCTAVE) * OCTAVE);
  }

  nameOf(code) {
    return (this.layout?.get(code) ?? MARKS[code] ?? code.replace("Key", "")).toUpperCase();
  }

  /** Return the letter that plays a pitch, or "". */
  letterOf(pitch) {
    const code = this.enabled && KEYS[pitch - this.base];
    return code ? this.nameOf(code) : "";
  }

  /** The letters of the white and black keys, and those that change the octave. */
  get legend() {
    const row = (black) => KEYS.filter((_, index) => BLACK.includes(index) === black).map((code) => this.nameOf(code)).join(" ");
    return { white: row(false), black: row(true), down: this.nameOf(DOWN), up: this.nameOf(UP) };
  }

  keyDown(event) {
    const { code, target, ctrlKey, metaKey, altKey } = event;
    const isTyping = target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (!this.enabled || !this.visible || isTyping || ctrlKey || metaKey || altKey || event.isComposing) return;
    const pitch = this.base + KEYS.indexOf(code);
    if (code === DOWN || code === UP) {
      event.preventDefault();
      if (!event.repeat) this.shift(code === UP ? OCTAVE : -OCTAVE);
    } else if (KEYS.includes(code)) {
      event.preventDefault();
      if (event.repeat || this.held.has(code) || pitch < this.low || pitch > this.high) return;
      this.held.set(code, pitch);
      this.onPress(pitch);
    }
  }

  keyUp(code) {
    if (!this.held.has(code)) return;
    this.onRelease(this.held.get(code));
    this.held.delete(code);
  }

  shift(semitones) {
    this.setRange(this.base + semitones, this.low, this.high);
    this.onChange();
  }
}
