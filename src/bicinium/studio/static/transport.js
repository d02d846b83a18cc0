// The bar at the foot of the page: play, stop, loop, place, tempo, which voices are heard.

import { $, $$ } from "./dom.js";
import { barOf, placeOf } from "./music.js";

export class Transport {
  constructor(player, studio) {
    this.player = player;
    this.studio = studio;
    this.element = $("#transport");
    this.on("#play", "click", () => (player.playing ? player.pause() : this.begin()));
    this.on("#halt", "click", () => player.stop());
    this.on("#loop", "click", () => studio.loop());
    this.on("#seek", "input", ({ target }) => player.seek(target.valueAsNumber));
    this.on("#pace", "input", ({ target }) => player.setTempo(target.valueAsNumber));
    for (const box of $$("[data-part]", this.element)) {
      box.addEventListener("change", () => {
        const part = Number(box.dataset.part);
        if (box.checked) player.muted.delete(part);
        else player.muted.add(part);
        if (player.playing) player.seek(player.tick);
      });
    }
    for (const kind of ["load", "change"]) player.addEventListener(kind, () => this.load());
    for (const kind of ["play", "pause", "ended"]) player.addEventListener(kind, () => this.show());
    player.addEventListener("move", () => this.move());
    player.addEventListener("tempo", () => this.pace());
    player.addEventListener("loop", () => this.show());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  on(selector, kind, does) {
    $(selector, this.element).addEventListener(kind, does);
  }

  async begin() {
    const label = $("#place", this.element);
    if (!this.player.buffer) label.value = "loading …";
    try {
      await this.player.play();
    } catch {
      this.studio.showMessage("the browser does not allow sound on this page");
    }
  }

  load() {
    const { music } = this.player;
    this.element.hidden = false;
    Object.assign($("#seek", this.element), { min: music.start, max: music.end - 1 });
    this.pace();
    this.show();
  }

  show() {
    const { playing, loop } = this.player;
    const play = $("#play", this.element);
    play.setAttribute("aria-pressed", `${playing}`);
    $(".unseen", play).textContent = playing ? "Pause" : "Play";
    $("#loop", this.element).setAttribute("aria-pressed", `${Boolean(loop)}`);
    this.move();
  }

  pace() {
    const qpm = Math.round(this.player.tempo);
    $("#qpm", this.element).value = qpm;
    $("#pace", this.element).value = qpm;
  }

  move() {
    const { music, tick, playing } = this.player;
    if (!music) return;
    const seek = $("#seek", this.element);
    seek.value = tick;
    const place = tick < 0 ? "counting in" : placeOf(Math.min(tick, music.end - 1), music.meter);
    const words = this.player.loop ? `${place} (${this.loopWords()})` : place;
    const label = $("#place", this.element);
    if (label.value !== words) {
      label.value = words;
      seek.setAttribute("aria-valuetext", words);
    }
    this.element.dataset.tick = tick.toFixed(1);
    this.studio.activeView?.move(tick, playing);
  }

  loopWords() {
    const [from, to] = this.player.loop;
    const { meter } = this.player.music;
    const [first, last] = [barOf(from, meter), barOf(to - 1, meter)];
    return first === last ? `${first}` : `${first}–${last}`;
  }

  /** The space bar plays and stops, where it does nothing else. */
  key(event) {
    const busy = event.target.closest("input, select, textarea, button, a, summary, [data-keys]");
    if (event.code !== "Space" || busy || this.element.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    $("#play", this.element).click();
  }
}
