// The steps backwards through the layers: what the diagram shows at each (see diagram.js), and the words for it.

const layerName = (network, l) => (l === network.layers.length - 1 ? "the output" : `hidden layer ${l + 1}`);
const unitName = (network, l, j) => (l === network.layers.length - 1 ? `output ${j}` : `unit ${j}`);
const strong = (text) => h("strong", {}, text);
const wish = (value) =>
  value === 0 ? "nothing" : h("span", { class: value < 0 ? "down" : "up" }, `${value < 0 ? "▼" : "▲"} ${signed(value)}`);

function stepsOf(network) {
  const last = network.layers.length - 1;
  const steps = [
    { kind: "forward", name: "What it sees" },
    { kind: "cost", name: "What it should have been" },
  ];
  for (let l = last; l >= 0; l--) {
    steps.push({ kind: "weights", l, name: `Weights and biases of ${layerName(network, l)}` });
    if (l) steps.push({ kind: "activations", l, name: `Activations of ${layerName(network, l - 1)}` });
  }
  return [...steps, { kind: "next", name: "The next sample" }, { kind: "average", name: "The average" }];
}

// What the diagram draws at a step. A fan is what an edge from the whole picture to one unit stands for.
function drawingOf(network, step, { explained, next, average, picture }) {
  const { a, z, delta } = explained;
  const { layers } = network;
  const one = wishesOf(explained);
  const norms = a.map((values) => Math.sqrt(dot(values, values)));
  const here =
    (value) =>
    (l, ...rest) =>
      l === step.l ? value(l, ...rest) : 0;
  const ring = (wishes) => (l, j) => (l >= 0 && layers[l].bias ? wishes.bias(l, j) : 0);
  const column = (wishes, j) => Float64Array.from({ length: network.n_in }, (_, i) => wishes.weight(0, i, j));
  const all = (wishes) => {
    const columns = layers[0].n <= MOST_UNITS ? Array.from({ length: layers[0].n }, (_, j) => column(wishes, j)) : null;
    const sum = (j) => (columns?.[j] ?? column(wishes, j)).reduce((total, value) => total + value, 0);
    return {
      edge: wishes.weight,
      fan: (_, j) => sum(j),
      ring: ring(wishes),
      ...patches((j) => columns?.[j] ?? column(wishes, j)),
    };
  };
  const patches = (values) => {
    const made = new Map();
    const most = () => Math.max(...Array.from({ length: layers[0].n }, (_, j) => largest(values(j))));
    let scale = null;
    return {
      patch: (j) => {
        scale ??= most();
        if (!made.has(j)) made.set(j, picture(values(j), scale));
        return made.get(j);
      },
    };
  };
  switch (step.kind) {
    case "forward":
      return {
        edge: (l, i, j) => a[l][i] * layers[l].weights[i * layers[l].n + j],
        fan: (l, j) => z[l][j] - layers[l].biases[j],
      };
    case "cost":
      return { arrows: (l) => (l === layers.length - 1 ? explained.outputNudges : []) };
    case "weights":
      return {
        edge: here(one.weight),
        fan: here((l, j) => -delta[l][j] * norms[l]),
        ring: here(ring(one)),
        ...(step.l === 0 ? patches((j) => column(one, j)) : {}),
      };
    case "activations":
      return {
        edge: here((l, i, j) => -layers[l].weights[i * layers[l].n + j] * delta[l][j]),
        arrows: (l) => (l === step.l - 1 ? explained.activationNudges[step.l] : []),
      };
    case "next":
      return all(wishesOf(next));
    default:
      return all(average);
  }
}

// The unit that the words of a step speak of: the chosen one where it is in that layer, else the one that counts most.
function spokenOf(network, l, { explained, selected }) {
  if (selected?.l === l) return selected.unit;
  const wanted = explained.target.indexOf(1);
  return l === network.layers.length - 1 && wanted >= 0 ? wanted : furthest(explained.delta[l], 1)[0];
}

