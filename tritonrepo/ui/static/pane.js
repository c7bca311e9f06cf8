// One pipeline on the page: its answer, its sources, its steps and its drawing.

import { element, fault, link, tensors } from "/elements.js";
import { lines, one } from "/stream.js";

const KINDS = {
  answers: "Pipelines and models that answer",
  searches: "Searches",
  outputs: "Models that take a text",
  unknown: "Other models",
};
const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

export class Pane {
  constructor(name, models, settled) {
    this.element = document.getElementById("pane").content.firstElementChild.cloneNode(true);
    this.element.setAttribute("aria-label", name);
    this.settled = settled;
    this.running = null;
    this.find = (selector) => this.element.querySelector(selector);
    this.find(".trace").addEventListener("click", () => this.trace());
    this.find(".drawing").addEventListener("toggle", () => this.draw());
    this.find(".models").addEventListener("change", () => this.changed());
    this.offer(models);
  }

  get model() {
    return this.find(".models").value;
  }

  offer(models) {
    const select = this.find(".models");
    const before = select.value;
    select.replaceChildren();
    for (const [kind, label] of Object.entries(KINDS)) {
      const own = models.filter((model) => model.kind === kind && model.ready);
      if (!own.length) continue;
      const group = element("optgroup");
      group.label = label;
      for (const model of own) {
        const option = element("option", "", model.name);
        option.value = model.name;
        group.append(option);
      }
      select.append(group);
    }
    if (models.some((model) => model.name === before && model.ready)) select.value = before;
  }

  choose(name) {
    this.find(".models").value = name;
  }

  changed() {
    this.stop();
    this.clear();
    this.draw();
  }

  clear() {
    for (const selector of [".fault", ".answer", ".found", ".outputs"]) this.find(selector).hidden = true;
    this.find(".answer").replaceChildren();
    this.find(".traced").replaceChildren();
    this.say("");
  }

  say(text) {
    this.find(".state").textContent = text;
  }

  stop() {
    this.running?.abort();
  }

  // Runs `work` with a signal that ends it; says how it went.
  async run(work) {
    this.stop();
    const running = (this.running = new AbortController());
    this.find(".fault").hidden = true;
    try {
      await work(running.signal);
    } catch (error) {
      if (this.running !== running) return;
      if (error.name === "AbortError") this.say("Stopped.");
      else {
        this.say("");
        fault(this.find(".fault"), error.message ? error : { message: String(error) });
      }
    } finally {
      if (this.running === running) {
        this.running = null;
        this.find(".answer").setAttribute("aria-busy", "false");
        this.settled();
      }
    }
  }

  ask(text) {
    this.clear();
    return this.run(async (signal) => {
      const begun = performance.now();
      let first = 0;
      this.say("Waiting for the first piece…");
      this.find(".answer").setAttribute("aria-busy", "true");
      for await (const said of lines("/api/ask", { model: this.model, text }, signal)) {
        if (said.sources) this.list(said.sources, "Sources");
        if (said.found) this.list(said.found, "Found");
        if (said.outputs) this.output(said.outputs);
        if (said.piece) this.write(said.piece);
        const began = said.piece || said.found || said.outputs;
        if (began && !first) {
          first = performance.now() - begun;
          this.say(`First piece after ${seconds(first)}…`);
        }
      }
      if (!first) {
        throw { message: `${this.model} ended without an answer`, hint: "Check the pipeline's prompt, or ask again." };
      }
      this.say(`First piece after ${seconds(first)}, all after ${seconds(performance.now() - begun)}`);
    });
  }

  write(piece) {
    const answer = this.find(".answer");
    const below = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40;
    answer.hidden = false;
    answer.append(piece);
    if (below) answer.scrollTop = answer.scrollHeight;
  }

  output(listed) {
    const details = this.find(".outputs");
    details.hidden = false;
    details.querySelector(".scroll").replaceChildren(tensors("Outputs of the last response", listed));
  }

