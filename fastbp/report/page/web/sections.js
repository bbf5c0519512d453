// The sections that are filled once: the header, the curves, the errors; and the pictures of the first layer.

const FIRST_UNITS = 48; // of a first layer that has more, those with the strongest weights

function fillHeader(data) {
  byId("title").textContent = data.title;
  byId("subtitle").textContent = data.subtitle;
  byId("facts").replaceChildren(
    ...data.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
  byId("notes").replaceChildren(...data.notes.map((note) => h("li", {}, note)));
}

function fillHistory({ history }) {
  if (!history) return;
  byId("curves").hidden = false;
  const curves = (key) => ({ training: history[key], validation: history[`validation_${key}`] });
  const share = (value, exact) => (exact ? percent(value) : `${fixedNumber(100 * value)} %`);
  const size = (value, exact) => (exact ? number(value) : String(Number(value.toPrecision(6))));
  fillCurve(byId("cost-curve"), "Cost", curves("cost"), history.epochs, size);
  fillCurve(byId("accuracy-curve"), "Accuracy", curves("accuracy"), history.epochs, share);
}

function fillErrors({ confusion }, hardest, onChoose) {
  if (!hardest.length) return;
  byId("errors").hidden = false;
  byId("confusion").closest(".two > div").hidden = !confusion; // of many classes there is none
  const worst = confusion ? fillConfusion(byId("confusion"), confusion) : [];
  byId("confusion-text").textContent = worst.length
    ? `Most often: ${worst.map(({ i, j, count }) => `a ${i} taken for a ${j} (${count} times)`).join(", ")}.`
    : "It makes no mistake here.";
  fillSamples("hardest", hardest, ({ label, predicted }) => h("span", {}, `${label} → ${predicted}`), onChoose);
}

function thumbnail({ x, a }) {
  return side ? paintDigit(h("canvas", { "aria-hidden": true }), x ?? a[0], side) : "";
}

// A button for every sample; where nothing can be done with one, a picture.
function fillSamples(place, samples, caption, onChoose) {
  const buttons = samples.map((sample) => {
    const { index, label, predicted } = sample;
    const name = `sample ${index}: a ${label}, the network says ${predicted}`;
    const parts = [thumbnail(sample) || h("span", {}, `#${index}`), caption(sample)];
    const button = h("button", { type: "button", "aria-label": name, "aria-pressed": "false", title: name }, ...parts);
    button.disabled = !onChoose;
    button.addEventListener("click", () => onChoose(sample, button));
    return button;
  });
  byId(place).replaceChildren(...buttons);
  byId(place).addEventListener("keydown", (event) => {
    const step = KEYS[event.key]?.[0];
    const to = step && buttons[buttons.indexOf(event.target) + step];
    if (!to) return;
    event.preventDefault();
    oneStop(buttons, to);
    to.focus();
  });
  oneStop(buttons, buttons[0]);
}

// Of many buttons one is a stop of the Tab key; the arrow keys move among them.
function oneStop(buttons, stop) {
  for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
}

function fillRadios(place, name, options, onChange) {
  const labels = options.map(([value, text]) =>
    h("label", {}, h("input", { type: "radio", name, value, onchange: () => onChange(value) }), text),
  );
  byId(place).append(h("div", {}, ...labels));
}

function check(name, value) {
  for (const input of document.getElementsByName(name)) input.checked = input.value === String(value);
}

// The first layer's units as pictures: of their weights, of what the sample or the average wants of them.
function makeFirstLayer(network, hasAverage) {
  const { n, weights } = network.layers[0];
  const all = Array.from({ length: n }, (_, j) => j);
  let [kind, shown, view] = ["weights", all, null];
  const column = (values) => (j) => Float64Array.from({ length: side * side }, (_, i) => values[i * n + j]);
  const kinds = [
    ["weights", "Weights"],
    ["sample", "What your sample wants"],
    ...(hasAverage ? [["average", "What the average wants"]] : []),
  ];
  fillRadios("first-kind", "first-kind", kinds, (value) => {
    kind = value;
    fill(view);
  });
  check("first-kind", kind);
  byId("first").hidden = false;
  if (n > FIRST_UNITS) {
    const squares = new Float64Array(n);
    weights.forEach((weight, at) => (squares[at % n] += weight * weight));
    shown = furthest(squares, FIRST_UNITS);
    byId("first-all").hidden = false;
    byId("first-all").textContent = `Show all ${n} units, not only the ${FIRST_UNITS} with the strongest weights`;
    byId("first-all").addEventListener("click", () => {
      shown = all;
      byId("first-all").hidden = true;
      fill(view);
    });
  }

  function fill(latest) {
    view = latest;
    const { a, delta } = view.explained;
    const nudges = (j) => a[0].map((value) => -value * delta[0][j]);
    const values = { weights: column(weights), sample: nudges, average: column(view.average?.weights[0]) }[kind];
    const pictures = shown.map(values);
    const most = kind === "weights" ? undefined : Math.max(...pictures.map(largest)); // nudges compare, weights do not
    const units = pictures.map((picture, at) => unitPicture(picture, shown[at], most, fixed(a[1][shown[at]])));
    byId("first-units").replaceChildren(...units);
    byId("first-text").textContent =
      kind === "weights"
        ? "Beside each unit: its activation for your sample. Every picture has its own scale. Pixels that never have " +
          "ink keep the weights they began with: noise."
        : "Where there is no ink, nothing is wanted. All pictures have one scale: the stronger, the more it matters.";
  }
  return fill;
}

function unitPicture(values, unit, most, text) {
  const canvas = paintSigned(h("canvas", { role: "img", "aria-label": `unit ${unit}` }), values, side, most);
  return h("figure", {}, canvas, h("figcaption", {}, h("span", {}, `unit ${unit}`), h("span", {}, text)));
}

// Of a network that is too large for the page: some of its first weights, in bytes.
function fillPictures({ pictures }) {
  if (!pictures) return;
  [byId("first").hidden, byId("first-kind").hidden] = [false, true];
  const bytes = new Int8Array(bytesOf(pictures.x).buffer);
  const picture = (at) => bytes.subarray(at * side * side, (at + 1) * side * side);
  byId("first-units").replaceChildren(...pictures.units.map((unit, at) => unitPicture(picture(at), unit, 127, "")));
  byId("first-text").textContent =
    `The ${pictures.units.length} units with the strongest weights; every picture has its own scale.`;
}
