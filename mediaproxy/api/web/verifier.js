"use strict";
const given = { audio: null, manifest: null, chain: null, keys: [] };
const VERSION = 2; // of manifests
const GOOD = "good", BAD = "bad", OPEN = "open";
const WORDS = { good: "✔ holds", bad: "✘ fails", open: "? open" };
const MAX_BYTES = 1.5e9;
const MAX_SAMPLES = 2e8; // of a FLAC: decoded they take eight bytes each

// --- small things --------------------------------------------------------------------------------------
const hex = (bytes) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));
const clock = (samples, rate) => {
  const ms = Math.floor((samples * 1000) / rate), s = Math.floor(ms / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}.${String(ms % 1000).padStart(3, "0")}`;
};
const element = (name, attributes = {}, ...children) => {
  const svg = ["svg", "rect", "path", "text", "line", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// Canonical JSON (RFC 8785 for what a manifest may hold: strings, whole numbers, lists, objects, null).
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object")
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  return JSON.stringify(value);
}

// --- keys and signatures -------------------------------------------------------------------------------
async function readKey(text) {
  const body = text.match(/-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/);
  if (!body) throw new Error("no public key in PEM form");
  const der = Uint8Array.from(atob(body[1].replace(/\s/g, "")), (c) => c.charCodeAt(0));
  const raw = der.slice(-32);
  const id = (await sha256(raw)).slice(0, 16);
  return { id, key: await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]) };
}

async function signatureHolds(object, keys) {
  const found = keys.find((each) => each.id === object.key_id);
  if (!found) return null;
  const signed = utf8(canonical({ ...object, signature: null }));
  return crypto.subtle.verify("Ed25519", found.key, unhex(String(object.signature)), signed);
}

// --- audio: samples as (channel, position) -------------------------------------------------------------
function readWav(buffer) {
  const view = new DataView(buffer);
  const tag = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (!["RIFF", "RF64"].includes(tag(0)) || tag(8) !== "WAVE") throw new Error("not a WAV file");
  let channels = 0, rate = 0, long = null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const kind = tag(at);
    let size = view.getUint32(at + 4, true);
    if (kind === "ds64") long = Number(view.getBigUint64(at + 16, true));
    if (kind === "fmt ") {
      if (view.getUint16(at + 8, true) !== 1 || view.getUint16(at + 22, true) !== 16) throw new Error("not 16-bit linear PCM");
      channels = view.getUint16(at + 10, true);
      rate = view.getUint32(at + 12, true);
    }
    if (kind === "data") {
      if (size === 0xffffffff && long !== null) size = long;
      if (at + 8 + size > buffer.byteLength || !channels) throw new Error("the file is shorter than it says");
      const pcm = new Int16Array(buffer, at + 8, size >> 1);
      return { rate, channels, length: Math.floor(pcm.length / channels), at: (c, i) => pcm[i * channels + c] };
    }
    at += 8 + size + (size & 1);
  }
  throw new Error("no audio in the file");
}

async function readFlac(buffer, rate) {
  const decoded = await new OfflineAudioContext(2, 1, rate).decodeAudioData(buffer.slice(0));
  const tracks = Array.from({ length: decoded.numberOfChannels }, (_, c) => decoded.getChannelData(c));
  return { rate: decoded.sampleRate, channels: tracks.length, length: decoded.length, at: (c, i) => tracks[c][i] };
}

async function readAudio(buffer, manifest) {
  if (new DataView(buffer).getUint32(0) !== 0x664c6143) return readWav(buffer);
  if (manifest.duration_samples > MAX_SAMPLES) throw new Error("it is too long for one");
  return readFlac(buffer, manifest.sample_rate);
}

// --- the checks ----------------------------------------------------------------------------------------
function firstSound(audio, spans) {
  for (const [start, end] of spans)
    for (let c = 0; c < audio.channels; c++)
      for (let i = start; i < Math.min(end, audio.length); i++) if (audio.at(c, i) !== 0) return i;
  return -1;
}

function outside(intervals, duration) {
  const found = [];
  let at = 0;
  for (const each of [...intervals].sort((a, b) => a.start_sample - b.start_sample)) {
    if (each.start_sample > at) found.push([at, each.start_sample]);
    at = Math.max(at, each.end_sample);
  }
  if (at < duration) found.push([at, duration]);
  return found;
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isSpan = (each) => isCount(each.start_sample) && isCount(each.end_sample);

// What the checks and the drawing rely on. What is not so was never written by us.
function isManifest(m) {
  return isCount(m.duration_samples) && isCount(m.sample_rate) && m.sample_rate > 0 && typeof m.master.sha256 === "string"
    && [m.intervals, m.participants, m.reasons].every(Array.isArray) && m.intervals.every(isSpan)
    && (m.redactions || []).every(isSpan) && m.participants.every((each) => isCount(each.from_sample));
}

function inOrder(intervals, duration) {
  return ["audio", "announcement"].every((kind) => {
    let at = 0;
    return intervals.filter((each) => each.kind === kind).every((each) => {
      const fits = at <= each.start_sample && each.start_sample < each.end_sample && each.end_sample <= duration;
      at = each.end_sample;
      return fits;
    });
  });
}

async function checkAudio(manifest, file, checks) {
  const say = (state, what, text) => checks.push({ state, what, text });
  if (file.size > MAX_BYTES) {
    say(OPEN, "Audio", "the file is too large for a browser; run: mediaproxy verify FILE");
    return null;
  }
  const buffer = await file.arrayBuffer();
  const hash = await sha256(buffer);
  const same = hash === manifest.master.sha256;
  say(same ? GOOD : BAD, "Bytes", same ? `the file is the one that was signed (SHA-256 ${hash.slice(0, 16)}…)`
    : "the file is not the one that was signed: its SHA-256 differs");
  let audio;
  try {
    audio = await readAudio(buffer, manifest);
  } catch (error) {
    say(same ? OPEN : BAD, "Audio", same ? `this browser cannot decode it (${error.message}); run: mediaproxy verify FILE` : `cannot be read: ${error.message}`);
    return null;
  }
  const long = audio.length === manifest.duration_samples && audio.rate === manifest.sample_rate && audio.channels === manifest.channels;
  say(long ? GOOD : BAD, "Length", long ? `${clock(audio.length, audio.rate)}, exactly as long as the call`
    : `${audio.length} sample frames at ${audio.rate} Hz where the manifest says ${manifest.duration_samples} at ${manifest.sample_rate} Hz`);
  const sound = firstSound(audio, outside(manifest.intervals, manifest.duration_samples));
  say(sound < 0 ? GOOD : BAD, "Silence", sound < 0 ? "not one sample sounds outside the intervals"
    : `there is sound at ${clock(sound, audio.rate)}, where nothing was recorded`);
  const redactions = manifest.redactions || [];
  if (redactions.length) {
    const left = firstSound(audio, redactions.map((each) => [each.start_sample, each.end_sample]));
    say(left < 0 ? GOOD : BAD, "Redactions", left < 0 ? "what was redacted is silent" : `there is sound at ${clock(left, audio.rate)}, which was redacted`);
  }
  return audio;
}

async function checkChain(manifest, bytes, lines, keys, checks) {
  const say = (state, text) => checks.push({ state, what: "Chain", text });
  const own = await sha256(bytes);
  let previous = "0".repeat(64), seq = 0, last = null;
  for (const line of lines) {
    let entry;
    try { entry = JSON.parse(line); } catch { return say(BAD, `line ${seq + 1} is damaged`); }
    if (entry.seq !== seq || entry.previous !== previous) return say(BAD, `line ${seq + 1} does not follow the one before: a line was removed or changed`);
    const signed = await signatureHolds(entry, keys);
    if (signed === false) return say(BAD, `line ${seq + 1} bears a wrong signature`);
    if (signed === null) return say(OPEN, `line ${seq + 1} was signed with key ${entry.key_id}, which is not here`);
    if (entry.recording_id === manifest.recording_id) last = entry;
    previous = await sha256(utf8(line));
    seq += 1;
  }
  if (!last) return say(BAD, "this recording is not in the chain");
  if (["deleted", "expired"].includes(last.kind)) return say(BAD, `this recording was ${last.kind} at ${last.at}: no copy of it should be left`);
  if (last.manifest !== own) return say(BAD, `the chain knows another manifest of this recording (${last.kind} at ${last.at})`);
  if (last.kind === "adopted" && manifest.version > 1) return say(BAD, "the chain that noted its publishing is gone; another was begun");
  say(GOOD, `line ${last.seq + 1} of ${seq}: ${last.kind} at ${last.at}; the chain ends with ${previous.slice(0, 16)}…`);
}

async function check() {
  const checks = [];
  const say = (state, what, text) => checks.push({ state, what, text });
  if (!crypto.subtle) {
    say(BAD, "Browser", "this browser does not let a local page check signatures; use a current one");
    return { checks };
  }
  if (!given.manifest) {
    say(OPEN, "Manifest", "drop the manifest (.json) too");
    return { checks };
  }
  let manifest, keys = [];
  const bytes = await given.manifest.arrayBuffer();
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (Number.isSafeInteger(manifest.version) && manifest.version > VERSION) {
      say(OPEN, "Manifest", "is of a newer version than this page; get the page of that proxy");
      return { checks };
    }
    if (!isManifest(manifest)) throw new Error();
  } catch {
    say(BAD, "Manifest", "is not one of mediaproxy's");
    return { checks };
  }
  const texts = [...JSON.parse(document.getElementById("keys").textContent), ...(await Promise.all(given.keys.map((file) => file.text())))];
  for (const text of texts) {
    try { keys.push(await readKey(text)); } catch (error) { say(BAD, "Key", `cannot be used: ${error.message}`); }
  }
  const signed = await signatureHolds(manifest, keys).catch(() => false);
  if (signed === null) say(OPEN, "Signature", `not checked: drop the public key ${manifest.key_id}.pub (from somebody you trust, not from the folder of the recording)`);
  else say(signed ? GOOD : BAD, "Signature", signed ? `signed with key ${manifest.key_id}` : "wrong: the manifest was changed after it was signed");
  if (!inOrder(manifest.intervals, manifest.duration_samples)) say(BAD, "Intervals", "empty, out of order or outside the call");
  let audio = null;
  if (given.audio) audio = await checkAudio(manifest, given.audio, checks);
  else say(OPEN, "Audio", `drop ${manifest.master.file} too`);
  if (given.chain) await checkChain(manifest, bytes, (await given.chain.text()).split("\n").slice(0, -1), keys, checks);
  return { checks, manifest, audio };
}

// --- what is shown -------------------------------------------------------------------------------------
function verdict(checks) {
  if (checks.some((each) => each.state === BAD)) return [BAD, "✘ Not genuine, or damaged"];
  if (checks.some((each) => each.state === OPEN)) return [OPEN, "? Not proven yet"];
  return [GOOD, "✔ Genuine: complete, unchanged, and silent where nothing was recorded"];
}

const actor = (by) => (by && by.user ? `${by.user} (${by.means})` : by ? by.means : "");

function wave(audio, channel, width, top, height) {
  let path = "";
  const scale = audio.length ? audio.length / width : 1;
  let peak = 1e-9;
  for (let i = 0; i < audio.length; i++) peak = Math.max(peak, Math.abs(audio.at(channel, i)));
  const y = (value) => (top + height / 2 - (value / peak) * (height / 2 - 2)).toFixed(1);
  for (let x = 0; x < width; x++) {
    let low = 0, high = 0;
    for (let i = Math.floor(x * scale); i < Math.min(Math.floor((x + 1) * scale) + 1, audio.length); i++) {
      const value = audio.at(channel, i);
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    path += `M${x + 0.5} ${y(high)}V${y(low - 1e-9)}`;
  }
  return path;
}

function drawing(manifest, audio) {
  const width = 1000, height = 90, rate = manifest.sample_rate, duration = Math.max(manifest.duration_samples, 1);
  const x = (sample) => (sample / duration) * width;
  const recorded = manifest.intervals.map((i) => `${i.kind} from ${clock(i.start_sample, rate)} to ${clock(i.end_sample, rate)} by ${actor(i.started_by)}`);
  const svg = element("svg", { viewBox: `0 0 ${width} ${2 * height + 24}`, role: "img", "aria-label": `The call on a line of ${clock(duration, rate)}: ${recorded.join("; ") || "nothing recorded"}` });
  const band = (kind, start, end, text) =>
    svg.append(element("rect", { class: kind, x: x(start), y: 0, width: Math.max(x(end) - x(start), 1), height: 2 * height }, element("title", {}, text)));
  manifest.intervals.forEach((i, n) => band(i.kind, i.start_sample, i.end_sample, recorded[n]));
  if (audio)
    for (let c = 0; c < Math.min(audio.channels, 2); c++) svg.append(element("path", { class: "wave", d: wave(audio, c, width, c * height, height) }));
  (manifest.redactions || []).forEach((r) => band("redaction", r.start_sample, r.end_sample, `redacted: ${r.reason}`));
  svg.append(element("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }), element("text", { x: 4, y: 14 }, "1 carrier"), element("text", { x: 4, y: height + 14 }, "2 agent"));
  for (let n = 0; n <= 5; n++)
    svg.append(element("text", { x: (n * width) / 5, y: 2 * height + 17, "text-anchor": n === 0 ? "start" : n === 5 ? "end" : "middle" }, clock((n * duration) / 5, rate)));
  return svg;
}

function table(heads, rows) {
  const row = (cells, name) => element("tr", {}, ...cells.map((cell) => element(name, /^\d+:/.test(cell) ? { class: "n" } : {}, cell)));
  return element("table", {}, element("thead", {}, row(heads, "th")), element("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
}

let shown = null;
function show({ checks, manifest, audio }) {
  const [state, text] = verdict(checks);
  const result = document.getElementById("result");
  if (shown) URL.revokeObjectURL(shown);
  result.replaceChildren(
    element("h2", {}, "Verdict"),
    element("div", { class: `verdict ${state}`, id: "verdict", "data-state": state }, text),
    element("ul", { class: "checks" }, ...checks.map((each) => element("li", { class: each.state, "data-check": each.what }, element("b", {}, WORDS[each.state]), `${each.what}: ${each.text}`))));
  if (!manifest) return;
  const rate = manifest.sample_rate, at = (sample) => clock(sample, rate);
  const kinds = ["audio", "announcement", "redaction"].flatMap((kind) => [element("span", { class: `key ${kind}` }), { audio: "recorded", announcement: "announcement", redaction: "redacted" }[kind]]);
  result.append(
    element("h2", {}, "Who recorded when"),
    element("p", {}, `Call ${manifest.call_id}, answered ${manifest.answered_at}: ${at(manifest.duration_samples)} long, ${at(manifest.recorded_samples)} recorded; result: ${manifest.result}${manifest.reasons.length ? ` (${manifest.reasons.join(", ")})` : ""}.`),
    drawing(manifest, audio), element("p", { class: "faint" }, ...kinds),
    table(["From", "To", "What", "Started by", "Ended by"], manifest.intervals.map((i) => [at(i.start_sample), at(i.end_sample), i.kind, actor(i.started_by), actor(i.ended_by)])));
  if ((manifest.redactions || []).length)
    result.append(element("h2", {}, "Redacted afterwards"), table(["From", "To", "Why", "By", "When"], manifest.redactions.map((r) => [at(r.start_sample), at(r.end_sample), r.reason, actor(r.by), r.at])));
  if (manifest.participants.length)
    result.append(element("h2", {}, "Who was on the call"), table(["Channel", "Name", "Number", "From", "To"], manifest.participants.map((p) => [String(p.channel), p.name || "", p.number || "", at(p.from_sample), at(p.to_sample ?? manifest.duration_samples)])));
  if (audio) {
    shown = URL.createObjectURL(given.audio);
    result.append(element("audio", { controls: "", src: shown, "aria-label": "Play the recording" }));
  }
}

// --- files come in -------------------------------------------------------------------------------------
function sort(file) {
  const name = file.name.toLowerCase();
  if (name.endsWith(".jsonl")) given.chain = file;
  else if (name.endsWith(".json")) given.manifest = file;
  else if (name.endsWith(".pub") || name.endsWith(".pem")) given.keys.push(file);
  else given.audio = file;
}

let turn = 0;
async function receive(files) {
  for (const file of files) sort(file);
  const mine = ++turn;
  document.getElementById("result").replaceChildren(element("p", {}, "Checking…"));
  const failed = (error) => ({ checks: [{ state: OPEN, what: "Page", text: `could not check this: ${error.message}` }] });
  const found = await check().catch(failed);
  if (mine !== turn) return;
  try { show(found); } catch (error) { show(failed(error)); }
}

const drop = document.getElementById("drop");
document.getElementById("files").addEventListener("change", (event) => receive(event.target.files));
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); receive(event.dataTransfer.files); });
