// What is chosen (a sample, a label, a step, a unit), and who shows it. Quick parts follow every stroke; the tables
// and pictures, which look at every weight, follow once the hand rests.

const REST = 160; // milliseconds without a stroke
const data = JSON.parse(byId("data").textContent);
const { side } = data.network;
const network = data.network.parameters ? { ...readNetwork(data.network), side } : null;
// picked: whether the label is the reader's choice; until then a drawing's label is what the network says.
const state = { x: null, label: 0, picked: false, isDrawing: false, step: 0, unit: null, next: 0 };
const nextButton = h("button", { type: "button", onclick: () => showNext(1) }, "Another sample");
let [batch, average, steps, view, diagram, pad, fillFirst, resting] = [[], null, [], null, null, null, null, 0];

function samplesOf(set) {
  if (!set) return [];
  const bytes = bytesOf(set.x);
  const values = set.type === "uint8" ? Float64Array.from(bytes, (byte) => byte / 255) : new Float32Array(bytes.buffer);
  const x = (at) => values.subarray(at * data.network.n_in, (at + 1) * data.network.n_in);
  return set.y.map((label, at) => ({ x: x(at), label, predicted: set.predicted[at], index: set.index[at] }));
}

function update(rest = 0) {
  const explained = explain(network, state.x, state.label);
  const next = batch[state.next] ?? explained;
  const step = steps[state.step];
  const picture = (values, most) => paintSigned(h("canvas"), values, side, most).toDataURL();
  view = { explained, next, nextNumber: state.next, nextButton, average, batch, step, selected: state.unit, picture };
  const shown = step.kind === "next" ? next : explained;
  diagram.draw({
    explained: shown,
    selected: state.unit,
    picture: side ? paintDigit(h("canvas"), shown.a[0], side).toDataURL() : "",
    step: { ...step, ...drawingOf(network, step, view) },
  });
  byId("words").replaceChildren(h("h3", {}, `${state.step + 1}. ${step.name}`), ...WORDS[step.kind](network, view));
  byId("unit").textContent = unitLine(network, { explained: shown, selected: state.unit });
  byId("answer").textContent = answerTo(explained);
  const labels = document.querySelectorAll("#labels label");
  labels.forEach((label, at) => label.classList.toggle("said", at === explained.predicted));
  window.fastbp = { network, x: state.x, label: state.label, explained, average, batch };
  clearTimeout(resting);
  resting = setTimeout(updateRest, rest);
}

function answerTo({ a, predicted }) {
  if (side && largest(a[0]) === 0) return "Draw here";
  const outputs = a[a.length - 1];
  return `It says ${predicted} (${fixed(outputs[outputs.length === 1 ? 0 : predicted])})`;
}

function updateRest() {
  if (batch.length) {
    const order = batch.map((_, at) => (state.next + at) % batch.length);
    fillWishes(byId("wishes-table"), network, { ...view, thumbnail, order });
    byId("agreement-text").textContent = fillAgreement(byId("agreement"), network, view);
  }
  byId("sensitive-text").textContent = fillSensitive(byId("sensitive-list"), network, view);
  fillFirst?.(view);
}

function setLabel(label) {
  state.label = label;
  check("label", label);
}

function markChosen(button) {
  for (const other of document.querySelectorAll(".thumbs button")) {
    other.setAttribute("aria-pressed", String(other === button));
  }
}

function choose(sample, button) {
  Object.assign(state, { x: sample.x, isDrawing: false });
  setLabel(sample.label);
  markChosen(button);
  pad?.show(sample.x);
  update();
}

function drawn(strokes, box) {
  state.x = strokesToDigit(strokes, side, box);
  if (!state.isDrawing || !strokes.length) state.picked = false;
  state.isDrawing = true;
  if (!state.picked) setLabel(classOf(forward(network, state.x).a[network.layers.length]));
  markChosen(null);
  update(REST);
}

