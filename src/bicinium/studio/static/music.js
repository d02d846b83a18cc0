// Scores in ticks (24 per quarter note; bars count from 1), prepared for the player and the piano roll.

export const QUARTER = 24;

export function meterOf(text) {
  const [numerator, denominator] = text.split("/").map(Number);
  const unit = (QUARTER * 4) / denominator;
  const compound = numerator % 3 === 0 && numerator > 3 && denominator >= 8;
  return { bar: numerator * unit, unit, beat: compound ? unit * 3 : unit };
}

/** Return a score of the server as {notes, meter, start, end, tempo}; notes have part, pitch, onset, offset, velocity. */
export function musicOf(score) {
  const meter = meterOf(score.meter);
  const notes = score.voices.flatMap((rows, part) =>
    rows.map(([onset, pitch, duration, velocity]) => ({ part, pitch, onset, offset: onset + duration, velocity, closed: true })),
  );
  notes.sort((a, b) => a.onset - b.onset || a.part - b.part);
  const start = score.anacrusis ? meter.bar - score.anacrusis : 0;
  return { notes, meter, start, end: score.bars * meter.bar, tempo: score.tempo, bars: score.bars };
}

/** Return the same for a validated file that may not be a score. */
export function musicOfVerdict(verdict) {
  const meter = meterOf(verdict.meter);
  const notes = verdict.roll.map(([part, pitch, onset, offset, closed]) => ({ part, pitch, onset, offset, velocity: 80, closed }));
  notes.sort((a, b) => a.onset - b.onset);
  const last = Math.max(meter.bar, ...notes.map((note) => note.offset), ...verdict.violations.map((one) => one.tick));
  const bars = Math.ceil(last / meter.bar);
  return { notes, meter, start: 0, end: bars * meter.bar, tempo: 100, bars };
}

export function barOf(tick, meter) {
  return Math.floor(tick / meter.bar) + 1;
}

/** "bar 3, beat 2" */
export function placeOf(tick, meter) {
  const beat = Math.floor((tick % meter.bar) / meter.beat) + 1;
  return `bar ${barOf(tick, meter)}, beat ${beat}`;
}

const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

export function pitchName(pitch) {
  return `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

export function isBlack(pitch) {
  return [1, 3, 6, 8, 10].includes(pitch % 12);
}
