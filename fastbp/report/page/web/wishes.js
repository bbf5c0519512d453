// What samples want of the parameters. One sample's nudges of a layer's weights are an outer product, so they are
// kept as its two factors; only the average of a mini-batch is an array of its own.
//
// Nudges of either kind answer weight(l, i, j), which is -dC/dW_l[i, j], and bias(l, j), which is -dC/db_l[j].

function wishesOf(explained) {
  const { a, delta } = explained;
  return {
    weight: (l, i, j) => -a[l][i] * delta[l][j],
    bias: (l, j) => -delta[l][j],
    norm: (network) => Math.sqrt(dotOfSamples(network, explained, explained)),
  };
}

// The average over samples: minus the gradient of the averaged cost.
function averageWishes(network, explained) {
  const weights = network.layers.map(({ n_in, n }) => new Float64Array(n_in * n));
  const biases = network.layers.map(({ n }) => new Float64Array(n));
  for (const { a, delta } of explained) {
    for (const [l, { n_in, n }] of network.layers.entries()) {
      const push = delta[l].map((value) => -value / explained.length);
      for (let j = 0; j < n; j++) biases[l][j] += push[j];
      for (let i = 0; i < n_in; i++) {
        if (a[l][i] === 0) continue;
        for (let j = 0, at = i * n; j < n; j++) weights[l][at + j] += a[l][i] * push[j];
      }
    }
  }
  const squares = (l, values) => values.reduce((total, value) => total + value * value, 0);
  const parts = network.layers.map((layer, l) => squares(l, weights[l]) + (layer.bias ? squares(l, biases[l]) : 0));
  return {
    weight: (l, i, j) => weights[l][i * network.layers[l].n + j],
    bias: (l, j) => biases[l][j],
    norm: () => Math.sqrt(parts.reduce((total, part) => total + part, 0)),
    weights,
    biases,
  };
}

const dot = (one, other) => one.reduce((total, value, i) => total + value * other[i], 0);
const cosineOf = (product, norms) => (norms > 0 ? product / norms : 0);

// The dot product of two samples' gradients, without forming them: (a . a' + 1 for the bias) (delta . delta').
function dotOfSamples(network, one, other) {
  return network.layers.reduce(
    (total, layer, l) => total + (dot(one.a[l], other.a[l]) + layer.bias) * dot(one.delta[l], other.delta[l]),
    0,
  );
}

// How far two samples want the same: 1 the same direction, 0 nothing to do with each other, -1 the opposite.
function agreement(network, one, other) {
  const norms = Math.sqrt(dotOfSamples(network, one, one) * dotOfSamples(network, other, other));
  return cosineOf(dotOfSamples(network, one, other), norms);
}

// How far a sample wants what the average of the mini-batch wants.
function agreementWithAverage(network, { a, delta }, average) {
  let product = 0;
  let squares = 0;
  for (const [l, { n_in, n, bias }] of network.layers.entries()) {
    for (let i = 0; i < n_in; i++) {
      if (a[l][i] === 0) continue;
      for (let j = 0, at = i * n; j < n; j++) product -= a[l][i] * delta[l][j] * average.weights[l][at + j];
    }
    if (bias) product -= dot(delta[l], average.biases[l]);
    squares += (dot(a[l], a[l]) + bias) * dot(delta[l], delta[l]);
  }
  return cosineOf(product, average.norm() * Math.sqrt(squares));
}

// Indices of the k values that are furthest from 0, the furthest first.
function furthest(values, k) {
  const order = Array.from(values, (_, at) => at);
  return order.sort((one, other) => Math.abs(values[other]) - Math.abs(values[one]) || one - other).slice(0, k);
}

// The k parameters with the largest |dC/dw|: { l, i, j, nudge }, i is -1 for a bias. The k largest of an outer
// product are among the products of the k largest of its factors.
function mostSensitive(network, { a, delta }, k) {
  const found = network.layers.flatMap((layer, l) => {
    const rows = furthest(a[l], k).map((i) => ({ i, factor: a[l][i] }));
    if (layer.bias) rows.push({ i: -1, factor: 1 });
    const columns = furthest(delta[l], k);
    return rows.flatMap(({ i, factor }) => columns.map((j) => ({ l, i, j, nudge: -factor * delta[l][j] })));
  });
  return furthest(
    found.map(({ nudge }) => nudge),
    k,
  ).map((at) => found[at]);
}

// The median of |dC/dw| over the parameters where it is not 0 (a black pixel's weights have none), and their number.
function medianSensitivity(network, { a, delta }) {
  const sizes = new Float64Array(network.layers.reduce((total, { n_in, n, bias }) => total + (n_in + bias) * n, 0));
  let count = 0;
  for (const [l, { n, bias }] of network.layers.entries()) {
    for (const value of bias ? [...a[l], 1] : a[l]) {
      if (value === 0) continue;
      for (let j = 0; j < n; j++) if (delta[l][j] !== 0) sizes[count++] = Math.abs(value * delta[l][j]);
    }
  }
  const sorted = sizes.subarray(0, count).sort();
  const middle = count >> 1;
  const median = count % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median: count ? median : 0, count, total: sizes.length };
}
