// Sign-in, the head of the page, and which page is shown (`#/live`, `#/log`, `#/call/ID`).

import { callPage } from "./call.js";
import { h, say, show } from "./dom.js";
import { livePage } from "./live.js";
import { logPage } from "./log.js";
import { session } from "./session.js";
import { t } from "./texts.js";

const top = document.getElementById("top");
const page = document.getElementById("page");
const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
const connection = h("span", { class: "connection" });
let leave = () => {};

function failed(text, good = false) {
  trouble.textContent = text;
  trouble.classList.toggle("good", good);
  trouble.hidden = false;
}

function head() {
  const at = location.hash.split("/")[1] || "live";
  const link = (name) => h("a", { href: `#/${name}`, "aria-current": at === name ? "page" : null }, t(name));
  show(top, h("strong", { class: "brand" }, "mediaproxy"), h("nav", {}, link("live"), link("log")), connection,
    h("span", { class: "who" }, session.me.name),
    h("button", { type: "button", id: "sign-out", onclick: () => { session.signOut(); route(); } }, t("signOut")), trouble);
}

function route() {
  leave();
  leave = () => {};
  trouble.hidden = true;
  connection.textContent = "";
  connection.removeAttribute("data-state");
  if (session.me === null) return signIn();
  head();
  const [, name = "live", id] = location.hash.split("/");
  const tools = { failed, connection: (state) => { connection.textContent = t(state); connection.dataset.state = state; say(t(state)); } };
  if (name === "call" && id) leave = callPage(page, id, tools);
  else if (name === "log") leave = logPage(page, tools);
  else if (name === "live" || name === "") leave = livePage(page, tools);
  else show(page, h("p", { class: "empty" }, t("gone")));
}

function signIn() {
  show(top, h("strong", { class: "brand" }, "mediaproxy"), trouble);
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, autofocus: true });
  show(page, h("form", { class: "sign-in", onsubmit: (event) => { event.preventDefault(); begin(token.value); } },
    h("h1", {}, t("signIn")), h("label", { for: "token" }, t("token")), token, h("p", { class: "faint" }, t("tokenHelp")),
    h("button", { class: "primary" }, t("signIn"))));
  token.focus();
}

async function begin(token) {
  try {
    await session.signIn(token);
    route();
  } catch (error) {
    route();
    failed(error.message);
  }
}

/** A link may bring its token along (`#/sign-in/TOKEN`): it does not stay in the address. */
async function start() {
  const [, name, given] = location.hash.split("/");
  if (name === "sign-in") {
    history.replaceState(null, "", "#/live");
    if (given) return begin(decodeURIComponent(given));
  }
  return session.token ? begin(session.token) : route();
}

window.addEventListener("hashchange", () => (location.hash.startsWith("#/sign-in") ? start() : route()));
start();