  list(sources, title) {
    const found = this.find(".found");
    found.hidden = false;
    found.querySelector("h3").textContent = sources.length ? title : `${title}: nothing`;
    const most = Math.max(...sources.map((source) => source.score ?? 0), 0);
    found.querySelector("ol").replaceChildren(...sources.map((source) => this.source(source, most)));
  }

  source(source, most) {
    const item = element("li");
    const head = element("div", "row");
    head.append(link(source.title || source.id, source.url));
    if (source.score !== null) {
      head.append(element("span", "score", source.score.toFixed(3)));
      const bar = element("meter");
      [bar.max, bar.value] = [most > 0 ? most : 1, Math.max(source.score, 0)];
      bar.setAttribute("aria-label", "score, compared with the best one");
      head.append(bar);
    }
    if (source.title && source.title !== source.id) head.append(element("span", "quiet", source.id));
    const text = element("details", "text");
    text.append(element("summary", "", source.text.slice(0, 140)), element("p", "", source.text));
    item.append(head, text);
    return item;
  }

  trace() {
    const text = document.getElementById("question").value;
    const list = this.find(".traced");
    list.replaceChildren();
    return this.run(async (signal) => {
      const done = [];
      let names = [];
      this.say("Running the steps…");
      for await (const said of lines("/api/steps", { model: this.model, text }, signal)) {
        if (said.steps) names = said.steps;
        else {
          done.push(said);
          list.append(this.step(said));
          this.measure(done);
        }
        if (said.alone) list.before(this.unknown());
        if (done.length < names.length) this.say(`Step ${done.length + 1} of ${names.length}: ${names[done.length]}…`);
      }
      const whole = done.reduce((sum, each) => sum + each.ms, 0);
      this.say(`${done.length} ${done.length === 1 ? "step" : "steps"}, ${seconds(whole)}`);
    });
  }

  unknown() {
    this.find(".alone")?.remove();
    const hint = "The server does not say what this model calls. Start with tritonrepo ui URL STACK to see its steps.";
    return element("p", "quiet alone", hint);
  }

  step(said) {
    const item = element("li");
    const box = element("details");
    const head = element("summary");
    head.append(element("strong", "", said.step.model));
    const about = [said.step.backend, said.step.version && `version ${said.step.version}`].filter(Boolean).join(", ");
    head.append(element("span", "quiet", about), element("span", "ms", seconds(said.ms)));
    const bar = element("meter");
    bar.setAttribute("aria-label", "time, compared with the slowest step");
    head.append(bar);
    box.append(head);
    if (said.responses !== 1) box.append(element("p", "quiet", `${said.responses} responses, joined`));
    const scroll = element("div", "scroll");
    scroll.append(tensors("Got", said.got), tensors("Gave", said.gave));
    box.append(scroll);
    item.append(box);
    return item;
  }

  measure(done) {
    const most = Math.max(...done.map((each) => each.ms), 0.1);
    this.element.querySelectorAll(".traced meter").forEach((bar, place) => {
      [bar.max, bar.value] = [most, done[place].ms];
    });
  }

  async draw() {
    const box = this.find(".drawing");
    if (!box.open) return;
    const into = box.querySelector(".scroll");
    const model = this.model;
    try {
      const said = await one("/api/drawing", { model });
      if (model !== this.model) return;
      // as an image, in which no script runs and nothing is loaded
      const image = element("img");
      image.alt = said.text;
      const url = URL.createObjectURL(new Blob([said.svg], { type: "image/svg+xml" }));
      image.onload = image.onerror = () => URL.revokeObjectURL(url);
      image.src = url;
      into.replaceChildren(image);
      if (said.alone) into.append(element("p", "quiet", "The server shows no steps of this model."));
    } catch (error) {
      const place = element("div", "fault");
      into.replaceChildren(place);
      fault(place, error);
    }
  }
}
