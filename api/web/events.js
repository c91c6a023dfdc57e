/** One EventSource that does not give up: the browser reconnects by itself, and where it stops, we begin anew. */

const LONGEST = 30_000;

/**
 * Hear the events `kinds` of a stream. `hear(kind, data)`; `status("live" | "reconnecting" | "polling")`;
 * `meanwhile()` is called each time the stream is refused, to look by other means. The answer ends it all.
 * A hidden tab has no stream, for a browser has six connections to a host in all; seen again, it hears what it missed.
 */
export function follow(path, kinds, { hear, status = () => {}, meanwhile = () => {} }) {
  const over = new AbortController();
  let source, timer, last = "", wait = 1000;

  function open() {
    rest();
    if (document.hidden) return;
    source = new EventSource(last ? `${path}?last_event_id=${last}` : path);
    source.onopen = () => ((wait = 1000), status("live"));
    source.onerror = () => (source.readyState === EventSource.CLOSED ? later() : status("reconnecting"));
    for (const kind of kinds) source.addEventListener(kind, (event) => heard(kind, event));
  }

  function heard(kind, event) {
    last = event.lastEventId || last;
    hear(kind, JSON.parse(event.data));
  }

  function later() {
    timer = setTimeout(open, wait);
    wait = Math.min(LONGEST, wait * 2);
    status("polling");
    meanwhile();
  }

  /** No stream and none to come, until the next open(). */
  function rest() {
    clearTimeout(timer);
    source?.close();
  }

  function close() {
    over.abort();
    rest();
  }

  document.addEventListener("visibilitychange", open, over);
  addEventListener("pagehide", rest, over);
  addEventListener("pageshow", (event) => event.persisted && open(), over); // back from the browser's cache
  open();
  return close;
}

export const WORDS = {
  live: "",
  reconnecting: "The service does not answer; reconnecting …",
  polling: "Live updates are not to be had at the moment; looking now and then.",
};
