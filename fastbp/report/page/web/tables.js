// What many samples want of the same parameters, side by side; and the parameters that one sample feels most.

function parameterName(network, { l, i, j }) {
  const to = capital(unitName(network, l, j));
  const where = l > 0 && l < network.layers.length - 1 ? ` of ${layerName(network, l)}` : "";
  if (i < 0) return `${to}${where}: bias`;
  const from = l
    ? `unit ${i}`
    : network.side
      ? `pixel ${Math.floor(i / network.side)}, ${i % network.side}`
      : `input ${i}`;
  return `${to}${where} ← ${from}`;
}

const pythonName = ({ l, i, j }) => (i < 0 ? `biases[${l}][${j}]` : `weights[${l}][${i}, ${j}]`);

// A row for each of the parameters that this sample feels most, a column for each sample; see 3Blue1Brown, chapter 3.
function fillWishes(table, network, { explained, batch, average, thumbnail, order }) {
  const rows = mostSensitive(network, explained, 8);
  const columns = order.slice(0, 6).map((at) => batch[at]);
  const shade = (share) => signTint(Math.sign(share) * 0.7 * Math.sqrt(Math.abs(share)));
  const cell = (share, text, title) => h("td", { style: `background:${shade(share)}`, title }, text);
  const values = rows.map((row) => [
    row.nudge,
    ...columns.map((one) => nudgeAt(wishesOf(one), row)),
    nudgeAt(average, row),
  ]);
  const { scale, text: unit } = unitOf(Math.abs(rows[0].nudge));
  // What is too small for two digits keeps its sign: 0 is only what does not matter to a sample at all.
  const inUnit = (value) => (value === 0 ? "0" : (value > 0 ? "+" : "−") + fixed(Math.abs(value * scale)));
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, unit ? `nudges, in ${unit}` : "nudges"),
    h("th", { scope: "col", class: "own" }, thumbnail(explained), `yours, a ${explained.label}`),
    ...columns.map((one) => h("th", { scope: "col" }, thumbnail(one), `a ${one.label}`)),
    h(
      "th",
      { scope: "col", class: "average" },
      h("span", { class: "dots", "aria-hidden": true }, "…"),
      `average of ${batch.length}`,
    ),
  );
  const body = rows.map((row, at) => {
    const most = largest(values[at]) || 1;
    const name = h("th", { scope: "row", title: pythonName(row) }, parameterName(network, row));
    return h("tr", {}, name, ...values[at].map((value) => cell(value / most, inUnit(value), signed(value))));
  });
  const cosines = [
    1,
    ...columns.map((one) => agreement(network, explained, one)),
    agreementWithAverage(network, explained, average),
  ];
  const foot = h(
    "tr",
    { class: "cosines" },
    h("th", { scope: "row" }, "agrees with yours (cosine)"),
    ...cosines.map((value) => cell(value, fixed(value))),
  );
  table.replaceChildren(h("thead", {}, head), h("tbody", {}, ...body), h("tfoot", {}, foot));
}

// A dot for every sample of the mini-batch: how far it agrees with the average.
function fillAgreement(svg, network, { batch, average, explained }) {
  const cosines = batch.map((one) => agreementWithAverage(network, one, average));
  const own = agreementWithAverage(network, explained, average);
  const [width, height] = [svg.clientWidth || 600, 118];
  const x = (cosine) => 14 + ((cosine + 1) / 2) * (width - 28);
  const stacked = new Map();
  const dots = cosines.map((cosine, at) => {
    const bin = Math.round(x(cosine) / 7);
    stacked.set(bin, (stacked.get(bin) ?? 0) + 1);
    const title = s("title", {}, `sample ${at}, a ${batch[at].label}: ${fixed(cosine)}`);
    return s(
      "circle",
      { cx: bin * 7, cy: height - 30 - 5.6 * (stacked.get(bin) - 1), r: 2.7, class: cosine < 0 ? "down" : "up" },
      title,
    );
  });
  const mark = s("path", { class: "own", d: `M${x(own)} ${height - 22}l-5 9h10z` });
  const labels = [
    [-1, "the opposite", "start"],
    [0, "unrelated", "middle"],
    [1, "the same", "end"],
  ].map(([value, text, anchor]) =>
    s(
      "text",
      { x: value < 0 ? 2 : value > 0 ? width - 2 : x(0), y: height - 2, "text-anchor": anchor, class: "heading" },
      text,
    ),
  );
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    s("line", { x1: 14, x2: width - 14, y1: height - 25, y2: height - 25, class: "axis" }),
    s("line", { x1: x(0), x2: x(0), y1: 6, y2: height - 25, class: "axis" }),
    ...dots,
    mark,
    ...labels,
  );
  const agree = cosines.filter((cosine) => cosine > 0).length;
  const against = cosines.filter((cosine) => cosine < 0).length;
  return `${agree} of ${batch.length} samples agree with the average, ${against} pull against it; the triangle is yours (${fixed(own)}).`;
}

function fillSensitive(list, network, { explained }) {
  const { median, count, total } = medianSensitivity(network, explained);
  const rows = mostSensitive(network, explained, 10);
  const most = Math.abs(rows[0].nudge) || 1;
  list.replaceChildren(
    ...rows.map((row) =>
      h(
        "li",
        {},
        h("span", { class: "parameter" }, parameterName(network, row), h("code", {}, pythonName(row))),
        h(
          "span",
          { class: "track" },
          h("span", {
            class: row.nudge < 0 ? "fill down" : "fill up",
            style: `width:${(100 * Math.abs(row.nudge)) / most}%`,
          }),
        ),
        h(
          "span",
          { class: "amount" },
          wish(row.nudge),
          median > 0 ? h("b", {}, `${times(Math.abs(row.nudge) / median)} ×`) : "",
        ),
      ),
    ),
  );
  const none = total - count;
  const silent = none
    ? ` ${whole(none)} of the ${whole(total)} parameters do not matter to this sample at all, such as those from inputs that are 0; the median is that of the others.`
    : "";
  return `The ratio is to the median of |dC/dw|, ${number(median)}.${silent}`;
}
