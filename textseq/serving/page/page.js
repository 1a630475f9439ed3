// Asks the server that sent this page, in TensorFlow Serving's REST, and shows what it answers.
// Whatever comes from the server or from the person is put in as text, never as markup.

const SECONDS = 120;
const LARGEST_TABLE = 20000; // cells; a browser gets slow beyond
const DEFAULT = "serving_default";

/** A failure that is put before the person in words. */
class Failure extends Error {}

// ---- the server

const REASONS = {
  400: "The server refused the input",
  404: "The server does not know this",
  413: "The text is too long for the server",
  429: "The server has more to do than it can take; try again in a moment",
  503: "The server is not ready; try again in a moment",
};

async function ask(path, body, signal) {
  const late = AbortSignal.timeout(SECONDS * 1000);
  let response;
  let content;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, late]) : late,
      cache: "no-store",
    });
    content = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (late.aborted) throw new Failure(`The server has not answered within ${SECONDS} seconds.`);
    throw new Failure("The server cannot be reached. Is it still running?");
  }
  return understood(response, content);
}

function understood(response, content) {
  let answer = null;
  try {
    answer = JSON.parse(content);
  } catch {
    // Said below: a failure's status tells more than its unreadable body.
  }
  if (!response.ok) {
    const reason = REASONS[response.status] ?? `The server failed (HTTP ${response.status})`;
    throw new Failure(answer?.error ? `${reason}: ${answer.error}` : `${reason}.`);
  }
  if (answer === null) throw new Failure("The server's answer cannot be read: it is not JSON.");
  return answer;
}

/** What comes for one row: an object by output, or the value alone where the signature has one output. */
async function predict(model, signature, row, signal) {
  const body = { signature_name: signature, instances: [row] };
  const answer = await ask(`${model.address}:predict`, body, signal);
  const outputs = answer.predictions?.[0];
  if (outputs === undefined) throw new Failure("The server's answer cannot be read: it has no predictions.");
  return outputs;
}

async function knownModel() {
  const { name } = await ask("page/model.json");
  const address = `v1/models/${encodeURIComponent(name)}`;
  const metadata = await ask(`${address}/metadata`);
  const definitions = metadata.metadata?.signature_def?.signature_def ?? {};
  const has = (signature) => signature in definitions;
  const gives = (signature, output) => output in (definitions[signature]?.outputs ?? {});
  return { name, address, has, gives };
}

// ---- small things

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { weight, aria = {}, ...rest } = properties;
  Object.assign(made, rest);
  if (weight !== undefined) made.style.setProperty("--weight", String(Math.min(Math.max(weight, 0), 1) || 0));
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children); // strings become text nodes
  return made;
}