function pick(label) {
  Object.assign(state, { label, picked: true });
  if (state.step === 0) goTo(1);
  else update();
}

function selectUnit(unit) {
  const again = state.unit?.l === unit.l && state.unit.unit === unit.unit;
  state.unit = again ? null : unit;
  update();
}

function showNext(count) {
  state.next = (state.next + count) % batch.length;
  update();
}

function goTo(step) {
  state.step = step;
  byId("back").disabled = step === 0;
  byId("forth").disabled = step === steps.length - 1;
  byId("dots")
    .querySelectorAll("button")
    .forEach((dot, at) => {
      dot.classList.toggle("done", at < step);
      dot.setAttribute("aria-current", at === step ? "step" : "false");
    });
  update();
}

function setUpSteps() {
  steps = stepsOf(network).filter(({ kind }) => batch.length || !["next", "average"].includes(kind));
  const dots = steps.map(({ name }, at) => {
    const attributes = {
      type: "button",
      "aria-label": `Step ${at + 1}: ${name}`,
      title: name,
      onclick: () => goTo(at),
    };
    return h("li", {}, h("button", attributes));
  });
  byId("dots").replaceChildren(...dots);
  byId("back").addEventListener("click", () => goTo(state.step - 1));
  byId("forth").addEventListener("click", () => goTo(state.step + 1));
}

function setUpPad() {
  if (!side) return;
  byId("drawing").hidden = false;
  const box = boxOf(
    batch.slice(0, 40).map(({ a }) => a[0]),
    side,
  );
  pad = makePad(byId("pad"), side, (strokes) => drawn(strokes, box));
  byId("clear").addEventListener("click", pad.clear);
  fillFirst = makeFirstLayer(network, batch.length > 0);
}

function setUpNetwork(hardest) {
  const samples = samplesOf(data.batch);
  batch = samples.map(({ x, label }) => explain(network, x, label));
  average = batch.length ? averageWishes(network, batch) : null;
  byId("play").hidden = byId("sensitive").hidden = false;
  byId("wishes").hidden = !batch.length;
  byId("others").addEventListener("click", () => showNext(6));
  setUpSteps();
  setUpPad();
  const labels = Array.from({ length: Math.max(2, network.n_out) }, (_, label) => [label, String(label)]);
  fillRadios("labels", "label", labels, pick);
  const taken = [...samplesOf(data.sample), ...samples.slice(0, 40)];
  byId("taking").hidden = !taken.length;
  if (!side) byId("taking-title").textContent = "Take a sample";
  fillSamples("samples", taken, () => "", choose);
  diagram = makeDiagram(byId("diagram"), network, side, selectUnit);
  diagram.layout(byId("diagram").parentElement.clientWidth);
  const first = data.sample ? taken[0] : (hardest[0] ?? taken[0] ?? { x: new Float64Array(network.n_in), label: 0 });
  choose(first, byId(first === hardest[0] ? "hardest" : "samples").querySelector("button"));
  goTo(0);
}

function chooseHardest(sample, button) {
  choose(sample, button);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("play").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  readTheme();
  document.querySelectorAll("canvas").forEach((canvas) => canvas.repaint?.());
  pad?.redraw();
  if (view) update();
}

function fitWidth() {
  fillHistory(data);
  if (!network) return;
  diagram.layout(byId("diagram").parentElement.clientWidth);
  update();
}

function start() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(system.matches);
  system.addEventListener("change", () => setTheme(system.matches));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
  const hardest = samplesOf(data.hardest);
  fillHeader(data);
  fillErrors(data, hardest, network && chooseHardest);
  if (network) setUpNetwork(hardest);
  else fillPictures(data);
  fillHistory(data);
  let width = document.body.clientWidth;
  window.addEventListener("resize", () => {
    if (document.body.clientWidth === width) return; // a phone's address bar comes and goes
    width = document.body.clientWidth;
    fitWidth();
  });
}

start();
