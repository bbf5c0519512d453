// One sample forward and back, in double precision, as fastbp.explain does it in Python. Layers count from 0;
// W is (n_in, n_out), row by row:
//
//   z[l] = a[l] W_l + b_l,  a[l + 1] = f(z[l])        delta[l] = dC/dz[l]
//   the desired nudges: of weights -outer(a[l], delta[l]), of biases -delta[l], of activations -W_l delta[l]

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const GELU_SLOPE = Math.sqrt(2 / Math.PI);
const geluGate = (z) => Math.tanh(GELU_SLOPE * (z + 0.044715 * z ** 3));

// name: [f(z), f'(z) from z and a]; at a kink the slope to its left. Softmax needs a whole layer: see activate.
const ACTIVATIONS = {
  sigmoid: [sigmoid, (z, a) => a * (1 - a)],
  tanh: [Math.tanh, (z, a) => 1 - a * a],
  relu: [(z) => Math.max(z, 0), (z) => (z > 0 ? 1 : 0)],
  leaky_relu: [(z) => (z > 0 ? z : 0.01 * z), (z) => (z > 0 ? 1 : 0.01)],
  elu: [(z) => (z > 0 ? z : Math.expm1(z)), (z) => (z > 0 ? 1 : Math.exp(z))],
  softplus: [softplus, sigmoid],
  gelu: [
    (z) => 0.5 * z * (1 + geluGate(z)),
    (z) => {
      const gate = geluGate(z);
      return 0.5 * (1 + gate) + 0.5 * z * (1 - gate * gate) * GELU_SLOPE * (1 + 3 * 0.044715 * z * z);
    },
  ],
  identity: [(z) => z, () => 1],
  exp: [Math.exp, (z, a) => a],
};

// Costs of the difference e between an output and its target, with n outputs: [what it adds, its slope].
const DIFFERENCES = {
  sum_of_squares: [(e) => e * e, (e) => 2 * e],
  half_sum_of_squares: [(e) => (e * e) / 2, (e) => e],
  mean_squared_error: [(e, n) => (e * e) / n, (e, n) => (2 * e) / n],
  absolute_error: [Math.abs, Math.sign],
  huber: [(e) => (Math.abs(e) <= 1 ? (e * e) / 2 : Math.abs(e) - 0.5), (e) => Math.max(-1, Math.min(1, e))],
};

