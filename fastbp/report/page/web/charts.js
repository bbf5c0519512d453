// How the training went: the curves, the confusion matrix.

function niceTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  const first = Math.floor(low / step + 1e-9);
  const n = Math.ceil(high / step - 1e-9) - first;
  return Array.from({ length: n + 1 }, (_, k) => (first + k) * step);
}

// Two curves over the epochs, training and validation; gaps where a number is missing.
function fillCurve(figure, name, curves, epochs, asText) {
  const lines = Object.entries(curves).filter(([, values]) => values);
  const values = lines.flatMap(([, points]) => points).filter((value) => value !== null);
  if (!values.length) return;
  figure.hidden = false; // before it is measured
  const svg = figure.querySelector("svg");
  const [width, height, left, bottom] = [svg.clientWidth || 480, 250, 50, 34];
  const end = epochs[epochs.length - 1];
  const ticks = niceTicks(Math.min(...values), Math.max(...values), 4);
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const x = (epoch) => left + ((epoch - 1) / Math.max(1, end - 1)) * (width - left - 14);
  const y = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - bottom - 14);
  const grid = ticks.map((tick) => [
    s("line", { x1: left, x2: width - 10, y1: y(tick), y2: y(tick), class: "grid" }),
    s("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, asText(tick)),
  ]);
  const below = niceTicks(1, end, width < 360 ? 4 : 8).filter(
    (tick) => tick % 1 === 0 && tick >= 1 && tick <= end,
  );
  const epochTexts = below.map((tick) =>
    s("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, String(tick)),
  );
  const drawn = lines.map(([kind, points]) => {
    const path = points
      .map((value, at) =>
        value === null ? "" : `${at && points[at - 1] !== null ? "L" : "M"}${x(epochs[at])} ${y(value)}`,
      )
      .join("");
    const dots = points.flatMap((value, at) =>
      value === null
        ? []
        : [
            s(
              "circle",
              { cx: x(epochs[at]), cy: y(value), r: points.length > 40 ? 1.5 : 3 },
              s("title", {}, `${kind}, epoch ${epochs[at]}: ${asText(value, true)}`),
            ),
          ],
    );
    return s("g", { class: kind }, s("path", { d: path, fill: "none" }), ...dots);
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...grid.flat(),
    ...epochTexts,
    s("text", { x: (left + width) / 2, y: height - 2, "text-anchor": "middle" }, "epoch"),
    ...drawn,
  );
  const last = lines.map(([kind, points]) => `${kind} ${asText(points[points.length - 1] ?? NaN, true)}`).join(", ");
  svg.setAttribute("aria-label", `${name} by epoch; after ${end} epochs: ${last}`);
  figure
    .querySelector(".legend")
    .replaceChildren(
      ...lines.map(([kind, points]) =>
        h("span", { class: kind }, `${kind} ${asText(points[points.length - 1] ?? NaN, true)}`),
      ),
    );
}

// Rows are what a sample is, columns what the network says. Errors are coloured by how many there are.
function fillConfusion(table, confusion) {
  const n = confusion.length;
  const worst = Math.max(1, ...confusion.flatMap((row, i) => row.filter((_, j) => j !== i)));
  const shade = (i, j) => signTint(i === j ? 0.28 : -0.85 * Math.sqrt(confusion[i][j] / worst));
  const classes = Array.from({ length: n }, (_, k) => k);
  const head = h(
    "tr",
    {},
    h("td", {}),
    ...classes.map((j) => h("th", { scope: "col" }, String(j))),
    h("th", { scope: "col" }, "right"),
  );
  const rows = classes.map((i) => {
    const total = confusion[i].reduce((sum, count) => sum + count, 0);
    const cells = classes.map((j) =>
      h(
        "td",
        {
          style: `background:${shade(i, j)}`,
          class: confusion[i][j] ? "" : "none",
          title: `${confusion[i][j]} × ${i} taken for ${j}`,
        },
        String(confusion[i][j]),
      ),
    );
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, String(i)),
      ...cells,
      h("td", { class: "share" }, total ? `${((100 * confusion[i][i]) / total).toFixed(1)} %` : "–"),
    );
  });
  table.replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  const pairs = classes.flatMap((i) => classes.filter((j) => j !== i).map((j) => ({ i, j, count: confusion[i][j] })));
  return pairs
    .filter(({ count }) => count)
    .sort((one, other) => other.count - one.count)
    .slice(0, 3);
}
