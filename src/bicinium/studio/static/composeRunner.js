// Sends one request at a time to the server, shows its progress, and can stop it.

import * as api from "./api.js";
import { progressText } from "./candidates.js";
import { $, $$ } from "./dom.js";
import { Piece } from "./piece.js";

export class ComposeRunner {
  constructor(studio) {
    this.studio = studio;
    this.aborting = null;
    this.lines = $$("#panel .composing");
    for (const button of $$("button.stop")) button.addEventListener("click", () => this.stop());
  }

  stop() {
    this.aborting?.abort();
  }

  /** Compose. Candidates are shown as they are found; the best is opened, and replaced when a better one comes. */
  async run(request, original = null) {
    const { studio } = this;
    this.stop();
    const aborting = (this.aborting = new AbortController());
    const startTime = performance.now();
    const seconds = () => `${((performance.now() - startTime) / 1000).toFixed(0)} s`;
    let chosen = null;
    performance.mark("request"); // read by the benchmark
    studio.showMessage("");
    studio.candidates.reset(original);
    this.shown = this.next = this.showing = null;
    this.showStatus("Composing");
    try {
      await api.compose(request, {
        signal: aborting.signal,
        onWaiting: (waiting, started) => {
          const { progress, pieces } = studio.candidates;
          if (!started) this.showStatus("Waiting", `, ${waiting} requests waiting … ${seconds()}`);
          else this.showStatus(pieces.length ? "Looking for a better one" : "Composing", ` … ${progress ? `${progressText(progress)}, ` : ""}${seconds()}`, progress);
        },
        onProgress: (progress) => studio.candidates.showProgress(progress),
        onCandidate: (found) => this.show(studio.candidates.add(Piece.composed({ ...found, seed: undefined }, request), found.is_best), aborting.signal),
        onPiece: (found) => {
          chosen = Piece.composed(found, request);
          this.show(studio.candidates.choose(chosen), aborting.signal);
        },
      });
      await this.showing;
      aborting.signal.throwIfAborted();
      this.showEnd(`Composed in ${seconds()}.`);
    } catch (error) {
      const stopped = error.name === "AbortError";
      if (this.aborting === aborting) this.showEnd(stopped ? "Stopped." : "");
      if (!stopped) studio.showMessage(error.message);
    }
    if (this.aborting === aborting) {
      studio.candidates.finish();
      this.aborting = null;
    }
    return chosen;
  }

  /** Show the best piece; ``showing`` is the promise that what is to be shown is engraved. */
  show(best, signal) {
    this.next = best;
    this.showing = Promise.all([this.showing, this.open(best, signal)]);
  }

  /** Open the best piece once it is engraved, unless the user plays, edits, prints or compares the one before, or has
   * opened another. */
  async open(best, signal) {
    const { studio } = this;
    const view = studio.views.at(-1);
    const mayOpen = () => !signal.aborted && this.next === best && (!this.shown || (studio.views.at(-1)?.piece === this.shown && !view.isInUse));
    if (view && mayOpen()) await view.sheet.prepare(best.score).catch(() => null); // opening says what is wrong
    if (best === this.shown || !mayOpen()) return;
    const isFirst = !this.shown;
    this.shown = best;
    if (isFirst) performance.mark("piece");
    const opening = studio.open(best);
    if (isFirst && $("#stage").getBoundingClientRect().top > innerHeight / 2) $("#stage").scrollIntoView({ behavior: "smooth" });
    await opening;
    if (isFirst) performance.mark("score");
  }

  /** ``status`` is announced by screen readers when it changes; ``counter`` changes often and is not. */
  showStatus(status, counter = " …", progress = null, busy = true) {
    for (const button of $$("button.stop")) button.hidden = !busy;
    for (const line of this.lines) {
      const [statusElement, counterElement, bar] = [$(".status", line), $(".counter", line), $("progress", line)];
      line.classList.toggle("busy", busy && !progress);
      if (statusElement.textContent !== status) statusElement.textContent = status;
      counterElement.textContent = counter;
      bar.hidden = !progress;
      if (progress) bar.value = progress.bars / progress.all_bars;
    }
  }

  showEnd(status) {
    this.showStatus(status, "", null, false);
  }
}

export function newSeed() {
  return Math.floor(Math.random() * 1_000_000);
}

/** The request of the form; empty fields are left out. */
export function readForm(form) {
  const request = {};
  const { key, meter, bars, tempo, subject, answer, seed } = form.elements;
  if (key.value) request.key = key.value;
  if (meter.value) request.meter = meter.value;
  if (bars.value) request.bars = bars.valueAsNumber;
  if (tempo.value) request.tempo = tempo.valueAsNumber;
  if (subject.value.trim()) [request.subject, request.answer] = [subject.value.trim(), answer.value];
  request.seed = seed.value === "" ? newSeed() : seed.valueAsNumber;
  return request;
}

export function fillForm(form, request) {
  for (const name of ["key", "meter", "bars", "tempo", "subject", "seed"]) form.elements[name].value = request[name] ?? "";
  form.elements.answer.value = request.answer ?? "octave";
}
