"use strict";

// Lists what services.json describes, makes a form from a message's type, and calls over Connect with JSON.
// Texts of services and peers go into the page as text only: nothing here makes markup of them.

const byId = (id) => document.getElementById(id);
const state = { schema: null, service: null, method: null, queued: [], controller: null, tab: "curl" };
const NUMBERS = new Set(["int32", "uint32", "sint32", "fixed32", "sfixed32", "double", "float"]);
const LONG = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);
const MAX_ANSWERS = 1000;

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// The list of methods.

function showServices() {
  const wanted = byId("filter").value.toLowerCase();
  const list = byId("services");
  list.replaceChildren();
  for (const service of state.schema.services) {
    const methods = service.methods.filter((m) => m.path.toLowerCase().includes(wanted));
    if (!methods.length) continue;
    list.append(make("h2", {}, service.name));
    if (service.comment) list.append(make("p", {}, service.comment));
    const items = make("ul");
    for (const method of methods) {
      const current = method === state.method ? "true" : "false";
      const open = make("button", { type: "button", "aria-current": current, "data-path": method.path,
        onclick: () => { location.hash = method.path; } }, method.name);
      items.append(make("li", {}, open));
    }
    list.append(items);
  }
  if (!list.childElementCount) list.append(make("p", {}, "No method matches."));
}

function openFromHash() {
  const path = decodeURIComponent(location.hash.slice(1));
  for (const service of state.schema.services) {
    const method = service.methods.find((m) => m.path === path);
    if (method) { openMethod(service, method); return; }
  }
}

function openMethod(service, method) {
  cancel();
  Object.assign(state, { service, method, queued: [] });
  byId("welcome").hidden = true;
  byId("method").hidden = false;
  byId("title").textContent = `${service.name}/${method.name}`;
  const stream = (streams, name) => (streams ? "stream " : "") + name;
  byId("signature").textContent =
    `${stream(method.client_streaming, method.input)} → ${stream(method.server_streaming, method.output)}`
    + (method.safe ? ", no side effects" : "");
  byId("comment").textContent = method.comment;
  byId("streaming").hidden = !method.client_streaming;
  byId("form").replaceChildren();
  state.root = messageEditor(method.input, byId("form"), 0);
  byId("answers").replaceChildren();
  byId("headers").textContent = "";
  setStatus("Not called yet.", "");
  fromForm();
  showQueued();
  showServices();
  byId("main").focus();
}

// The form: each editor puts its controls into a place and has value(), undefined for what is left out.

function messageEditor(type, place, depth) {
  const fields = state.schema.messages[type] || [];
  const editors = [];
  const oneofs = new Map();
  for (const field of fields) {
    if (field.oneof) {
      if (!oneofs.has(field.oneof)) {
        oneofs.set(field.oneof, []);
        editors.push(oneofEditor(field.oneof, fields.filter((f) => f.oneof === field.oneof), place, depth));
      }
    } else {
      editors.push({ field, editor: fieldEditor(field, place, depth) });
    }
  }
  if (!fields.length) place.append(make("p", { class: "hint" }, "This message has no fields."));
  return { value() {
    const result = {};
    for (const one of editors) {
      const [name, value] = one.pair ? one.pair() : [one.field.json, one.editor.value()];
      if (value !== undefined) result[name] = value;
    }
    return result;
  } };
}

let lastId = 0;
const freshId = () => `f${++lastId}`;

function labelled(text, control, place) {
  if (!control.id) control.id = freshId();
  place.append(make("label", { for: control.id }, text), control);
  return control;
}

function oneofEditor(name, fields, place, depth) {
  const inner = make("div");
  const choice = make("select", { onchange: () => { choose(); fromForm(); } }, make("option", { value: "" }, "none"),
    ...fields.map((field) => make("option", { value: field.name }, field.name)));
  const box = make("fieldset", {}, make("legend", {}, `one of ${name}`), choice, inner);
  choice.setAttribute("aria-label", `one of ${name}`);
  place.append(box);
  let field = null;
  let editor = null;
  function choose() {
    inner.replaceChildren();
    field = fields.find((f) => f.name === choice.value) || null;
    editor = field && fieldEditor(field, inner, depth, true);
  }
  return { pair: () => (field ? [field.json, editor.value() ?? zero(field)] : [name, undefined]) };
}

function zero(field) {
  if (field.kind === "message") return {};
  if (field.kind === "bool") return false;
  if (NUMBERS.has(field.kind)) return 0;
  return LONG.has(field.kind) ? "0" : field.kind === "enum" ? state.schema.enums[field.type][0] : "";
}

