/** An EventSource that keeps trying: the browser reconnects by itself, and if it stops, `subscribe` opens a new stream. */

const MAX_DELAY = 30_000; // milliseconds

/**
 * Subscribe to the events `kinds` of the stream at `path`, and return a function that ends the subscription.
 * `onEvent(kind, data)`; `onStatus("connecting" | "live" | "reconnecting" | "polling")`; `onRefused()` is called each time the server
 * refuses the stream, so that the caller can poll instead. A hidden tab closes its stream, because browsers allow six
 * connections per host; when it is visible again, it resumes after the last event.
 */
export function subscribe(path, kinds, { onEvent, onStatus = () => {}, onRefused = () => {} }) {
  const closed = new AbortController();
  let source, timer, lastEventId = "", delay = 1000;

  function open() {
    pause();
    if (document.hidden) return;
    onStatus("connecting");
    source = new EventSource(lastEventId ? `${path}?last_event_id=${lastEventId}` : path);
    source.onopen = () => ((delay = 1000), onStatus("live"));
    source.onerror = () => (source.readyState === EventSource.CLOSED ? reopenLater() : onStatus("reconnecting"));
    for (const kind of kinds) source.addEventListener(kind, (event) => receive(kind, event));
  }

  function receive(kind, event) {
    lastEventId = event.lastEventId || lastEventId;
    onEvent(kind, JSON.parse(event.data));
  }

  function reopenLater() {
    timer = setTimeout(open, delay);
    delay = Math.min(MAX_DELAY, delay * 2);
    onStatus("polling");
    onRefused();
  }

  /** Close the stream until the next open(). */
  function pause() {
    clearTimeout(timer);
    source?.close();
  }

  function close() {
    closed.abort();
    pause();
  }

  document.addEventListener("visibilitychange", open, closed);
  addEventListener("pagehide", pause, closed);
  addEventListener("pageshow", (event) => event.persisted && open(), closed); // restored from the back/forward cache
  open();
  return close;
}

export const STATUS_TEXTS = {
  connecting: "",
  live: "",
  reconnecting: "Connection lost. Reconnecting…",
  polling: "Live updates are unavailable. Refreshing periodically.",
};
