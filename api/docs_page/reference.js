"use strict";
// Draws /openapi.json. Text goes in as text, never as HTML; the token stays in this page's memory.

let description, token = "";

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const pretty = (value) => JSON.stringify(value, null, 2);

// A description's words, with what stands between backticks as code.
const worded = (text) => (text || "").replace(/\s+/g, " ").split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
const paragraphs = (text) => (text || "").split(/\n\s*\n/).map((part) => make("p", {}, ...worded(part)));

function resolved(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return resolved(schema.$ref.replace("#/", "").split("/").reduce((at, part) => at[part], description));
}

function kind(schema) {
  if (schema && schema.$ref) return (resolved(schema).enum || [schema.$ref.split("/").pop()]).join(" | ");
  const several = schema.anyOf || schema.oneOf;
  if (several) return several.map(kind).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items || {})}`;
  return schema.enum ? schema.enum.join(" | ") : schema.format || schema.type || "any";
}

function fields(schema) {
  const whole = resolved(schema), rows = Object.entries(whole.properties || {});
  if (!rows.length) return null;
  const required = new Set(whole.required || []);
  return make("table", {}, make("tbody", {}, ...rows.map(([name, part]) => make("tr", {},
    make("td", {}, make("code", {}, name), required.has(name) ? "" : " (optional)"),
    make("td", {}, kind(part)),
    make("td", {}, ...worded(part.description || resolved(part).description))))));
}

function content(title, body) {
  const found = Object.entries((body && body.content) || {});
  return found.map(([type, each]) => make("section", {},
    make("h4", {}, `${title} · ${type}`), fields(each.schema),
    each.example === undefined ? null : make("pre", {}, typeof each.example === "string" ? each.example : pretty(each.example))));
}

function attempt(path, method, operation) {
  const inputs = (operation.parameters || []).map((each) => [each, make("input", { "aria-label": each.name, placeholder: each.name })]);
  const json = operation.requestBody && operation.requestBody.content["application/json"];
  const body = json ? make("textarea", { "aria-label": "body" }) : null;
  if (body) body.value = pretty(json.example);
  const answer = make("pre", {}, "");
  async function send(event) {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams(), headers = token ? { Authorization: `Bearer ${token}` } : {};
    for (const [each, input] of inputs) {
      if (each.in === "path") url = url.replace(`{${each.name}}`, encodeURIComponent(input.value));
      else if (input.value && each.in === "query") query.append(each.name, input.value);
      else if (input.value && each.in === "header") headers[each.name] = input.value;
    }
    if (body) headers["Content-Type"] = "application/json";
    if (query.size) url += `?${query}`;
    try {
      const got = await fetch(url, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
      const text = await got.text();
      let shown = text;
      try { shown = pretty(JSON.parse(text)); } catch { /* not JSON: as it came */ }
      answer.textContent = `${got.status} ${got.headers.get("content-type") || ""}\n${shown}`;
    } catch (error) { answer.textContent = String(error); }
  }
  return make("form", { onsubmit: send, autocomplete: "off" }, make("h4", {}, "Try it"),
    ...inputs.map(([each, input]) => make("label", {}, `${each.name} `, input, " ")), body, make("button", {}, "Send"), answer);
}

function drawn(path, method, operation) {
  const parameters = (operation.parameters || []).map((each) => make("tr", {},
    make("td", {}, make("code", {}, each.name), each.required ? "" : " (optional)"), make("td", {}, each.in),
    make("td", {}, kind(each.schema || {})), make("td", {}, ...worded(each.description))));
  const inside = make("div", {});
  const node = make("details", { class: "operation", id: operation.operationId },
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("span", { class: "path" }, path),
      make("span", { class: "brief" }, operation.summary || "")), inside);
  node.addEventListener("toggle", () => {
    if (!node.open || inside.childElementCount) return; // drawn when it is first opened: hundreds of tables at once are slow
    inside.append(...paragraphs(operation.description));
    if (parameters.length) inside.append(make("table", {}, make("tbody", {}, ...parameters)));
    inside.append(...content("Body", operation.requestBody));
    for (const [status, answer] of Object.entries(operation.responses)) {
      if (status < "300") inside.append(...content(`Answer ${status}`, answer));
    }
    const errors = Object.entries(operation.responses).filter(([status]) => status >= "300");
    inside.append(make("table", {}, make("tbody", {}, ...errors.map(([status, each]) => make("tr", {},
      make("td", {}, status), make("td", {}, ...worded(each.description)))))), attempt(path, method, operation));
  });
  return node;
}

function draw() {
  const groups = new Map();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const group = (operation.tags || ["other"])[0];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([path, method, operation]);
    }
  }
  const contents = document.getElementById("contents"), operations = document.getElementById("operations");
  operations.replaceChildren(...paragraphs(description.info.description),
    make("p", {}, make("a", { href: "/openapi.json" }, "/openapi.json")));
  for (const [group, found] of groups) {
    contents.append(make("strong", {}, group));
    operations.append(make("h2", {}, group));
    for (const [path, method, operation] of found) {
      contents.append(make("a", { href: `#${operation.operationId}` }, operation.summary || path));
      operations.append(drawn(path, method, operation));
    }
  }
  function open() {
    const wanted = document.getElementById(location.hash.slice(1));
    if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
  }
  addEventListener("hashchange", open);
  open();
}

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const who = document.getElementById("who"), name = document.getElementById("name"), password = document.getElementById("password");
  const got = await fetch("/api/v1/auth/login", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: name.value, password: password.value }),
  });
  const answer = await got.json();
  password.value = "";
  token = got.ok ? answer.access_token : "";
  who.textContent = got.ok ? `${name.value}, until ${answer.expires_at}` : answer.detail;
});

fetch("/openapi.json").then((got) => got.json()).then((found) => { description = found; draw(); }).catch((error) => {
  document.getElementById("operations").textContent = `The description could not be read: ${error}`;
});