function fieldEditor(field, place, depth, chosen = false) {
  if (field.map) return listEditor(field, place, depth, true);
  if (field.repeated) return listEditor(field, place, depth, false);
  if (field.kind === "message") return nestedEditor(field, place, depth, chosen);
  return scalarEditor(field, (control) => labelled(`${field.name} (${kindName(field)})`, control, place));
}

const kindName = (field) => field.type && field.kind !== "json" ? field.type.split(".").pop() : field.kind;

function scalarEditor(field, add) {
  const changed = { oninput: fromForm, onchange: fromForm };
  if (field.kind === "bool") {
    const control = add(make("select", changed, ...["", "true", "false"].map((v) => make("option", { value: v }, v))));
    return { value: () => (control.value ? control.value === "true" : undefined) };
  }
  if (field.kind === "enum") {
    const names = ["", ...state.schema.enums[field.type]];
    const control = add(make("select", changed, ...names.map((v) => make("option", { value: v }, v))));
    return { value: () => control.value || undefined };
  }
  if (field.kind === "json") {
    const control = add(make("textarea", { ...changed, rows: 2, placeholder: "JSON", spellcheck: "false" }));
    return { value() {
      if (!control.value.trim()) return undefined;
      try { return JSON.parse(control.value); } catch { return control.value; }
    } };
  }
  const hints = { bytes: "base64", timestamp: "2026-01-31T12:00:00Z", duration: "1.5s", fieldmask: "a,b.c" };
  const control = add(make("input", { ...changed, type: "text", autocomplete: "off",
    inputmode: NUMBERS.has(field.kind) || LONG.has(field.kind) ? "decimal" : undefined, placeholder: hints[field.kind] }));
  return { value() {
    if (control.value === "") return undefined;
    return NUMBERS.has(field.kind) && Number.isFinite(Number(control.value)) ? Number(control.value) : control.value;
  } };
}

// Messages may hold themselves, so what is inside is made when somebody asks for it.
function nestedEditor(field, place, depth, chosen) {
  const box = make("fieldset", {}, make("legend", {}, `${field.name} (${kindName(field)})`));
  const toggle = make("button", { type: "button" }, "Set");
  const inner = make("div");
  let editor = null;
  const set = (on) => {
    inner.replaceChildren();
    editor = on ? messageEditor(field.type, inner, depth + 1) : null;
    toggle.textContent = on ? "Leave out" : "Set";
    toggle.setAttribute("aria-label", `${toggle.textContent}: ${field.name}`);
  };
  toggle.addEventListener("click", () => { set(!editor); fromForm(); });
  if (!chosen) box.append(toggle);
  box.append(inner);
  place.append(box);
  set(chosen);
  return { value: () => (editor ? editor.value() : undefined) };
}

function listEditor(field, place, depth, isMap) {
  const items = [];
  const rows = make("div");
  const one = { ...field, repeated: false, map: undefined };
  const add = make("button", { type: "button", "aria-label": `Add to ${field.name}` }, "Add");
  place.append(make("fieldset", {},
    make("legend", {}, `${field.name} (${isMap ? `map of ${field.map} to ${kindName(field)}` : `list of ${kindName(field)}`})`), rows, add));
  add.addEventListener("click", () => {
    const cell = make("div");
    const item = {};
    if (isMap) item.key = scalarEditor({ kind: field.map === "bool" ? "string" : field.map },
      (control) => { control.setAttribute("aria-label", "key"); control.placeholder = "key"; cell.append(control); return control; });
    item.editor = one.kind === "message" ? nestedEditor(one, cell, depth, true)
      : scalarEditor(one, (control) => { control.setAttribute("aria-label", field.name); cell.append(control); return control; });
    const row = make("div", { class: "row" }, cell,
      make("button", { type: "button", "aria-label": `Remove from ${field.name}`, onclick: () => {
        items.splice(items.indexOf(item), 1); row.remove(); fromForm(); add.focus();
      } }, "Remove"));
    items.push(item);
    rows.append(row);
    fromForm();
    row.querySelector("input, select, textarea, button")?.focus();
  });
  return { value() {
    if (!items.length) return undefined;
    const of = (item) => item.editor.value() ?? zero(one);
    if (!isMap) return items.map(of);
    return Object.fromEntries(items.map((item) => [String(item.key.value() ?? ""), of(item)]));
  } };
}

function fromForm() {
  if (!state.root) return;
  byId("body").value = JSON.stringify(state.root.value(), null, 2);
  byId("problem").textContent = "";
  showSnippet();
}

