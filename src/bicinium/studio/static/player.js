// The player: schedules notes as sound, with loop, seek and tempo changes during playback.
// It uses the piano samples of the server, or a simple synthesiser if there are none.

import * as api from "./api.js";
import { QUARTER } from "./music.js";

const AHEAD = 0.15; // seconds that are scheduled before they sound
const LONG_AHEAD = 1.6; // while the page is hidden and timers are slow
const RELEASE = 0.09;

export class Player extends EventTarget {
  constructor(piano) {
    super();
    this.piano = piano; // {pitches, seconds} of the recording, or null
    this.music = null;
    this.playing = false;
    this.loop = null; // [from, to] in ticks
    this.muted = new Set();
    this.tempo = 120;
    this.peak = 0; // the loudest sample since playing began
    this.segments = []; // stretches of time in which ticks run on: {time, tick, rate}
    this.voices = new Set();
    this.resting = 0;
  }

  load(music) {
    this.pause();
    this.music = music;
    this.tempo = music.tempo;
    this.loop = null;
    this.seek(music.start);
    this.emit("load");
  }

  /** Take another version of the same music; what plays goes on. */
  replace(music) {
    if (this.part) {
      this.part.afterwards = music; // a part of something else is heard first
      return;
    }
    if (this.music && music.tempo !== this.music.tempo) this.tempo = music.tempo;
    this.music = music;
    if (this.loop && this.loop[1] > music.end) this.loop = null;
    this.seek(Math.min(this.tick, music.end - 1));
    this.emit("change");
  }

  /** Fetch and decode the recording, before anybody waits for it. */
  prepare() {
    this.context ??= this.newContext();
    this.recording ??= this.piano
      ? api.pianoSamples().then((data) => this.context.decodeAudioData(data)).catch(() => null)
      : Promise.resolve(null);
    return this.recording;
  }

  newContext() {
    const context = new AudioContext({ latencyHint: "interactive" });
    this.out = context.createGain();
    this.out.gain.value = 0.8;
    const limiter = context.createDynamicsCompressor();
    limiter.threshold.value = -12;
    this.analyser = context.createAnalyser();
    this.out.connect(limiter).connect(this.analyser).connect(context.destination);
    this.heard = new Float32Array(this.analyser.fftSize);
    return context;
  }

  get tick() {
    if (!this.playing) return this.resting;
    const now = this.context.currentTime;
    const going = this.segments.findLast((one) => one.time <= now) ?? this.segments[0];
    return Math.max(going.tick, going.tick + (now - going.time) * going.rate);
  }

  get rate() {
    return (this.tempo * QUARTER) / 60; // ticks a second
  }

  async play(from = this.resting) {
    if (!this.music || this.playing) return;
    this.context ??= this.newContext();
    await this.context.resume();
    this.buffer = await this.prepare();
    if (this.playing) return; // it was pressed twice
    if (this.loop && (from < this.loop[0] || from >= this.loop[1])) from = this.loop[0];
    if (from >= this.music.end) from = this.music.start;
    this.peak = 0;
    this.playing = true;
    this.begin(from);
    this.timer = setInterval(() => this.schedule(), 25);
    this.emit("play");
    this.frame();
  }

  begin(tick) {
    this.segments = [{ time: this.context.currentTime + 0.04, tick, rate: this.rate }];
    this.next = this.music.notes.findIndex((note) => note.onset >= tick - 0.01);
    if (this.next < 0) this.next = this.music.notes.length;
    this.schedule();
  }

  pause() {
    if (!this.playing) return;
    this.resting = Math.min(this.tick, this.music.end);
    this.playing = false;
    clearInterval(this.timer);
    this.silence();
    const { part } = this;
    this.part = null;
    this.emit("pause");
    if (!part) return;
    this.replace(part.afterwards);
    this.seek(part.from);
  }

  /** The tick at which playing ends. */
  get end() {
    return this.part?.until ?? this.music.end;
  }

  /** Play some ticks of a version of the music; then take up ``afterwards``. */
  async playPart(music, from, until, afterwards) {
    this.pause();
    this.setLoop(null);
    this.replace(music);
    this.part = { from, until, afterwards };
    await this.play(from);
  }

  stop() {
    this.pause();
    if (this.music) this.seek(this.loop ? this.loop[0] : this.music.start);
  }

