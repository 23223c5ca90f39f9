// The record button. It shows what the server says, never what is hoped for.

import { h, say } from "./dom.js";
import { ask } from "./session.js";
import { t } from "./texts.js";

const SHAPES = { recording: "■", inactive: "●", paused: "❚❚", failing: "!", unavailable: "–", unknown: "?", waiting: "…" };

/** Fixed words: of the recording of a call, or why there is none. */
export function stateOf(call, connected) {
  if (!connected) return "unknown";
  if (call.recording === null) return call.state === "answered" ? "unavailable" : "waiting";
  return call.recording.state;
}

/** Big button and small one. `asking` holds the ids of calls whose command is under way. */
export function recordControl(call, { connected, asking, calls, failed }) {
  const state = stateOf(call, connected);
  const busy = asking.has(call.id);
  const can = ["recording", "inactive", "paused", "failing"].includes(state);
  const action = state === "recording" || state === "failing" ? "stop" : state === "paused" ? "resume" : "start";
  return h("div", { class: "record", "data-state": state },
    h("button", {
      id: `record-${call.id}`, class: "big", type: "button", disabled: !can, "aria-busy": busy,
      "aria-pressed": String(state === "recording"),
      onclick: () => command(call, action, { asking, calls, failed }),
    }, h("span", { class: "shape", "aria-hidden": "true" }, SHAPES[state] ?? "?"),
    h("span", { class: "does" }, busy ? t("busy") : can ? t(action) : t(state))),
    h("p", { class: "is" }, t(state)),
    state === "recording" || state === "paused"
      ? h("button", {
        id: `other-${call.id}`, class: "small", type: "button",
        onclick: () => command(call, state === "paused" ? "stop" : "pause", { asking, calls, failed }),
      }, t(state === "paused" ? "stop" : "pause"))
      : null);
}

async function command(call, action, { asking, calls, failed }) {
  if (asking.has(call.id)) return;
  asking.add(call.id);
  calls.refresh();
  try {
    const reply = await ask(`/v1/calls/${call.id}/recording/${action}`, { method: "POST" });
    say(t(reply.state));
    calls.toggled(call.id, reply);
  } catch (error) {
    failed(error.message);
  } finally {
    asking.delete(call.id);
    calls.refresh();
  }
}
