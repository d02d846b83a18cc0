// The geometry of the engraved staves: where a pitch and a tick are, and what is at a point. Places are in pixels of
// the element of the score.

import { clamp } from "./dom.js";

const MIDDLE_LINES = { G: 34, F: 22 }; // B4 and D3, in steps from C0
const NATURAL = [0, 2, 4, 5, 7, 9, 11];
const SHARPS = [3, 0, 4, 1, 5, 2, 6]; // F C G D A E B

/** Return the pitch of a step (C4 is 28) with the signature of a key. */
export function pitchOfStep(step, fifths) {
  const letter = ((step % 7) + 7) % 7;
  const order = SHARPS.indexOf(letter);
  const sharp = fifths > order ? 1 : 0;
  const flat = -fifths > 6 - order ? 1 : 0;
  return 12 * (Math.floor(step / 7) + 1) + NATURAL[letter] + sharp - flat;
}

export class StaffMap {
  /** ``bars`` are the measures in order: {box, begin: x behind the signs, lines: [[y of the five lines] of each staff],
   * places: [{tick, x}]}. */
  constructor(bars, { clefs, fifths, meter, start, end }) {
    Object.assign(this, { bars, clefs, fifths, meter, start, end });
  }

  /** The index of the bar at a point, or the nearest one. */
  barAt({ x, y }) {
    const away = ({ box }) => {
      const dx = Math.max(box.left - x, 0, x - box.right);
      const dy = Math.max(box.top - y, 0, y - box.bottom);
      return dx + 3 * dy;
    };
    const distances = this.bars.map(away);
    return distances.indexOf(Math.min(...distances));
  }

  /** The voice whose staff is nearer. */
  partAt({ x, y }) {
    const { lines } = this.bars[this.barAt({ x, y })];
    return y > (lines[0].at(-1) + lines[1][0]) / 2 ? 1 : 0;
  }

  stepAt(bar, part, y) {
    const lines = this.bars[bar].lines[part];
    const half = (lines[4] - lines[0]) / 8;
    return MIDDLE_LINES[this.clefs[bar][part]] - Math.round((y - lines[2]) / half);
  }

  yOf(bar, part, step) {
    const lines = this.bars[bar].lines[part];
    return lines[2] + ((MIDDLE_LINES[this.clefs[bar][part]] - step) * (lines[4] - lines[0])) / 8;
  }

  /** [{tick, x}] between which a bar is divided evenly. */
  anchors(index) {
    const { box, begin, places } = this.bars[index];
    const first = index * this.meter.bar;
    const all = [...places, { tick: first + this.meter.bar, x: box.right }];
    if (all[0].tick > first) all.unshift({ tick: first, x: Math.min(begin, all[0].x) });
    return all;
  }

  tickAt({ x, y }) {
    const anchors = this.anchors(this.barAt({ x, y }));
    const next = clamp(anchors.findIndex((one) => one.x > x), 1, anchors.length - 1);
    const [from, to] = [anchors[next - 1], x > anchors.at(-1).x ? anchors.at(-1) : anchors[next]];
    const share = to.x > from.x ? clamp((x - from.x) / (to.x - from.x), 0, 1) : 0;
    return clamp(from.tick + share * (to.tick - from.tick), this.start, this.end - 1);
  }

  xOf(tick) {
    const anchors = this.anchors(clamp(Math.floor(tick / this.meter.bar), 0, this.bars.length - 1));
    const next = clamp(anchors.findIndex((one) => one.tick > tick), 1, anchors.length - 1);
    const [from, to] = [anchors[next - 1], anchors[next]];
    return from.x + ((to.x - from.x) * (tick - from.tick)) / (to.tick - from.tick);
  }
}