/** A string of the server: text, or bytes in base64 where they are no UTF-8. */
function text(value) {
  if (typeof value !== "object" || value === null) return String(value ?? "");
  const bytes = Uint8Array.from(atob(value.b64 ?? ""), (character) => character.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

/** UTF-8 has no halves of a surrogate pair; a text area may hold some. */
const wellFormed = (typed) => typed.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");

const shown = (value) => element("bdi", {}, text(value) === "" ? "(empty)" : text(value));
const score = (label, value) => element("span", { className: "score" }, `${label} ${Number(value).toFixed(3)}`);
const heading = (words) => element("h3", {}, words);
const truncation = () =>
  element("p", { className: "warning" }, "The text is longer than the model reads: only its beginning was used.");

// ---- translation

function translated(outputs) {
  const parts = [element("p", { className: "result", dir: "auto" }, text(outputs.translation) || "(empty)")];
  parts.push(element("p", {}, score("Score", outputs.score), " ", element("small", {}, "(0 would be certainty)")));
  if (outputs.truncated) parts.unshift(truncation());
  return parts;
}

function alternatives(outputs) {
  const count = Math.min(outputs.count ?? outputs.translations.length, outputs.translations.length);
  if (count < 2) return [];
  const items = outputs.translations
    .slice(0, count)
    .map((one, index) => element("li", {}, shown(one), score("", outputs.scores[index])));
  return [heading("Alternatives"), element("ol", {}, ...items)];
}

function alignment(outputs, rightToLeft) {
  const source = outputs.source_tokens.slice(0, outputs.source_length).map(text);
  const target = outputs.target_tokens.slice(0, outputs.target_length).map(text);
  if (source.length * target.length === 0) return [];
  const title = heading("Alignment");
  if (source.length * target.length > LARGEST_TABLE) {
    return [title, element("p", {}, "The heat map of so long a text is too large to show here.")];
  }
  const readout = element("p", { className: "readout", ariaLive: "polite" });
  const table = heatMap(source, target, outputs.attention);
  table.dir = rightToLeft ? "rtl" : "ltr";
  const say = (event) => {
    const cell = event.target.closest("tbody td");
    if (cell) readout.replaceChildren(element("bdi", {}, cell.dataset.target), " looks at ",
      element("bdi", {}, cell.dataset.source), `: ${cell.textContent}`);
  };
  table.addEventListener("mouseover", say);
  table.addEventListener("focusin", say);
  table.addEventListener("keydown", move);
  const legend = element("p", { className: "legend" },
    "Source across, translation down: the stronger a cell's colour, the more the token of its row looks at that of its ",
    "column. An orange frame marks the strongest of a row. Arrow keys walk through the cells.");
  return [title, legend, element("div", { className: "scroll" }, table), readout];
}

function heatMap(source, target, attention) {
  const token = (value) => element("span", { dir: "auto" }, value);
  const header = element("tr", {}, element("td"), ...source.map((one) => element("th", { scope: "col" }, token(one))));
  const rows = target.map((word, row) => {
    const weights = attention[row].slice(0, source.length);
    const strongest = weights.indexOf(Math.max(...weights));
    const cells = weights.map((weight, column) => {
      const cell = element("td", { weight, tabIndex: row + column === 0 ? 0 : -1, title: `${source[column]} · ${word}: ${weight.toFixed(3)}` },
        element("span", {}, weight.toFixed(2)));
      cell.classList.toggle("strongest", column === strongest);
      Object.assign(cell.dataset, { source: source[column], target: word });
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row" }, token(word)), ...cells);
  });
  return element("table", { className: "alignment", role: "grid", aria: { label: "Attention of each target token over the source tokens" } },
    element("thead", {}, header), element("tbody", {}, ...rows));
}

/** Arrow keys walk through the heat map; one cell alone is in the tab order. */
function move(event) {
  const cell = event.target.closest("tbody td");
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
  const down = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
  if (!cell || sideways + down === 0) return;
  const body = cell.closest("tbody");
  const step = event.currentTarget.dir === "rtl" ? -sideways : sideways;
  const row = body.rows[cell.parentElement.sectionRowIndex + down];
  const next = row?.cells[cell.cellIndex + step];
  event.preventDefault();
  if (!next || next.tagName !== "TD") return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---- sentiment

function classified(outputs) {
  const label = text(outputs.label);
  const labels = (outputs.labels ?? []).map(text);
  const probabilities = outputs.probabilities ?? [];
  const best = probabilities.indexOf(Math.max(...probabilities));
  // Without the labels' names, that of the best is the one that the answer gives.
  const named = (index) => labels[index] ?? (index === best ? label : `class ${index + 1}`);
  const rows = probabilities.map((probability, index) => {
    const bar = element("span", { className: "track" }, element("span", { className: "fill", weight: probability }));
    const percent = element("span", { className: "score" }, `${(100 * probability).toFixed(1)} %`);
    const row = element("tr", {}, element("th", { scope: "row", dir: "auto" }, named(index)),
      element("td", { className: "bar", ariaHidden: "true" }, bar), element("td", {}, percent));
    // Where a text can have several labels or none, the answer says which.
    row.classList.toggle("chosen", outputs.given ? Boolean(outputs.given[index]) : index === best);
    return row;
  });
  const answer = [element("p", { className: "result", dir: "auto" }, label || "(no label)")];
  if (outputs.truncated) answer.unshift(truncation());
  if (!rows.length) return [...answer, element("p", {}, score("Probability", outputs.probability))];
  return [...answer, element("table", { className: "bars", aria: { label: "Probability of each label" } }, element("tbody", {}, ...rows))];
}

function explained(outputs, typed) {
  const words = outputs.words.slice(0, outputs.word_count).map(text);
  const weights = outputs.weights.slice(0, outputs.word_count);
  if (!words.length) return [];
  const title = element("h3", {}, "What speaks for ", element("bdi", {}, text(outputs.label)));
  const legend = element("p", { className: "legend" },
    element("span", { className: "word for example" }, "for"),
    element("span", { className: "word against example" }, "against"),
    "the stronger a word speaks, the deeper its colour and the thicker its line.");
  const parts = [title, legend, element("p", { className: "words", dir: "auto" }, ...colouredWords(words, weights, typed))];
  if (outputs.truncated) parts.splice(1, 0, truncation());
  return [...parts, weightTable(words, weights)];
}

/** The text as it was typed, its words coloured; words that are not found in it stand between spaces. */
function colouredWords(words, weights, typed) {
  const strongest = Math.max(...weights.map(Math.abs), Number.MIN_VALUE);
  const parts = [];
  let place = 0;
  words.forEach((word, index) => {
    const found = word === "" ? -1 : typed.indexOf(word, place);
    if (found >= 0) {
      parts.push(typed.slice(place, found));
      place = found + word.length;
    } else if (index > 0) parts.push(" ");
    const weight = weights[index];
    parts.push(element("span", { className: `word ${weight < 0 ? "against" : "for"}`, weight: Math.abs(weight) / strongest,
      title: weight.toFixed(3) }, word));
  });
  return parts;
}

function weightTable(words, weights) {
  const order = words.map((_, index) => index).sort((one, other) => Math.abs(weights[other]) - Math.abs(weights[one]));
  const rows = order.map((index) => element("tr", {}, element("th", { scope: "row", dir: "auto" }, words[index]),
    element("td", {}, `${weights[index] < 0 ? "−" : "+"}${Math.abs(weights[index]).toFixed(3)}`)));
  const header = element("tr", {}, element("th", { scope: "col" }, "Word"), element("th", { scope: "col" }, "Weight"));
  const table = element("table", { className: "weights" }, element("thead", {}, header), element("tbody", {}, ...rows));
  return element("details", {}, element("summary", {}, "Weights as numbers"), element("div", { className: "scroll" }, table));
}

// ---- the two forms

/** A section with a form: every request of a submission shows its own part, in the order of the requests. */
class Panel {
  constructor(section, requests) {
    this.form = section.querySelector("form");
    this.area = section.querySelector("textarea");
    this.progress = section.querySelector(".progress");
    this.error = section.querySelector(".error");
    this.answer = section.querySelector(".answer");
    this.requests = requests;
    this.running = null;
    section.hidden = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.submit();
    });
  }

  async submit() {
    this.running?.abort(); // what was asked before is no longer of interest
    const running = (this.running = new AbortController());
    const began = performance.now();
    const typed = wellFormed(this.area.value);
    const parts = [];
    this.error.hidden = true;
    this.progress.textContent = "Waiting for the server …";
    this.answer.classList.add("stale");
    const failures = await Promise.all(this.requests(typed).map(async ([request, show], index) => {
      try {
        const outputs = await request(running.signal);
        if (running.signal.aborted) return null;
        parts[index] = element("div", {}, ...show(outputs));
        this.answer.classList.remove("stale");
        this.answer.replaceChildren(...parts.filter(Boolean));
        return null;
      } catch (error) {
        return error instanceof Failure ? error.message : `The server's answer cannot be shown: ${error.message}`;
      }
    }));
    if (!running.signal.aborted) this.finish(failures, parts, performance.now() - began);
  }

  finish(failures, parts, milliseconds) {
    const said = [...new Set(failures.filter(Boolean))];
    this.error.textContent = said.join("\n");
    this.error.hidden = !said.length;
    this.answer.classList.remove("stale");
    if (!parts.some(Boolean)) this.answer.replaceChildren();
    this.progress.textContent = "";
    if (said.length) return;
    // A screen reader hears the answer itself; it is seen below.
    const heard = element("span", { className: "unseen" }, `${this.answer.querySelector(".result")?.textContent ?? ""}: `);
    this.progress.replaceChildren(heard, `Answered in ${Math.round(milliseconds)} ms.`);
  }
}

function translationRequests(model, form, readTranslation) {
  return (typed) => {
    const to = (signature, show, more = {}) =>
      [(signal) => predict(model, signature, { text: typed, ...more }, signal), show];
    const count = Math.min(Math.max(Math.trunc(Number(form.elements.alternatives.value)) || 1, 1), 100);
    const rightToLeft = getComputedStyle(form.elements.text).direction === "rtl";
    const requests = [to(DEFAULT, translated)];
    if (model.has("translate_and_classify")) requests.push(to("translate_and_classify", readTranslation));
    if (model.has("n_best") && count > 1) requests.push(to("n_best", alternatives, { n: count }));
    if (model.has("align")) requests.push(to("align", (outputs) => alignment(outputs, rightToLeft)));
    return requests;
  };
}

function sentimentRequests(model, signature) {
  return (typed) => {
    const to = (name, show) => [(signal) => predict(model, name, { text: typed }, signal), show];
    const requests = [to(signature, classified)];
    if (model.has("explain")) requests.push(to("explain", (outputs) => explained(outputs, typed)));
    return requests;
  };
}

/** What a combined model says of a translation, and a button that takes the translation to the other form. */
function translationRead(outputs, sentiment) {
  const button = element("button", { type: "button", className: "quiet" }, "Classify the translation");
  button.addEventListener("click", () => {
    sentiment.area.value = text(outputs.translation);
    sentiment.submit();
    sentiment.area.focus();
  });
  const label = element("strong", { dir: "auto" }, text(outputs.label));
  return [
    element("p", {}, "The translation reads as ", label, " ", score("probability", outputs.probability)),
    element("p", {}, button),
  ];
}

/** Opens the forms for what the signatures give. */
function open(model) {
  document.getElementById("model").textContent = `Model ${model.name}`;
  document.title = `${model.name} · Dragoman`;
  const classifying = ["classify", DEFAULT].find((signature) => model.gives(signature, "label"));
  const translates = model.gives(DEFAULT, "translation");
  if (!classifying && !translates) throw new Failure("This page knows no signature of this model.");
  let sentiment = null;
  if (classifying) {
    sentiment = new Panel(document.getElementById("sentiment"), sentimentRequests(model, classifying));
  }
  if (translates) {
    const section = document.getElementById("translation");
    const form = section.querySelector("form");
    section.querySelector(".alternatives").hidden = !model.has("n_best");
    new Panel(section, translationRequests(model, form, (outputs) => translationRead(outputs, sentiment)));
  }
  document.querySelector("section:not([hidden]) textarea").focus();
}

async function start() {
  const failure = document.getElementById("failure");
  const retry = document.getElementById("retry");
  failure.hidden = retry.hidden = true;
  try {
    open(await knownModel());
  } catch (error) {
    document.getElementById("model").textContent = "No model";
    failure.textContent = error.message;
    failure.hidden = retry.hidden = false;
  }
}

document.querySelector("#retry button").addEventListener("click", start);
start();
