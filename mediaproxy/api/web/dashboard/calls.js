// Calls as the server told them last, and how long they are by now.

export class Calls {
  constructor(changed) {
    this._calls = new Map();
    this._changed = changed;
  }

  put(call) {
    this._calls.set(call.id, { call, toldAt: performance.now() });
    this._changed();
  }

  refresh() {
    this._changed();
  }

  /** Of an event of the stream. */
  hear(event) {
    if (event.call) this.put(event.call);
  }

  /** `calls` is what there was at `askedAt`; what an event has told since is newer. */
  replace(calls, askedAt) {
    const newer = [...this._calls].filter(([, { toldAt }]) => toldAt > askedAt);
    this._calls = new Map(calls.map((call) => [call.id, { call, toldAt: performance.now() }]));
    for (const [id, known] of newer) this._calls.set(id, known);
    this._changed();
  }

  /** A reply to a command is newer than what we knew; the event that follows says all of it. */
  toggled(id, reply) {
    const known = this._calls.get(id);
    if (known?.call.recording) {
      known.call = { ...known.call, recording: { ...known.call.recording, state: reply.state } };
      this._changed();
    }
  }

  get live() {
    return [...this._calls.values()].map(({ call }) => call).filter((call) => call.state !== "ended")
      .sort((one, other) => (one.started_at < other.started_at ? 1 : -1));
  }

  get(id) {
    return this._calls.get(id)?.call;
  }

  /** Milliseconds since the answer, and how much of them was recorded. */
  lengths(id) {
    const { call, toldAt } = this._calls.get(id);
    const more = call.state === "answered" ? performance.now() - toldAt : 0;
    const recording = call.recording?.state === "recording" ? more : 0;
    return { duration: call.duration_ms + more, recorded: call.recorded_ms + recording };
  }
}