// Requests.

function written() {
  const text = byId("body").value.trim() || "{}";
  try {
    const value = JSON.parse(text);
    byId("problem").textContent = "";
    return value;
  } catch (error) {
    byId("problem").textContent = `This is no JSON: ${error.message}`;
    return undefined;
  }
}

function requests() {
  if (state.method.client_streaming && state.queued.length) return state.queued;
  const value = written();
  return value === undefined ? undefined : [value];
}

function showQueued() {
  byId("queued").replaceChildren(...state.queued.map((value, index) => make("li", {},
    make("div", { class: "row" }, make("pre", {}, JSON.stringify(value)),
      make("button", { type: "button", "aria-label": `Remove request ${index + 1}`, onclick: () => {
        state.queued.splice(index, 1); showQueued(); showSnippet();
      } }, "Remove")))));
}

function metadata() {
  const pairs = [];
  for (const line of byId("metadata").value.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) pairs.push([line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]);
  }
  return pairs;
}

// Calls.

function envelope(flags, text) {
  const data = new TextEncoder().encode(text);
  const framed = new Uint8Array(5 + data.length);
  framed[0] = flags;
  new DataView(framed.buffer).setUint32(1, data.length);
  framed.set(data, 5);
  return framed;
}

async function call() {
  const { method } = state;
  const messages = method && requests();
  if (!messages) return;
  cancel();
  const controller = state.controller = new AbortController();
  byId("cancel").disabled = false;
  byId("answers").replaceChildren();
  byId("headers").textContent = "";
  setStatus("Calling…", "");
  const began = performance.now();
  const took = () => `${(performance.now() - began).toFixed(0)} ms`;
  const streams = method.client_streaming || method.server_streaming;
  try {
    const headers = new Headers(metadata());
    headers.set("content-type", streams ? "application/connect+json" : "application/json");
    headers.set("connect-protocol-version", "1");
    const seconds = Number(byId("timeout").value);
    if (seconds > 0) headers.set("connect-timeout-ms", String(Math.ceil(seconds * 1000)));
    const body = streams ? new Blob(messages.map((m) => envelope(0, JSON.stringify(m)))) : JSON.stringify(messages[0]);
    const response = await fetch(method.path, { method: "POST", headers, body, signal: controller.signal,
      credentials: "omit", redirect: "error" });
    showHeaders(response);
    const error = streams && response.ok ? await readStream(response) : await readWhole(response);
    if (state.controller === controller) finish(error, took());
  } catch (error) {
    if (state.controller !== controller) return;
    const text = error.name === "AbortError" ? "canceled" : `failed: ${error.message}`;
    setStatus(`${text} after ${took()}`, "bad");
  } finally {
    if (state.controller === controller) { state.controller = null; byId("cancel").disabled = true; }
  }
}

function cancel() {
  const controller = state.controller;
  if (controller) controller.abort();
  byId("cancel").disabled = true;
}

function showHeaders(response) {
  const lines = [`${response.status} ${response.statusText}`.trim()];
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  byId("headers").textContent = lines.join("\n");
}

async function readWhole(response) {
  const text = await response.text();
  let value;
  try { value = JSON.parse(text); } catch { value = text; }
  if (response.ok) { showAnswer(value); return null; }
  return value && value.code ? value : { code: `HTTP ${response.status}`, message: String(text) };
}

async function readStream(response) {
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { code: "unknown", message: "the stream ended without a status" };
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    while (rest.length >= 5) {
      const size = new DataView(rest.buffer, rest.byteOffset).getUint32(1);
      if (rest.length < 5 + size) break;
      const message = JSON.parse(new TextDecoder().decode(rest.subarray(5, 5 + size)) || "{}");
      const flags = rest[0];
      rest = rest.slice(5 + size);
      if (!(flags & 2)) { showAnswer(message); continue; }
      for (const [name, values] of Object.entries(message.metadata || {})) {
        byId("headers").textContent += `\n${name}: ${[].concat(values).join(", ")} (trailer)`;
      }
      return message.error || null;
    }
  }
}

function showAnswer(value) {
  const list = byId("answers");
  list.append(make("li", {}, make("pre", { tabindex: "0" }, JSON.stringify(value, null, 2))));
  if (list.childElementCount > MAX_ANSWERS) {
    list.firstElementChild.remove();
    list.start += 1;
  }
}

function finish(error, took) {
  if (!error) { setStatus(`ok after ${took}`, "good"); return; }
  setStatus(`${error.code}${error.message ? `: ${error.message}` : ""} after ${took}`, "bad");
  for (const detail of error.details || []) showAnswer(detail);
}

