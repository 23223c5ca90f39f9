// A call as a line: where it was recorded.

import { svg } from "./dom.js";
import { clock, t } from "./texts.js";

/** `duration` in ms; an interval without an end goes on. */
export function timeline(call, duration) {
  const width = Math.max(duration, 1);
  const spans = (call.recording?.intervals ?? []).map((each) => {
    const end = each.end_ms ?? duration;
    const name = `${t(each.kind)} ${clock(each.start_ms)} – ${each.end_ms === null ? t("now") : clock(end)}`;
    return svg("rect", {
      class: each.kind, x: each.start_ms, width: Math.max(end - each.start_ms, width / 300), y: 0, height: 10,
    }, svg("title", {}, name));
  });
  const told = `${clock(duration)} · ${clock(call.recorded_ms)} ${t("recorded")}`;
  return svg("svg", {
    class: "timeline", viewBox: `0 0 ${width} 10`, preserveAspectRatio: "none", role: "img", "aria-label": told,
  }, svg("rect", { class: "silence", x: 0, y: 0, width, height: 10 }), spans);
}