  seek(tick) {
    this.resting = tick;
    if (this.playing) {
      this.silence();
      this.begin(tick);
    }
    this.emit("move");
  }

  setTempo(qpm) {
    const tick = this.tick;
    this.tempo = qpm;
    if (this.playing) {
      this.silence();
      this.begin(tick);
    }
    this.emit("tempo");
  }

  setLoop(loop) {
    this.loop = loop;
    if (this.playing) this.seek(loop && (this.tick < loop[0] || this.tick >= loop[1]) ? loop[0] : this.tick);
    this.emit("loop");
  }

  schedule() {
    const until = this.context.currentTime + (document.hidden ? LONG_AHEAD : AHEAD);
    const { end } = this;
    const { notes } = this.music;
    for (;;) {
      const going = this.segments.at(-1);
      const stop = this.loop ? this.loop[1] : end;
      const timeOf = (tick) => going.time + (tick - going.tick) / going.rate;
      while (this.next < notes.length && notes[this.next].onset < stop && timeOf(notes[this.next].onset) < until) {
        const note = notes[this.next++];
        if (!this.muted.has(note.part)) this.sound(note, timeOf(note.onset), timeOf(Math.min(note.offset, stop)));
      }
      if (!this.loop || timeOf(stop) >= until) break;
      this.segments.push({ time: timeOf(stop), tick: this.loop[0], rate: this.rate });
      this.next = notes.findIndex((note) => note.onset >= this.loop[0]);
      if (this.next < 0) this.next = notes.length;
    }
    if (this.segments.length > 8) this.segments = this.segments.slice(-6);
    this.analyser.getFloatTimeDomainData(this.heard);
    for (const sample of this.heard) this.peak = Math.max(this.peak, Math.abs(sample));
  }

  /** Play one note at once. */
  async strike(pitch, seconds = 0.6) {
    this.context ??= this.newContext();
    await this.context.resume();
    this.buffer = await this.prepare();
    const now = this.context.currentTime + 0.01;
    this.sound({ pitch, velocity: 84 }, now, now + seconds);
  }

  sound({ pitch, velocity, isClick }, start, end) {
    const gain = this.context.createGain();
    gain.connect(this.out);
    const level = 0.9 * (velocity / 96) ** 1.5;
    gain.gain.setValueAtTime(level, start);
    gain.gain.setValueAtTime(level, Math.max(start, end - 0.01));
    gain.gain.setTargetAtTime(0, end, RELEASE);
    const voice = this.buffer && !isClick ? this.fromRecording(pitch, start, gain) : this.synthesised(pitch, start, gain);
    voice.source.stop(end + RELEASE * 8);
    this.voices.add(gain);
    voice.source.onended = () => {
      this.voices.delete(gain);
      gain.disconnect();
    };
  }

  fromRecording(pitch, start, gain) {
    const { pitches, seconds } = this.piano;
    const nearest = pitches.reduce((best, one, index) => (Math.abs(one - pitch) < Math.abs(pitches[best] - pitch) ? index : best), 0);
    const source = this.context.createBufferSource();
    source.buffer = this.buffer;
    source.playbackRate.value = 2 ** ((pitch - pitches[nearest]) / 12);
    source.connect(gain);
    source.start(start, nearest * seconds, seconds);
    return { source };
  }

  synthesised(pitch, start, gain) {
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const decay = this.context.createGain();
    decay.gain.setValueAtTime(0.0001, start);
    decay.gain.exponentialRampToValueAtTime(0.5, start + 0.006);
    decay.gain.setTargetAtTime(0.0001, start + 0.006, 90 / frequency + 0.25);
    const source = this.context.createOscillator();
    source.type = "triangle";
    source.frequency.value = frequency;
    source.connect(decay).connect(gain);
    source.start(start);
    return { source };
  }

  silence() {
    const now = this.context.currentTime;
    for (const gain of this.voices) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(0, now, 0.02);
    }
  }

  frame() {
    if (!this.playing) return;
    if (!this.loop && this.tick >= this.end) {
      const isPart = Boolean(this.part);
      this.pause();
      if (!isPart) this.seek(this.music.start);
      this.emit("ended");
      return;
    }
    this.emit("move");
    requestAnimationFrame(() => this.frame());
  }

  emit(kind) {
    this.dispatchEvent(new Event(kind));
  }
}
