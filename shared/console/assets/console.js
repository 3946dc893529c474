// What needs a script: Copy, dialogs, rows that are added in place, and the debugger's live answer. Every page works without it.
"use strict";

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Copy takes the text beside the button.
function copyable(within) {
  for (const button of all("button.copy", within)) button.hidden = false;
  for (const button of all("[data-drop], [data-more]", within)) button.hidden = false;
}

async function copy(button) {
  const field = button.parentElement.querySelector("input, textarea");
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    field.select(); // without the right to the clipboard, the text stands ready for the keyboard
    document.execCommand("copy");
  }
  const word = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = word; }, 1200);
}

// A row of a list gets the number behind the last one.
function addRow(button) {
  const body = document.querySelector(`[data-rows="${CSS.escape(button.dataset.more)}"]`);
  const last = body.lastElementChild, next = last.cloneNode(true), number = body.children.length;
  const from = `${body.dataset.rows}.${number - 1}.`, to = `${body.dataset.rows}.${number}.`;
  for (const field of all("input, select, textarea", next)) {
    field.name = to + field.name.slice(from.length);
    field.id = field.id + "-" + number;
    if (field.type === "hidden") field.remove();
    else if (field.tagName === "SELECT") field.selectedIndex = 0;
    else field.value = "";
    const label = field.closest("td")?.querySelector("label");
    if (label) label.htmlFor = field.id;
  }
  body.append(next);
  next.querySelector("input, select, textarea").focus();
}

function addPair(button) {
  const name = button.dataset.add;
  const list = document.querySelector(`[data-pairs="${name}"]`);
  list.append(document.querySelector(`template[data-pair="${name}"]`).content.cloneNode(true));
  copyable(list);
  list.lastElementChild.querySelector("input").focus();
}

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  if (on("button.copy")) copy(on("button.copy"));
  else if (on("[data-more]")) addRow(on("[data-more]"));
  else if (on("[data-drop]")) on(".pair").remove();
  else if (on("[data-add]")) { event.preventDefault(); addPair(on("[data-add]")); }
  else if (on("[data-close]")) on("dialog").close();
  else if (on("[data-dialog]")) { event.preventDefault(); document.getElementById(on("[data-dialog]").dataset.dialog).showModal(); }
  else if (on("[data-confirm]") && !window.confirm(on("[data-confirm]").dataset.confirm)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const filter = document.getElementById("filter");
    if (filter) { event.preventDefault(); filter.focus(); filter.select(); }
  }
});

// The debugger: lines of JSON, each one thing that happened.
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};

function showDecision(at, told) {
  at.replaceChildren();
  const decision = told.explained;
  if (!decision) { at.append(element("p", told.not_told, "muted")); return; }
  const head = element("p");
  head.append(element("span", decision.outcome, "badge " + (decision.outcome === "allowed" ? "on" : "off")), " ", element("strong", decision.message));
  const steps = element("ol", "", "steps");
  for (const step of decision.steps ?? []) {
    const line = element("li", "", step.decides ? "decides" : "");
    line.append(element("b", step.step), " ", element("bdi", step.fact));
    steps.append(line);
  }
  at.append(head, steps);
  if (decision.remedy) at.append(element("p", decision.remedy, "note"));
}

function showWarning(form, told) {
  const at = form.querySelector("[data-warning]");
  at.replaceChildren();
  if (told.wrong) at.append(element("p", told.wrong, "note bad"));
  if (!told.warning) return;
  const label = element("label", "", "check"), box = element("input");
  box.type = "checkbox"; box.name = "anyway"; box.value = "yes";
  label.append(box, " ", element("span", "Send it anyway"));
  at.append(element("p", told.warning, "note warn"), label);
}

function showTold(form, result, told) {
  const part = (name) => result.querySelector(`[data-${name}]`);
  if (told.wrong || told.warning) { showWarning(form, told); return; }
  result.hidden = false;
  if (told.explained || told.not_told) showDecision(part("decision"), told);
  if (told.status) {
    part("status").replaceChildren(element("span", `${told.status} ${told.words ?? ""}`, "badge " + (told.status < 400 ? "on" : "off")));
    for (const header of told.headers ?? []) part("headers").append(element("dt", header.Name), element("dd", header.Value));
  }
  if (told.text) { part("body").append(told.text); part("body").scrollTop = part("body").scrollHeight; }
  if (told.cut) part("cut").replaceChildren(element("span", told.cut, "note bad"));
  if (told.done) part("took").textContent = `${told.took_ms ?? 0} ms`;
}

async function send(form) {
  const result = document.querySelector("[data-result]"), button = form.querySelector(".submit button");
  const body = new URLSearchParams(new FormData(form));
  for (const name of ["decision", "status", "took", "body", "cut", "headers"]) result.querySelector(`[data-${name}]`).replaceChildren();
  form.querySelector("[data-warning]").replaceChildren();
  button.disabled = true;
  try {
    const answer = await fetch(form.dataset.stream, { method: "POST", body });
    if (!answer.ok || !answer.headers.get("Content-Type")?.includes("jsonl")) { showWarning(form, { wrong: "Your session has ended, or the form is too old. Load the page again." }); return; }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let kept = ""; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (kept + value).split("\n");
      kept = lines.pop();
      for (const line of lines) showTold(form, result, JSON.parse(line));
    }
  } catch {
    showWarning(form, { wrong: "The connection to the console was lost." });
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.dataset.stream && !event.submitter?.dataset.add) { event.preventDefault(); send(event.target); }
});

copyable(document);
