// The event stream: what happens to calls, and whether we still hear of it.

import { session } from "./session.js";

const AGAIN_MS = [250, 500, 1000, 2000, 5000];

/** `heard(event)` for each event, `state("connected" | "lost")` at each change; a function that ends it. */
export function listen(heard, state) {
  let socket = null, since = null, failures = 0, timer = null, ended = false;

  function open() {
    const where = new URL("/v1/events", location.href);
    where.protocol = where.protocol.replace("http", "ws");
    if (since) where.searchParams.set("since", since);
    socket = new WebSocket(where, ["bearer", session.token]);
    socket.onopen = () => { failures = 0; state("connected"); };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      since = event.id ?? since;
      heard(event);
    };
    socket.onclose = () => {
      if (ended) return;
      state("lost");
      timer = setTimeout(open, AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]);
    };
  }

  open();
  return () => { ended = true; clearTimeout(timer); socket?.close(); };
}
