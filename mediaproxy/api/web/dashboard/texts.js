// Every word that is shown, in the language of the browser.

const TEXTS = {
  en: {
    live: "Live", log: "Call log", signOut: "Sign out", signIn: "Sign in", token: "Access token",
    tokenHelp: "Yours is in the configuration under [[api.tokens]]; it is kept for this tab alone.",
    connected: "connected", lost: "connection lost: state unknown", connecting: "connecting …",
    noCall: "No call at present", noCallHelp: "When one comes, it appears here with its record button.",
    recording: "Recording", inactive: "Not recording", paused: "Paused", finished: "Finished",
    failing: "Recording fails: the storage takes nothing", unavailable: "Recording is off for this call",
    unknown: "State unknown", waiting: "Not answered yet",
    start: "Start recording", stop: "Stop recording", pause: "Pause", resume: "Resume", busy: "one moment …",
    inbound: "in", outbound: "out", internal: "internal", from: "From", to: "To", agent: "Agent", state: "State",
    trying: "trying", ringing: "ringing", answered: "answered", ended: "ended", anyState: "any",
    started: "Begun", length: "Length", recorded: "recorded", notRecorded: "not recorded", older: "Older calls",
    search: "Search", noCalls: "No calls found", intervals: "Recorded", who: "by", means: "by means of", until: "until",
    announcement: "announcement", audio: "recording", waveform: "Waveform", carrier: "carrier", agentLeg: "agent",
    play: "Load the audio", skip: "Skip silence", download: "Download", manifest: "Manifest", verify: "Verify offline",
    ladder: "SIP messages", showLadder: "Show", redact: "Silence what was recorded by mistake",
    redactHelp: "Replaces it with silence for ever, in the recording and all its copies. The chain keeps that it was done.",
    lastSeconds: "the last … seconds", reason: "Reason", doRedact: "Silence it", redacted: "It is silent now",
    result: "Result", policy: "Policy", trunk: "Trunk", direction: "Direction", endedBy: "Ended by", back: "Back",
    complete: "complete", degraded: "degraded", recovered: "recovered", failed: "failed", none: "none", deleted: "deleted",
    api: "API", dtmf: "telephone code", sip: "SIP", call_end: "end of the call", recovery: "recovery", limit: "limit",
    dashboard: "dashboard", ng: "ng", now: "now", of: "of", gone: "There is no such page.",
  },
  de: {
    live: "Live", log: "Anrufliste", signOut: "Abmelden", signIn: "Anmelden", token: "Zugangsschlüssel",
    tokenHelp: "Er steht in der Konfiguration unter [[api.tokens]]; er bleibt nur in diesem Reiter.",
    connected: "verbunden", lost: "Verbindung verloren: Zustand unbekannt", connecting: "verbinde …",
    noCall: "Zurzeit kein Anruf", noCallHelp: "Wenn einer kommt, erscheint er hier mit seiner Aufnahmetaste.",
    recording: "Aufnahme läuft", inactive: "Keine Aufnahme", paused: "Angehalten", finished: "Beendet",
    failing: "Aufnahme gestört: der Speicher nimmt nichts an", unavailable: "Für diesen Anruf ist die Aufnahme aus",
    unknown: "Zustand unbekannt", waiting: "Noch nicht angenommen",
    start: "Aufnahme starten", stop: "Aufnahme beenden", pause: "Anhalten", resume: "Fortsetzen", busy: "einen Moment …",
    inbound: "ein", outbound: "aus", internal: "intern", from: "Von", to: "An", agent: "Agent", state: "Zustand",
    trying: "im Aufbau", ringing: "klingelt", answered: "im Gespräch", ended: "beendet", anyState: "alle",
    started: "Beginn", length: "Dauer", recorded: "aufgenommen", notRecorded: "nicht aufgenommen",
    older: "Ältere Anrufe", search: "Suchen", noCalls: "Keine Anrufe gefunden", intervals: "Aufgenommen", who: "durch",
    means: "mittels", until: "bis", announcement: "Ansage", audio: "Aufnahme", waveform: "Wellenform",
    carrier: "Leitung", agentLeg: "Agent", play: "Ton laden", skip: "Stille überspringen", download: "Herunterladen",
    manifest: "Manifest", verify: "Offline prüfen", ladder: "SIP-Nachrichten", showLadder: "Zeigen",
    redact: "Versehentlich Aufgenommenes verstummen lassen",
    redactHelp: "Ersetzt es für immer durch Stille, in der Aufnahme und allen Kopien. Die Kette hält fest, dass es geschah.",
    lastSeconds: "die letzten … Sekunden", reason: "Grund", doRedact: "Verstummen lassen", redacted: "Es ist nun still",
    result: "Ergebnis", policy: "Regel", trunk: "Leitung", direction: "Richtung", endedBy: "Beendet von", back: "Zurück",
    complete: "vollständig", degraded: "lückenhaft", recovered: "wiederhergestellt", failed: "misslungen",
    none: "keine", deleted: "gelöscht", api: "API", dtmf: "Tastencode", sip: "SIP", call_end: "Gesprächsende",
    recovery: "Wiederherstellung", limit: "Grenze", dashboard: "Oberfläche", ng: "ng", now: "jetzt", of: "von",
    gone: "Diese Seite gibt es nicht.",
  },
};

const language = navigator.language.startsWith("de") ? "de" : "en";
document.documentElement.lang = language;

/** The text of that name, or the name itself: a new word of the server's is better than none. */
export function t(name) {
  return TEXTS[language][name] ?? String(name);
}

export function clock(ms) {
  const seconds = Math.max(Math.floor(ms / 1000), 0);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = String(seconds % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A time of the server's (UTC) in the viewer's zone. */
export function when(time) {
  return new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" }).format(new Date(time));
}
