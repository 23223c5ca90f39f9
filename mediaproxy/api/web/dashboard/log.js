// The call log: whole and recorded length side by side, and where a call was recorded.

import { h, show } from "./dom.js";
import { ask } from "./session.js";
import { clock, t, when } from "./texts.js";
import { timeline } from "./timeline.js";

const PAGE = 50;

export function logPage(page, { failed }) {
  let cursor = null, filters = new URLSearchParams();
  const rows = h("tbody");
  const older = h("button", { type: "button", id: "older", onclick: () => load(false) }, t("older"));
  const nothing = h("p", { class: "empty", hidden: true }, t("noCalls"));
  const heads = ["started", "direction", "from", "to", "agent", "length", "state"].map((name) => h("th", { scope: "col" }, t(name)));
  show(page, form(), h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), rows)), nothing, older);

  function form() {
    const field = (name) => h("label", {}, t(name), h("input", { name, id: `by-${name}`, autocomplete: "off" }));
    const states = ["", "live", "trying", "ringing", "answered", "ended"];
    const choice = h("select", { name: "state", id: "by-state" },
      states.map((state) => h("option", { value: state }, t(state || "anyState"))));
    return h("form", {
      class: "filters", onsubmit: (event) => {
        event.preventDefault();
        filters = new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value.trim()));
        load(true);
      },
    }, field("from"), field("to"), field("agent"), h("label", {}, t("state"), choice), h("button", {}, t("search")));
  }

  async function load(anew) {
    const asked = new URLSearchParams(filters);
    asked.set("limit", PAGE);
    if (!anew && cursor) asked.set("cursor", cursor);
    try {
      const found = await ask(`/v1/calls?${asked}`);
      if (anew) rows.replaceChildren();
      rows.append(...found.calls.map(row));
      cursor = found.next_cursor;
      older.hidden = cursor === null;
      nothing.hidden = rows.childElementCount > 0;
    } catch (error) {
      failed(error.message);
    }
  }

  load(true);
  return () => {};
}

function row(call) {
  const recorded = call.recorded_ms ? `${clock(call.recorded_ms)} ${t("recorded")}` : t("notRecorded");
  const result = call.state === "ended" ? call.disposition : call.state;
  return h("tr", {},
    h("td", {}, h("a", { href: `#/call/${call.id}` }, when(call.started_at))),
    h("td", {}, t(call.direction)),
    h("td", {}, call.from_name ? `${call.from_name} ` : "", h("span", { class: "number" }, call.from)),
    h("td", { class: "number" }, call.to),
    h("td", {}, call.agent ?? "–"),
    h("td", { class: "lengths" }, h("span", {}, `${clock(call.duration_ms)} · ${recorded}`),
      call.answered_at ? timeline(call, call.duration_ms) : null),
    h("td", {}, t(result)));
}
