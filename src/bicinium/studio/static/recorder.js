// Records what is played on a keyboard into one voice, in time with a metronome and the other voice.

import { SHORTEST } from "./scoreChanges.js";

const COUNT_IN = 2; // the part of clicks, which no voice has

export class Recorder {
  constructor(player) {
    this.player = player;
    this.editor = null; // while recording
  }

  /** Count in one bar, then record into the voice of the editor from the bar of its cursor. */
  async start(editor) {
    const { music } = editor.piece;
    const { bar, beat } = music.meter;
    const from = Math.max(music.start, Math.floor(editor.caret.tick / bar) * bar);
    const clicks = [];
    for (let tick = from - bar; tick < music.end; tick += beat) {
      clicks.push({ part: COUNT_IN, onset: tick, offset: tick + SHORTEST, pitch: tick % bar ? 76 : 84, velocity: 70, isClick: true });
    }
    const notes = [...music.notes.filter(({ part }) => part !== editor.part), ...clicks].sort((a, b) => a.onset - b.onset);
    Object.assign(this, { editor, from, end: music.end, notes: [], held: null });
    this.player.setLoop(null);
    this.player.replace({ ...music, notes });
    await this.player.play(from - bar);
  }

  press(pitch, velocity) {
    this.release();
    this.held = { pitch, velocity, onset: this.player.tick };
  }

  /** End the note that is held; only if it has this pitch, when one is named. */
  release(pitch = this.held?.pitch) {
    if (!this.held || this.held.pitch !== pitch) return;
    this.notes.push({ ...this.held, offset: this.player.tick });
    this.held = null;
  }

  /** Stop, and return the notes at the nearest ticks of the editor's grid. */
  stop() {
    const { editor } = this;
    if (!editor) return;
    this.release();
    this.editor = null;
    this.player.replace(editor.piece.music);
    this.player.stop();
    const step = Math.min(editor.grid, 6);
    const near = (tick) => Math.round(tick / step) * step;
    const played = this.notes.map(({ pitch, velocity, onset, offset }) => {
      const begin = near(onset);
      return { pitch, velocity, onset: begin, duration: Math.max(step, Math.min(near(offset), this.end) - begin) };
    });
    editor.record(played.filter(({ onset }) => onset >= this.from && onset < this.end));
  }
}