function setStatus(text, kind) {
  byId("status").textContent = text;
  byId("status").className = kind;
}

// The same call elsewhere.

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const inPython = (text) => JSON.stringify(text);

function curl(messages) {
  const { method } = state;
  const url = `${location.origin}${method.path}`;
  if (method.client_streaming || method.server_streaming) {
    return `# curl cannot frame a stream; this can:\ncatenet rpc call ${inShell(location.origin)} ${method.path.slice(1)} `
      + inShell(messages.map((m) => JSON.stringify(m)).join(" "));
  }
  const more = metadata().map(([name, value]) => ` -H ${inShell(`${name}: ${value}`)}`).join("");
  return `curl -H 'content-type: application/json'${more} \\\n  -d ${inShell(JSON.stringify(messages[0]))} \\\n  ${inShell(url)}`;
}

function grpcurl(messages) {
  const plain = location.protocol === "http:" ? " -plaintext" : "";
  const more = metadata().map(([name, value]) => ` -H ${inShell(`${name}: ${value}`)}`).join("");
  const port = location.port || (plain ? "80" : "443");
  return `grpcurl${plain}${more} \\\n  -d ${inShell(messages.map((m) => JSON.stringify(m)).join(" "))} \\\n  `
    + `${location.hostname}:${port} ${state.method.path.slice(1)}`;
}

function python(messages) {
  const { service, method } = state;
  const name = service.name.split(".").pop();
  const client = `${name.endsWith("Service") ? name.slice(0, -7) : name}SyncClient`;
  const module = service.file.replace(/\.proto$/, "").replaceAll("-", "_").replaceAll("/", ".");
  const message = method.input.split(".").pop();
  const parsed = messages.map((m) => `Parse(${inPython(JSON.stringify(m))}, ${message}())`);
  const scheme = location.protocol === "https:" ? "tls" : "tcp";
  const options = metadata().length ? `, metadata=${JSON.stringify(metadata())}` : "";
  const argument = method.client_streaming ? `[${parsed.join(", ")}]` : parsed[0];
  const lines = [
    "from google.protobuf.json_format import Parse", "", "from catenet.rpc import SyncChannel",
    `from ${module}_pb2 import ${message}`, `from ${module}_rpc import ${client}`, "",
    `with SyncChannel(${inPython(`${scheme}://${location.host}`)}) as channel:`,
  ];
  if (method.client_streaming && method.server_streaming) {
    lines.push(`    with ${client}(channel).${method.attribute}(${options.slice(2)}) as call:`,
      `        for request in ${argument}:`, "            call.send(request)", "        call.done()",
      "        for answer in call:", "            print(answer)");
  } else if (method.server_streaming) {
    lines.push(`    for answer in ${client}(channel).${method.attribute}(${argument}${options}):`, "        print(answer)");
  } else {
    lines.push(`    print(${client}(channel).${method.attribute}(${argument}${options}))`);
  }
  return lines.join("\n");
}

function showSnippet() {
  if (!state.method) return;
  let messages = state.method.client_streaming && state.queued.length ? state.queued : null;
  if (!messages) {
    try { messages = [JSON.parse(byId("body").value.trim() || "{}")]; } catch { return; }
  }
  byId("snippet").textContent = { curl, grpcurl, python }[state.tab](messages);
}

function chooseTab(tab) {
  state.tab = tab.id.slice(4);
  for (const one of byId("tabs").children) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
  }
  byId("snippet").setAttribute("aria-labelledby", tab.id);
  showSnippet();
}

// The page.

function listen() {
  byId("filter").addEventListener("input", showServices);
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); call(); });
  byId("body").addEventListener("input", () => { written(); showSnippet(); });
  byId("metadata").addEventListener("input", showSnippet);
  byId("call").addEventListener("click", call);
  byId("cancel").addEventListener("click", cancel);
  byId("add").addEventListener("click", () => {
    const value = written();
    if (value !== undefined) { state.queued.push(value); showQueued(); showSnippet(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && state.method) { event.preventDefault(); call(); }
  });
  const tabs = [...byId("tabs").children];
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => chooseTab(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      chooseTab(next);
      next.focus();
    });
  }
  window.addEventListener("hashchange", openFromHash);
}

async function start() {
  listen();
  try {
    state.schema = await (await fetch("services.json", { credentials: "omit" })).json();
  } catch (error) {
    byId("welcome").textContent = `The list of services cannot be read: ${error.message}`;
    return;
  }
  showServices();
  openFromHash();
}

start();
