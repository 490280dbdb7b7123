// The terminal of a workspace. The agent keeps the terminal and its screen;
// this page is one viewer of it. Which terminal it is stands in the address
// (?reconnect=), so that a reload comes back to it. When the connection breaks
// the page comes back by itself, and the agent sends the whole screen anew.

const agent = document.body.dataset.agent;
const name = document.body.dataset.name;
const api = `/api/v2/workspaceagents/${agent}`;

// Waits between two tries to come back, in milliseconds: a server restarts
// within a second, a laptop may sleep for days.
const firstWait = 250;
const lastWait = 5000;

const $ = (id) => document.getElementById(id);
const address = () => new URL(location.href);

const term = new Terminal({
  allowProposedApi: true, // for the width tables
  scrollback: 10000, // lines, as many as the agent keeps
  fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace",
  fontSize: 14,
  macOptionIsMeta: true,
  theme: { background: "#101418", foreground: "#e6e9ec", cursor: "#e6e9ec", selectionBackground: "#3f82e066" },
});
const fit = new FitAddon.FitAddon();
term.loadAddon(fit);
// The agent counts widths as these tables do: without them lines shift.
term.loadAddon(new Unicode11Addon.Unicode11Addon());
term.unicode.activeVersion = "11";
term.loadAddon(new WebLinksAddon.WebLinksAddon((_event, uri) => {
  if (/^https?:/i.test(uri)) window.open(uri, "_blank", "noopener,noreferrer");
}));
term.open($("terminal"));
fit.fit();

globalThis.terminal = term; // for the console of the browser, and for tests

let socket = null; // the connection, once begun
let current = ""; // the id of the terminal
let command = "";
let seen = false; // its screen has been shown here: should it be gone, no new one is wanted
let retry = { wait: firstWait, timer: 0 };

// send tells the agent something, if it can hear.
function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(new TextEncoder().encode(JSON.stringify(message)));
}

const tellSize = () => send({ height: term.rows, width: term.cols });

term.onData((data) => {
  if (socket?.readyState === WebSocket.OPEN) send({ data });
  else if (retry.timer) connect(); // whoever types does not want to wait
});
term.onBinary((data) => send({ data }));
term.onResize(tellSize);
term.onTitleChange((title) => { document.title = title ? `${title} · ${name}` : `${name} · Berth`; });
new ResizeObserver(() => fit.fit()).observe($("terminal"));
window.addEventListener("online", () => { if (retry.timer) connect(); });

// Copying with Ctrl+Shift+C and pasting with Ctrl+Shift+V, as in the terminals
// of desktops; everything else goes to the program.
term.attachCustomKeyEventHandler((event) => {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
  if (event.code === "KeyC" && term.hasSelection()) {
    event.preventDefault();
    navigator.clipboard?.writeText(term.getSelection());
    return false;
  }
  return event.code !== "KeyV"; // the browser pastes
});

// open shows a terminal: one that runs, or a new one of that id.
function open(id, run = "") {
  current = id;
  command = run;
  seen = false;
  const url = address();
  url.searchParams.set("reconnect", id);
  if (run) url.searchParams.set("command", run);
  else url.searchParams.delete("command");
  history.replaceState(null, "", url);
  $("list").hidden = false;
  connect();
}

function connect() {
  clearTimeout(retry.timer);
  retry.timer = 0;
  if (socket) socket.onclose = socket.onmessage = null;
  socket?.close();
  const url = new URL(`${api}/pty`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ reconnect: current, height: term.rows, width: term.cols, ...(command && { command }), ...(seen && { existing: true }) });
  say("connecting…");
  const mine = socket = new WebSocket(url);
  mine.binaryType = "arraybuffer";
  mine.onopen = tellSize;
  let first = true;
  mine.onmessage = ({ data }) => {
    if (first) shown();
    first = false;
    term.write(typeof data === "string" ? data : new Uint8Array(data));
  };
  mine.onclose = (event) => closed(event);
}

// afresh ends what a broken connection may have cut in two, and resets the
// terminal, scrollback and all: the screen that comes has its own.
const afresh = "\x1b\\\x1bc";

// shown is called when the first bytes of a screen have come.
function shown() {
  term.write(afresh);
  seen = true;
  retry.wait = 0;
  say("connected");
  hide();
  term.focus();
}

// closed decides whether to come back: not when the program has ended.
async function closed(event) {
  socket = null;
  if (event.code === 1000 && !(await runs(current))) return ended();
  retry.wait = Math.min(Math.max(2 * retry.wait, firstWait), lastWait);
  say("disconnected");
  if (retry.wait > 2 * firstWait) {
    overlay("Disconnected", `${event.reason || "The connection broke."} The terminal goes on; this page comes back to it by itself.`, [
      ["Try now", connect, true],
    ]);
  }
  retry.timer = setTimeout(connect, retry.wait * (0.5 + Math.random()));
}

