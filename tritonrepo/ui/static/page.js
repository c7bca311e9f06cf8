// The page: the question, and one pipeline or two that answer it.

import { element, fault } from "/elements.js";
import { Pane } from "/pane.js";
import { one, remember } from "/stream.js";

const by = (id) => document.getElementById(id);
const panes = [];
let models = [];

function settled() {
  by("stop").disabled = panes.every((pane) => !pane.running);
}

function add(name) {
  const pane = new Pane(name, models, settled);
  panes.push(pane);
  by("panes").append(pane.element);
  return pane;
}

function compare() {
  const both = by("compare").checked;
  by("panes").classList.toggle("two", both);
  if (both && panes.length === 1) {
    const other = add("Second pipeline");
    const choices = models.filter((model) => model.ready && model.name !== panes[0].model);
    if (choices.length) other.choose(choices[0].name);
  } else if (!both && panes.length > 1) {
    const other = panes.pop();
    other.stop();
    other.element.remove();
  }
}

function ask() {
  const text = by("question").value;
  if (!text.trim()) {
    by("question").focus();
    return;
  }
  for (const pane of panes) pane.ask(text);
  settled();
}

function stop() {
  for (const pane of panes) pane.stop();
}

async function start() {
  remember();
  try {
    const said = await one("/api/server", {});
    models = said.models;
    by("server").textContent = [said.url, said.server].filter(Boolean).join(" · ");
    const failed = models.filter((model) => !model.ready && model.reason);
    for (const model of failed) {
      const line = element("div", "fault");
      fault(line, { message: `${model.name} is not served: ${model.reason}` });
      by("trouble").append(line);
    }
    if (models.some((model) => model.ready && model.kind !== "none")) add("Pipeline");
    else {
      const line = element("div", "fault");
      fault(line, { message: "No model of this server takes a text.", hint: "Load one, and open this page again." });
      by("trouble").append(line);
    }
  } catch (error) {
    by("server").textContent = "";
    const line = element("div", "fault");
    fault(line, error);
    by("trouble").replaceChildren(line);
  }
}

by("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
by("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ask();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
by("stop").addEventListener("click", stop);
by("compare").addEventListener("change", compare);
start();