const WORDS = {
  forward(network, { explained }) {
    const { predicted } = explained;
    const outputs = explained.a[explained.a.length - 1];
    const answer = network.n_out === 1 ? fixed(outputs[0]) : `${predicted}, with ${fixed(outputs[predicted])}`;
    return [
      h(
        "p",
        {},
        "Every unit adds up what comes into it, weighted, and answers with an activation: the fuller its circle, the higher. ",
        "The network says ",
        strong(answer),
        ".",
      ),
      h("p", {}, "Blue connections add to the unit that they lead to, orange ones take away; the wider, the more."),
    ];
  },
  cost(network, { explained }) {
    const { outputNudges, target, a, label, cost } = explained;
    const order = furthest(outputNudges, 3);
    const items = order.map((j) =>
      h(
        "li",
        {},
        strong(`Output ${j}`),
        ` is ${fixed(a[a.length - 1][j])} and should be ${number(target[j])}: `,
        wish(outputNudges[j]),
      ),
    );
    return [
      h(
        "p",
        {},
        "If it should have been ",
        strong(String(label)),
        ", this answer costs ",
        strong(number(cost)),
        ". How far each output is off says how much it wants to move:",
      ),
      h("ul", {}, ...items),
    ];
  },
  weights(network, view) {
    const { l } = view.step;
    const { a, delta } = view.explained;
    const j = spokenOf(network, l, view);
    const order = furthest(a[l], a[l].length);
    const [bright, dim] = [order[0], order[order.length - 1]];
    const name = unitName(network, l, j);
    const what = l
      ? (i) => `from unit ${i}, which is at ${fixed(a[l][i])}`
      : (i) => `from ${inputName(network, i)}, which is at ${fixed(a[l][i])}`;
    const hebb = [
      h("li", {}, `the weight ${what(bright)}: `, wish(-a[l][bright] * delta[l][j])),
      h("li", {}, `the weight ${what(dim)}: `, wish(-a[l][dim] * delta[l][j])),
      ...(network.layers[l].bias ? [h("li", {}, "its bias (the ring around it): ", wish(-delta[l][j]))] : []),
    ];
    const rest = l
      ? "A weight wants to move in proportion to the activation that it comes from: what fires together, wires together."
      : "Every unit wants this very picture added to what it looks for (blue), or taken from it (orange): see the small pictures. Where the picture is empty, nothing changes.";
    const inputs = l || network.side ? rest : "A weight wants to move in proportion to the input that it comes from.";
    return [
      h("p", {}, "Take ", strong(name), ". To move it where it should be, it helps to change"),
      h("ul", {}, ...hebb),
      h("p", {}, inputs),
    ];
  },
  activations(network, view) {
    const { l } = view.step;
    const { a, delta, activationNudges } = view.explained;
    const j = spokenOf(network, l, view);
    const { n, weights } = network.layers[l];
    const own = a[l].map((_, i) => -weights[i * n + j] * delta[l][j]);
    const [first, second] = furthest(own, 2);
    const [most] = furthest(activationNudges[l], 1);
    const list = [first, second]
      .filter((i) => i !== undefined)
      .map((i) => h("li", {}, `unit ${i}, over the weight ${signed(weights[i * n + j])}: `, wish(own[i])));
    return [
      h(
        "p",
        {},
        "The third way to help: other activations before. ",
        strong(capital(unitName(network, l, j))),
        " alone would most like",
      ),
      h("ul", {}, ...list),
      h(
        "p",
        {},
        `Every unit of ${layerName(network, l)} has such a list. Added up they are the arrows: most of all, `,
        strong(`unit ${most}`),
        " ",
        wish(activationNudges[l][most]),
        ". Activations cannot be set, so these wishes are handed on, one layer back.",
      ),
    ];
  },
  next(network, { explained, next, nextNumber, nextButton }) {
    const cosine = agreement(network, explained, next);
    const top = mostSensitive(network, explained, 20);
    const other = wishesOf(next);
    const against = top.filter((found) => Math.sign(nudgeAt(other, found)) * Math.sign(found.nudge) < 0).length;
    return [
      h(
        "p",
        {},
        `One sample is not all that the network must please. Sample ${nextNumber} of the mini-batch is a `,
        strong(String(next.label)),
        ", and the diagram now shows what it wants of all weights and biases.",
      ),
      h(
        "p",
        {},
        "Its cosine with yours is ",
        strong(fixed(cosine)),
        `: ${verdict(cosine)}. Of the ${top.length} weights and biases that matter most to your sample, it wants `,
        strong(`${against} moved the other way`),
        ".",
      ),
      h("p", {}, nextButton, " ", h("a", { href: "#wishes" }, "The same weights, side by side")),
    ];
  },
  average(network, { explained, average, batch }) {
    const cosine = agreementWithAverage(network, explained, average);
    const norms =
      batch.map((one) => wishesOf(one).norm(network)).reduce((total, norm) => total + norm, 0) / batch.length;
    const share = norms > 0 ? average.norm(network) / norms : 0;
    return [
      h(
        "p",
        {},
        `Averaged over the ${batch.length} samples of the mini-batch, much of what single samples want cancels: the average is `,
        strong(`${fixed(share)} times as long`),
        " as what a sample wants by itself.",
      ),
      h(
        "p",
        {},
        "Your sample's cosine with it is ",
        strong(fixed(cosine)),
        `: ${verdict(cosine)}. This average is the negative gradient; a step of gradient descent moves every weight along it, by the learning rate.`,
      ),
      h(
        "p",
        {},
        h("a", { href: "#agreement-title" }, "Who agrees with it"),
        " · ",
        h("a", { href: "#sensitive" }, "The weights that matter most to your sample"),
      ),
    ];
  },
};

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const nudgeAt = (wishes, { l, i, j }) => (i < 0 ? wishes.bias(l, j) : wishes.weight(l, i, j));

function verdict(cosine) {
  if (Math.abs(cosine) < 0.1) return "they want nearly unrelated things";
  return cosine > 0
    ? cosine > 0.5
      ? "they want much the same"
      : "they agree a little"
    : cosine < -0.5
      ? "they want the opposite"
      : "they disagree";
}

function inputName(network, i) {
  return network.side ? `the pixel in row ${Math.floor(i / network.side)}, column ${i % network.side}` : `input ${i}`;
}

// A line about the unit that was chosen.
function unitLine(network, { explained, selected }) {
  if (!selected) return "Choose a unit to see its numbers, and its connections alone.";
  const { l, unit } = selected;
  const { a, z, delta } = explained;
  const numbers = [
    `z = ${fixed(z[l][unit], 3)}`,
    `a = ${fixed(a[l + 1][unit], 3)}`,
    `dC/dz = ${signed(delta[l][unit])}`,
  ];
  return `${capital(l === network.layers.length - 1 ? `output ${unit}` : `hidden layer ${l + 1}, unit ${unit}`)}: ${numbers.join(", ")}`;
}
