// One call: what was recorded, by whom and how; to see, to hear, to take along, to silence.

import { h, show } from "./dom.js";
import { ask, fetched, session } from "./session.js";
import { clock, t, when } from "./texts.js";
import { timeline } from "./timeline.js";
import { drawWaveform } from "./waveform.js";

const FORMATS = ["wav", "flac", "opus", "mp3"];

export function callPage(page, id, { failed }) {
  const blobs = [];
  const guard = (work) => work().catch((error) => failed(error.message));

  async function load() {
    const call = await ask(`/v1/calls/${encodeURIComponent(id)}`);
    const recording = call.recording;
    const published = recording !== null && !recording.deleted_at
      && ["complete", "degraded", "recovered"].includes(recording.result);
    show(page,
      h("p", {}, h("a", { href: "#/log" }, `← ${t("log")}`)),
      h("h2", {}, `${call.from_name || call.from} → ${call.to}`),
      facts(call), timeline(call, call.duration_ms),
      recording === null ? null : intervals(recording),
      published ? sound(call) : null,
      published ? silence(call) : null,
      session.me.role === "admin" ? ladder() : null);
  }

  function facts(call) {
    const recording = call.recording;
    const known = [
      ["started", when(call.started_at)], ["direction", t(call.direction)], ["from", call.from_uri], ["to", call.to_uri],
      ["agent", call.agent], ["trunk", call.trunk], ["state", t(call.disposition ?? call.state)], ["endedBy", call.ended_by],
      ["length", `${clock(call.duration_ms)} · ${clock(call.recorded_ms)} ${t("recorded")}`],
      ["policy", recording?.policy], ["result", recording && (recording.deleted_at ? t("deleted") : recording.result && t(recording.result))],
    ];
    return h("dl", {}, known.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)]).flat());
  }

  function intervals(recording) {
    const by = (actor) => (actor === null ? t("now") : `${t(actor.means)}${actor.user ? ` (${actor.user})` : ""}`);
    return h("section", {}, h("h3", {}, t("intervals")), h("ol", { class: "intervals" }, recording.intervals.map((each) => h("li", {},
      `${t(each.kind)} ${clock(each.start_ms)} – ${each.end_ms === null ? t("now") : clock(each.end_ms)}: `,
      `${by(each.started_by)} ${t("until")} ${by(each.ended_by)}`))));
  }

  function sound(call) {
    const path = `/v1/recordings/${call.recording.id}`;
    const canvas = h("canvas", { class: "waveform", role: "img", "aria-label": t("waveform") });
    const skip = h("input", { type: "checkbox", id: "skip" });
    const player = h("audio", { controls: true, hidden: true, ontimeupdate: () => skip.checked && skipSilence(player, call) });
    const play = h("button", { type: "button", id: "play", onclick: () => guard(async () => {
      const blob = await (await fetched(`${path}/audio`)).blob();
      player.src = kept(blob);
      player.hidden = false;
      play.hidden = true;
      player.focus();
    }) }, t("play"));
    canvas.addEventListener("click", (event) => {
      if (Number.isFinite(player.duration)) player.currentTime = player.duration * event.offsetX / canvas.clientWidth;
    });
    guard(async () => drawWaveform(canvas, await ask(`${path}/waveform`), call.recording, [t("carrier"), t("agentLeg")]));
    const take = (format) => h("button", { type: "button", onclick: () => guard(async () => {
      const query = format === "manifest" ? "/manifest" : `/audio?format=${format}`;
      save(await (await fetched(path + query)).blob(), `${call.recording.id}.${format === "manifest" ? "json" : format}`);
    }) }, format === "manifest" ? t("manifest") : format.toUpperCase());
    return h("section", {}, h("h3", {}, t("waveform")), canvas,
      h("p", {}, play, player, h("label", { for: "skip" }, skip, ` ${t("skip")}`)),
      h("p", { class: "downloads" }, `${t("download")}: `, FORMATS.map(take), take("manifest"),
        h("a", { href: "/verifier", target: "_blank", rel: "noopener" }, t("verify"))));
  }

  function silence(call) {
    const seconds = h("input", { type: "number", id: "last", min: 1, step: "any", required: true });
    const reason = h("input", { id: "reason", required: true, maxlength: 500 });
    return h("details", {}, h("summary", {}, t("redact")), h("p", {}, t("redactHelp")), h("form", {
      class: "filters", onsubmit: (event) => {
        event.preventDefault();
        guard(async () => {
          await ask(`/v1/recordings/${call.recording.id}/redact`, {
            method: "POST", body: { last_s: Number(seconds.value), reason: reason.value },
          });
          await load();
          failed(t("redacted"), true);
        });
      },
    }, h("label", {}, t("lastSeconds"), seconds), h("label", {}, t("reason"), reason), h("button", {}, t("doRedact"))));
  }

  function ladder() {
    const lines = h("pre", { class: "ladder" });
    return h("details", { ontoggle: (event) => event.target.open && guard(async () => {
      const { messages } = await ask(`/v1/calls/${encodeURIComponent(id)}/trace`);
      lines.textContent = messages.map((each) => {
        const arrow = each.sent ? "→" : "←";
        return `${(each.elapsed_us / 1e6).toFixed(3).padStart(9)} s  ${each.leg} ${arrow} ${each.remote}\n${each.text}`;
      }).join("\n\n");
    }) }, h("summary", {}, t("ladder")), lines);
  }

  function kept(blob) {
    blobs.push(URL.createObjectURL(blob));
    return blobs.at(-1);
  }

  function save(blob, name) {
    const link = h("a", { href: kept(blob), download: name });
    link.click();
  }

  guard(load);
  return () => blobs.forEach((url) => URL.revokeObjectURL(url));
}

/** Where nothing was recorded the file is silent: go on where it speaks. */
function skipSilence(player, call) {
  const now = player.currentTime * 1000;
  const spans = call.recording.intervals;
  if (spans.some((each) => each.start_ms <= now + 50 && now < each.end_ms)) return;
  const next = spans.find((each) => each.start_ms > now);
  player.currentTime = next ? next.start_ms / 1000 : player.duration;
}