function ended() {
  say("ended");
  overlay("The terminal has ended", "", [["New terminal", () => open(newID()), true], ["Other terminals", choose]]);
}

// randomUUID exists on secure pages only.
function newID() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// terminals asks for those that run; null when that is not known.
async function terminals() {
  try {
    const answer = await fetch(`${api}/terminals`, { signal: AbortSignal.timeout(10000) });
    if (answer.status === 401) return location.assign(`/login?redirect=${encodeURIComponent(location.pathname + location.search)}`);
    if (!answer.ok) return null;
    return (await answer.json()).terminals.filter((t) => !t.ended);
  } catch {
    return null;
  }
}

async function runs(id) {
  const all = await terminals();
  return all === null || all.some((t) => t.id === id);
}

// choose offers the terminals of the workspace.
async function choose() {
  const all = (await terminals()) ?? [];
  if (all.length === 0 && !current) return open(newID());
  overlay("Terminals of this workspace", "", [
    ["New terminal", () => open(newID()), true],
    ...(socket ? [["Back", () => { hide(); term.focus(); }]] : []),
  ], all.filter((t) => t.id !== current || !socket).map((t) => [t.title || t.command || "shell", `${viewers(t.viewers)} · since ${new Date(t.created).toLocaleString()}`, () => open(t.id)]));
}

const viewers = (n) => n === 0 ? "nobody looks" : n === 1 ? "1 viewer" : `${n} viewers`;

$("list").addEventListener("click", choose);

// overlay covers the terminal. Actions are [label, what, main]; choices are
// [label, note, what]. All of it is shown as text.
function overlay(title, text, actions, choices = []) {
  $("overlay-title").textContent = title;
  $("overlay-text").textContent = text;
  $("overlay-text").hidden = !text;
  $("actions").replaceChildren(...actions.map(([label, what, main]) => button([label], what, main)));
  $("choices").replaceChildren(...choices.map(([label, note, what]) => {
    const small = document.createElement("small");
    small.textContent = note;
    const item = document.createElement("li");
    item.append(button([label, small], what));
    return item;
  }));
  $("overlay").hidden = false;
  $("actions").querySelector("button.main")?.focus();
}

function button(content, what, main) {
  const b = document.createElement("button");
  b.type = "button";
  b.append(...content);
  if (main) b.className = "main";
  b.addEventListener("click", () => { hide(); what(); });
  return b;
}

function hide() { $("overlay").hidden = true; }

function say(state) {
  $("state").textContent = state;
  document.body.dataset.state = state;
}

// watchStart tells of start scripts until they have ended.
async function watchStart() {
  let life = "";
  try {
    life = (await (await fetch(api)).json()).lifecycle_state;
  } catch { /* asked again below */ }
  const words = {
    created: "The agent is starting.",
    starting: "Start scripts are still running: what they set up may be missing.",
    start_error: "A start script failed: what it sets up may be missing.",
    start_timeout: "A start script takes longer than it may.",
    shutting_down: "The workspace is stopping.",
  };
  $("banner").textContent = words[life] ?? "";
  $("banner").hidden = !words[life];
  if (["", "created", "starting"].includes(life)) setTimeout(watchStart, 3000);
}

// started waits for start scripts that a template wants logins to wait for, as
// long as the user does.
async function started() {
  let skipped = false;
  for (let shown = false; !skipped; shown = true) {
    let now;
    try {
      now = await (await fetch(api, { signal: AbortSignal.timeout(10000) })).json();
    } catch {
      return;
    }
    if (now.startup_script_behavior !== "blocking" || !["created", "starting"].includes(now.lifecycle_state)) break;
    const names = now.scripts.filter((s) => s.run_on_start && s.start_blocks_login).map((s) => s.display_name);
    if (!shown) {
      say("waiting");
      overlay("Start scripts are still running", names.join(", "), [["Go on without them", () => { skipped = true; }, true]]);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  hide();
}

watchStart();
await started();
const asked = address().searchParams;
const id = asked.get("reconnect");
const run = asked.get("command") ?? "";
if (id && !run) {
  open(id);
} else if (!run) {
  choose();
} else {
  // A link from anywhere may name a command: nothing runs unasked, unless it
  // runs already.
  const all = (id && (await terminals())) || [];
  if (all.some((t) => t.id === id)) open(id, run);
  else overlay("Run this command?", run, [["Run", () => open(id ?? newID(), run), true], ["Open a shell", () => open(newID())]]);
}
