// One wish after the other, sent to the server; how far it is, and a button that ends it.

import * as api from "./api.js";
import { barOf } from "./candidates.js";
import { $, $$ } from "./dom.js";
import { Piece } from "./piece.js";

export class Composing {
  constructor(studio) {
    this.studio = studio;
    this.aborting = null;
    this.lines = $$("#panel .composing");
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
    performance.mark("wish"); // these marks are for who measures
    studio.say("");
    studio.candidates.begin(wish, before);
    this.show("Composing");
    try {
      await api.compose(wish, {
        signal: aborting.signal,
        waiting: (others, begun) => {
          const { nearest } = studio.candidates;
          if (!begun) this.show("Waiting", `, ${others} in line … ${seconds()}`);
          else this.show(done ? `Composing, ${done} of ${wish.n} done` : "Composing", ` … ${nearest ? `${barOf(nearest)}, ` : ""}${seconds()}`, nearest);
        },
        underway: (draft) => studio.candidates.tell(draft),
        piece: (found) => {
          const piece = Piece.composed(found, wish);
          studio.candidates.add(piece);
          done += 1;
          if (done === 1) {
            performance.mark("piece");
            studio.place(piece).then(() => performance.mark("score"));
            if ($("#stage").getBoundingClientRect().top > innerHeight / 2) $("#stage").scrollIntoView({ behavior: "smooth" });
          }
        },
      });
      const fewer = done < wish.n ? " With the other seeds nothing came of it." : "";
      this.end(`${done === 1 ? "Composed" : `${done} composed`} in ${seconds()}.${fewer}`);
    } catch (error) {
      const stopped = error.name === "AbortError";
      if (this.aborting === aborting) this.end(stopped ? `Stopped${done ? ` after ${done}` : ""}.` : "");
      if (!stopped) studio.say(error.message);
    }
    if (this.aborting === aborting) {
      studio.candidates.end();
      this.aborting = null;
    }
    return done;
  }

  /** ``words`` are read out where they change; ``count``, which changes all the time, is not. */
  show(words, count = " …", draft = null, busy = true) {
    for (const button of $$("button.stop")) button.hidden = !busy;
    for (const line of this.lines) {
      const [said, counted, bar] = [$(".said", line), $(".counted", line), $("progress", line)];
      line.classList.toggle("busy", busy && !draft);
      if (said.textContent !== words) said.textContent = words;
      counted.textContent = count;
      bar.hidden = !draft;
      if (draft) bar.value = draft.bars / draft.all_bars;
    }
  }

  end(words) {
    this.show(words, "", null, false);
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
