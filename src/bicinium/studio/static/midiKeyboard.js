// MIDI keyboards that the browser can reach (Web MIDI): their keys as calls of onPress and onRelease.

const [NOTE_OFF, NOTE_ON] = [0x80, 0x90];

export class MidiKeyboard {
  /** onPress(pitch, velocity), onRelease(pitch), and onChange() when a keyboard is connected or taken away. */
  constructor({ onPress, onRelease, onChange }) {
    Object.assign(this, { onPress, onRelease, onChange });
    this.access = null;
  }

  get isSupported() {
    return Boolean(navigator.requestMIDIAccess);
  }

  /** The names of the connected keyboards. */
  get names() {
    return this.access ? [...this.access.inputs.values()].map(({ name }) => name) : [];
  }

  /** Ask for the keyboards and listen to them. Throws an Error if the browser or the user refuses. */
  async connect() {
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      throw new Error("the browser did not allow MIDI keyboards for this page");
    }
    this.access.onstatechange = () => this.listen();
    this.listen();
  }

  listen() {
    for (const input of this.access.inputs.values()) input.onmidimessage = ({ data }) => this.receive(data);
    this.onChange();
  }

  receive([status, pitch, velocity]) {
    const kind = status & 0xf0;
    if (kind === NOTE_ON && velocity > 0) this.onPress(pitch, velocity);
    else if (kind === NOTE_ON || kind === NOTE_OFF) this.onRelease(pitch);
  }
}
