// The section "Training": runs with their curves, events, and samples of the model.

import * as api from "./api.js";
import { h, s, $, renew } from "./dom.js";
import { Piece } from "./piece.js";

const RETRY_MS = 3000;
const NAMES = {
  "train/cross_entropy": "cross-entropy, nats per token",
  "live/grammar_score": "grammar score of generated pieces",
  "live/valid": "valid pieces, generated",
  "live/illegal_mass": "probability of forbidden tokens",
  "live/entropy": "entropy, nats per token",
  "train/learning_rate": "learning rate",
};

export class RunView {
  constructor(studio) {
    this.studio = studio;
    this.list = $("#runs");
    this.element = $("#charts");
    this.allCurves = false;
    this.runs = [];
    document.addEventListener("visibilitychange", () => this.isShown && this.aborting && this.watch());
  }

  enter() {
    this.isShown = true;
    this.element.hidden = !this.state;
    if (this.studio.capabilities.runs) this.watch();
    else this.renderList();
  }

  leave() {
    this.isShown = false;
    this.element.hidden = true;
    this.aborting?.abort();
  }

  /** Receive updates while the section is shown; reconnect if the connection is lost. */
  async watch() {
    this.aborting?.abort();
    const { signal } = (this.aborting = new AbortController());
    while (!signal.aborted && !document.hidden) {
      try {
        await api.watchRuns(this.name ?? "", this.allCurves, { signal, onRuns: (runs) => this.showRuns(runs), onRun: (state) => this.showRun(state) });
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === 404) this.name = null;
        this.lost = true;
        this.studio.showMessage(error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  showRuns(runs) {
    if (this.lost) this.studio.showMessage("");
    this.lost = false;
    this.runs = runs;
    this.renderList();
    if (this.state) this.render();
  }

  showRun(state) {
    this.state = state;
    this.name = state.name;
    this.renderList();
    this.render();
  }

  renderList() {
    const { runs } = this;
    const words = this.studio.capabilities.runs ? "There are no runs in the folder yet." : "Start the studio with --runs FOLDER to watch the training runs in it.";
    if (!runs.length) {
      this.list.replaceChildren(h("p", { class: "hint" }, words));
      return;
    }
    renew(
      this.list,
      ...runs.map((run) =>
        h("button", { type: "button", "aria-pressed": `${run.name === (this.name ?? runs[0].name)}`, onclick: () => this.choose(run.name) }, h("span", { class: run.live ? "live" : "" }, run.name), h("small", {}, run.live ? "running" : `last written ${dateOf(run.changed)}`)),
      ),
    );
  }

  choose(name) {
    this.name = name;
    this.state = null;
    this.renderList();
    this.watch();
  }

  render() {
    const { state } = this;
    const names = Object.keys(state.curves);
    const order = (name) => (name.startsWith("validation") ? 1 : Object.keys(NAMES).indexOf(name) * 2);
    names.sort((a, b) => (order(a) + 99) % 99 - (order(b) + 99) % 99 || a.localeCompare(b));
    const events = state.events.filter((event) => event.kind !== "validation" || this.allCurves).reverse();
    const live = this.runs.find((run) => run.name === state.name)?.live;
    const scrollTop = $(".diary", this.element)?.scrollTop ?? 0;
    this.element.hidden = false;
    renew(
      this.element,
      h("header", {}, h("h2", {}, state.name), h("p", { class: "details" }, `step ${state.step}${live ? ", running" : ""}`, live ? h("span", { class: "live-mark", "aria-hidden": "true" }) : null)),
      h("div", { class: "charts" }, names.map((name) => this.chart(name, state.curves[name]))),
      h("p", {}, h("button", { type: "button", "aria-pressed": `${this.allCurves}`, onclick: () => this.toggle() }, `All ${state.names.length} curves`)),
      h("h3", {}, "Events"),
      events.length ? h("ol", { class: "diary", tabindex: "0", "aria-label": "Events, the latest first" }, events.map((event) => h("li", { class: event.kind }, h("time", {}, `${event.step}`), h("i", {}, event.kind), h("span", {}, event.message)))) : h("p", { class: "hint" }, "No events yet."),
      h("h3", {}, "Generated samples (without the grammar mask)"),
      this.samples(state.samples),
    );
    if (scrollTop) $(".diary", this.element).scrollTop = scrollTop;
  }

  toggle() {
    this.allCurves = !this.allCurves;
    this.watch();
  }

  chart(name, points) {
    const label = NAMES[name] ?? name.replaceAll("_", " ").replaceAll("/", ", ");
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const first = points[0]?.[0] ?? 0;
    const span = Math.max(1, this.state.step - first);
    const x = (step) => ((step - first) / span) * 300;
    const y = (value) => (high > low ? 100 - ((value - low) / (high - low)) * 92 - 4 : 50);
    const drawing = s("svg", { viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: from ${short(values[0])} to ${short(values.at(-1))}, lowest ${short(low)}, highest ${short(high)}` });
    for (const event of this.state.events) {
      const place = event.kind === "rollback" ? event.left : event.step;
      const kind = { rollback: "back", alert: "alarm", collapse: "back" }[event.kind];
      if (kind && place >= first) drawing.append(s("line", { class: kind, x1: x(place), x2: x(place), y1: 0, y2: 100 }));
    }
    const places = points.map(([step, value]) => [x(step).toFixed(1), y(value).toFixed(1)]);
    if (places.length > 1) drawing.append(s("polyline", { points: places.join(" ") }));
    else drawing.append(s("path", { class: "point", d: `M${places[0]}h0` })); // a line of no length is drawn as a dot
    return h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, label), h("b", {}, short(values.at(-1)))), drawing, h("div", { class: "range", "aria-hidden": "true" }, h("span", {}, between(short(low), short(high))), h("span", {}, between(first, this.state.step))));
  }

  samples(samples) {
    if (!samples.length) return h("p", { class: "hint" }, "There are no samples yet.");
    return h(
      "ul",
      { class: "samples" },
      samples.map(({ step, files }) => h("li", {}, h("small", {}, `step ${Number(step) || step}`), files.map((file, index) => h("button", { type: "button", "aria-label": `Sample ${index + 1} of step ${Number(step) || step}`, onclick: () => this.openSample(step, file) }, `${index + 1}`)))),
    );
  }

  async openSample(step, file) {
    try {
      const found = await api.sample(this.state.name, step, file);
      const piece = Piece.imported({ ...found, name: `Step ${Number(step) || step}, ${file}` });
      piece.title = `Step ${Number(step) || step}, sample ${Number.parseInt(file, 10) + 1}`;
      await this.studio.open(piece);
      this.studio.activeView.element.scrollIntoView({ behavior: "smooth" });
    } catch (error) {
      this.studio.showMessage(error.message);
    }
  }
}

function between(from, to) {
  return from === to ? `${from}` : `${from} – ${to}`;
}

function short(value) {
  if (value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return Number(value.toPrecision(4)).toString();
}

function dateOf(seconds) {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}
