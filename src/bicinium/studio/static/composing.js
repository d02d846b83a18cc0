// One wish after the other, sent to the server; progress in words, and a button that ends it.

import * as api from "./api.js";
import { $, $$ } from "./dom.js";
import { Piece } from "./piece.js";
import { ROMAN } from "./time.js";

export class Composing {
  constructor(studio) {
    this.studio = studio;
    this.aborting = null;
    for (const button of $$("button.stop")) button.addEventListener("click", () => this.stop());
  }

  stop() {
    this.aborting?.abort();
  }

  /** Compose; the pieces come as candidates, the first of them at once on the stand. */
  async run(wish, before = null) {
    const { studio } = this;
    this.stop();
    const aborting = (this.aborting = new AbortController());
    const started = performance.now();
    const seconds = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
    let done = 0;
    studio.say("");
    studio.candidates.begin(wish.n, before);
    this.show(true, "Composing …");
    try {
      await api.compose(wish, {
        signal: aborting.signal,
        waiting: (others, begun) => {
          const which = wish.n > 1 ? ` ${ROMAN[Math.min(done, wish.n - 1)]} of ${ROMAN[wish.n - 1]}` : "";
          this.show(true, begun ? `Composing${which} … ${seconds()}` : `Waiting, ${others} in line … ${seconds()}`);
        },
        piece: (found) => {
          const piece = Piece.composed(found, wish);
          studio.candidates.add(piece);
          done += 1;
          if (done === 1) {
            studio.place(piece).then(() => (studio.firstScore = performance.now() - started));
            if ($("#stage").getBoundingClientRect().top > innerHeight / 2) $("#stage").scrollIntoView({ behavior: "smooth" });
          }
        },
      });
      const fewer = done < wish.n ? " With the other seeds nothing came of it." : "";
      this.show(false, `${done === 1 ? "Composed" : `${done} composed`} in ${seconds()}.${fewer}`);
    } catch (error) {
      const stopped = error.name === "AbortError";
      if (this.aborting === aborting) this.show(false, stopped ? `Stopped${done ? ` after ${done}` : ""}.` : "");
      if (!stopped) studio.say(error.message);
    }
    if (this.aborting === aborting) {
      studio.candidates.end();
      this.aborting = null;
    }
    return done;
  }

  show(busy, words) {
    for (const button of $$("button.stop")) button.hidden = !busy;
    for (const line of $$("#panel section[data-room=compose] .progress, #panel section[data-room=line] .progress")) {
      line.classList.toggle("busy", busy);
      if (line.textContent !== words) line.textContent = words;
    }
  }
}

export function newSeed() {
  return Math.floor(Math.random() * 1_000_000);
}

/** What a form asks for; fields left empty are left out. */
export function wishOf(form) {
  const wish = {};
  const { key, meter, bars, tempo, subject, answer, seed } = form.elements;
  if (key.value) wish.key = key.value;
  if (meter.value) wish.meter = meter.value;
  if (bars.value) wish.bars = bars.valueAsNumber;
  if (tempo.value) wish.tempo = tempo.valueAsNumber;
  if (subject.value.trim()) [wish.subject, wish.answer] = [subject.value.trim(), answer.value];
  wish.seed = seed.value === "" ? newSeed() : seed.valueAsNumber;
  return wish;
}

export function fillForm(form, wish) {
  for (const name of ["key", "meter", "bars", "tempo", "subject", "seed"]) form.elements[name].value = wish[name] ?? "";
  form.elements.answer.value = wish.answer ?? "octave";
}
