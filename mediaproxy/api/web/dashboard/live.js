// The agent's page: my live call and its button. Admins see every live call.

import { Calls } from "./calls.js";
import { h, show } from "./dom.js";
import { listen } from "./feed.js";
import { recordControl } from "./record.js";
import { ask } from "./session.js";
import { clock, t } from "./texts.js";
import { timeline } from "./timeline.js";

const TICK_MS = 250;

/** Fills `page`; returns what ends it. */
export function livePage(page, { connection, failed }) {
  let connected = false, drawn = "";
  const asking = new Set();
  const calls = new Calls(draw);
  const list = h("section", { class: "live", "aria-label": t("live") });
  show(page, list);

  async function fetchAll() {
    const askedAt = performance.now();
    calls.replace((await ask("/v1/calls?state=live&limit=500")).calls, askedAt);
  }

  const end = listen((event) => {
    if (event.type === "events.missed") fetchAll().catch((error) => failed(error.message));
    else calls.hear(event);
  }, (state) => {
    connected = state === "connected";
    connection(state);
    draw();
    if (connected) fetchAll().catch((error) => failed(error.message));
  });

  /** Only what changed is made anew, so that focus and pointer stay where they are. */
  function draw() {
    const live = calls.live;
    const now = JSON.stringify([connected, [...asking], live.map((call) => [call.id, call.state, call.recording])]);
    if (now === drawn) return;
    drawn = now;
    if (live.length) show(list, live.map(card));
    else show(list, h("p", { class: "empty" }, h("strong", {}, t("noCall")), h("br"), t("noCallHelp")));
    tick();
  }

  function card(call) {
    const other = call.direction === "outbound" ? call.to : call.from;
    const name = call.direction === "outbound" ? null : call.from_name;
    return h("article", { class: "card", id: `call-${call.id}`, "data-call": call.id },
      h("header", {}, h("h2", {}, name || other), name ? h("p", { class: "number" }, other) : null,
        h("p", { class: "about" }, `${t(call.direction)} · ${call.to}${call.agent ? ` · ${call.agent}` : ""} · ${t(call.state)}`)),
      h("p", { class: "clock" }, h("span", { class: "duration" }), h("span", { class: "recorded" })),
      h("div", { class: "line" }),
      recordControl(call, { connected, asking, calls, failed }),
      h("p", {}, h("a", { href: `#/call/${call.id}` }, "→")));
  }

  function tick() {
    for (const element of list.querySelectorAll("[data-call]")) {
      const call = calls.get(element.dataset.call);
      if (!call) continue;
      const { duration, recorded } = calls.lengths(call.id);
      element.querySelector(".duration").textContent = clock(duration);
      element.querySelector(".recorded").textContent = ` · ${clock(recorded)} ${t("recorded")}`;
      element.querySelector(".line").replaceChildren(timeline(call, duration));
    }
  }

  const ticking = setInterval(tick, TICK_MS);
  draw();
  return () => { clearInterval(ticking); end(); };
}
