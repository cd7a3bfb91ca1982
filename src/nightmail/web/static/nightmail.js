// Keeps a page as it is now: an element with `data-live` names the stream of its page's parts. Each message
// brings the parts that have changed, as the server would draw them on a new load. Without this script a
// page says the same when it is loaded again.
"use strict";

const live = document.querySelector("[data-live]");

function put(id, html) {
  const old = document.getElementById(id);
  if (old === null) return;
  const made = document.createElement("template");
  made.innerHTML = html;
  const now = made.content.querySelector("#" + CSS.escape(id));
  if (now === null) return;
  // What somebody has opened, typed or is standing on stays so.
  for (const details of old.querySelectorAll("details[id][open]")) {
    now.querySelector("#" + CSS.escape(details.id))?.setAttribute("open", "");
  }
  for (const field of old.querySelectorAll("input[id], select[id], textarea[id]")) {
    const same = now.querySelector("#" + CSS.escape(field.id));
    if (same !== null) same.value = field.value;
  }
  const scrolled = [...old.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(now);
  now.querySelectorAll(".scroll").forEach((each, n) => { each.scrollLeft = scrolled[n] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function follow(stream) {
  let source = null;
  const open = () => {
    if (source !== null) return;
    source = new EventSource(stream);
    source.addEventListener("parts", (event) => {
      for (const [id, html] of Object.entries(JSON.parse(event.data))) put(id, html);
    });
    source.addEventListener("end", () => { close(); over = true; });
  };
  const close = () => { source?.close(); source = null; };
  let over = false;
  // Nobody looks at a hidden page, and a browser has few connections to one server.
  const look = () => { if (document.hidden) close(); else if (!over) open(); };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", look);
  look();
}

// Where the places do not fit side by side, the one that is open is in sight.
document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

if (live !== null) follow(live.dataset.live);