function bytesOf(base64) {
  const text = atob(base64);
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

// Whole numbers of `bits` bits, the highest bit first and without gaps; those that are stored are 0 or more.
function unpackWhole(bytes, bits, n) {
  const top = 2 ** (bits - 1) - 1;
  const whole = new Int32Array(n);
  for (let i = 0, held = 0, pending = 0, at = 0; i < n; i++) {
    for (; held < bits; held += 8) pending = ((pending & 0xffff) << 8) | bytes[at++];
    held -= bits;
    whole[i] = ((pending >>> held) & (2 ** bits - 1)) - top;
  }
  return whole;
}

function unpackWeights(packed, bits, n) {
  const bytes = bytesOf(packed.weights);
  if (bits === 32) return new Float32Array(bytes.buffer);
  const scales = new Float32Array(bytesOf(packed.scales).buffer);
  return Float32Array.from(unpackWhole(bytes, bits, n), (whole, at) => whole * scales[at % scales.length]);
}

// The network in the page's data: layers of { n_in, n, activation, bias, weights, biases }.
function readNetwork(data) {
  let n_in = data.n_in;
  const layers = data.layers.map((layer, l) => {
    const packed = data.parameters[l];
    const weights = unpackWeights(packed, data.bits, n_in * layer.n);
    const biases = layer.bias ? new Float32Array(bytesOf(packed.biases).buffer) : new Float32Array(layer.n);
    const read = { ...layer, n_in, weights, biases };
    n_in = layer.n;
    return read;
  });
  return { n_in: data.n_in, n_out: n_in, cost: data.cost, layers };
}

function activate(name, z) {
  if (name !== "softmax") return z.map(ACTIVATIONS[name][0]);
  const top = z.reduce((most, value) => Math.max(most, value));
  const powers = z.map((value) => Math.exp(value - top));
  const sum = powers.reduce((total, value) => total + value);
  return powers.map((value) => value / sum);
}

function forward(network, x) {
  const z = [];
  const a = [Float64Array.from(x)];
  for (const { n_in, n, activation, weights, biases } of network.layers) {
    const sum = Float64Array.from(biases);
    const input = a[a.length - 1];
    for (let i = 0; i < n_in; i++) {
      if (input[i] === 0) continue;
      for (let j = 0, at = i * n; j < n; j++) sum[j] += input[i] * weights[at + j];
    }
    z.push(sum);
    a.push(activate(activation, sum));
  }
  return { z, a };
}

// A label as the outputs should have been: a class among several, or the one number that there is.
function targetOf(network, label) {
  return Float64Array.from({ length: network.n_out }, (_, j) => (network.n_out === 1 ? label : Number(j === label)));
}

function costOf(network, { z, a }, target) {
  const [outputs, last] = [a[a.length - 1], z[z.length - 1]];
  const { activation } = network.layers[network.layers.length - 1];
  const sum = (term) => outputs.reduce((total, value, j) => total + term(value, j), 0);
  if (network.cost in DIFFERENCES) {
    return sum((value, j) => DIFFERENCES[network.cost][0](value - target[j], network.n_out));
  }
  if (network.cost === "poisson") return sum((value, j) => value - target[j] * last[j]);
  if (activation !== "softmax") return sum((_, j) => softplus(last[j]) - target[j] * last[j]);
  const top = last.reduce((most, value) => Math.max(most, value));
  const log = top + Math.log(last.reduce((total, value) => total + Math.exp(value - top), 0));
  return sum((_, j) => target[j] * (log - last[j]));
}

function outputDelta(network, { z, a }, target) {
  const [outputs, last] = [a[a.length - 1], z[z.length - 1]];
  const { activation } = network.layers[network.layers.length - 1];
  if (!(network.cost in DIFFERENCES)) {
    const share = activation === "softmax" ? target.reduce((total, value) => total + value) : 1;
    return outputs.map((value, j) => value * share - target[j]);
  }
  const slopes = outputs.map((value, j) => DIFFERENCES[network.cost][1](value - target[j], network.n_out)); // dC/da
  if (activation !== "softmax")
    return slopes.map((value, j) => value * ACTIVATIONS[activation][1](last[j], outputs[j]));
  const mean = slopes.reduce((total, value, j) => total + value * outputs[j], 0);
  return slopes.map((value, j) => outputs[j] * (value - mean));
}

// What a layer wants of the activations that come into it: -dC/da = -W delta.
function activationNudges({ n_in, n, weights }, delta) {
  const nudges = new Float64Array(n_in);
  for (let i = 0; i < n_in; i++) {
    for (let j = 0, at = i * n; j < n; j++) nudges[i] -= weights[at + j] * delta[j];
  }
  return nudges;
}

// All of one sample: z, a, delta, activationNudges (by layer, of the layer's inputs), target, outputNudges, cost.
// The first layer's inputs cannot be nudged, so activationNudges[0] is empty.
function explain(network, x, label) {
  const found = forward(network, x);
  const target = targetOf(network, label);
  const delta = [outputDelta(network, found, target)];
  const nudges = [];
  for (let l = network.layers.length - 1; l > 0; l--) {
    const wanted = activationNudges(network.layers[l], delta[0]);
    const slope = ACTIVATIONS[network.layers[l - 1].activation][1];
    nudges.unshift(wanted);
    delta.unshift(wanted.map((value, i) => -value * slope(found.z[l - 1][i], found.a[l][i])));
  }
  nudges.unshift(new Float64Array(0));
  const outputs = found.a[found.a.length - 1];
  return {
    ...found,
    delta,
    target,
    label,
    activationNudges: nudges,
    outputNudges: target.map((value, j) => value - outputs[j]),
    cost: costOf(network, found, target),
    predicted: classOf(outputs),
  };
}

function classOf(outputs) {
  return outputs.length === 1 ? Number(outputs[0] >= 0.5) : outputs.indexOf(Math.max(...outputs));
}
