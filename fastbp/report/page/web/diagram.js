// The network as a picture: the input, a column of units for every layer, and on it what the step at hand shows.
//
// A step shows edges (a number for every connection that is drawn), rings (what biases want) and arrows (what
// activations want); of each, only what it names. Widths are relative to the largest of its layer.

const MOST_UNITS = 18; // of a layer that has more, those with the strongest weights into the next one

function shownUnits(network, l) {
  const n = l < 0 ? network.n_in : network.layers[l].n;
  const all = Array.from({ length: n }, (_, unit) => unit);
  const next = network.layers[l + 1];
  if (n <= MOST_UNITS || !next) return all;
  const strengths = all.map((i) => next.weights.subarray(i * next.n, (i + 1) * next.n).reduce((t, w) => t + w * w, 0));
  return furthest(strengths, MOST_UNITS).sort((one, other) => one - other);
}

function makeDiagram(svg, network, side, onSelect) {
  const isLast = (l) => l === network.layers.length - 1;
  // Columns are counted as activations are: 0 the input, which is a picture where it can be.
  const shown = Array.from({ length: network.layers.length + 1 }, (_, c) =>
    side && !c ? [] : shownUnits(network, c - 1),
  );
  let places = null;
  let nodes = null;

  function layout(width) {
    const narrow = width < 560;
    const row = narrow ? 24 : 27;
    const radius = narrow ? 8 : 10;
    const picture = side ? (narrow ? 62 : 150) : 0;
    const height = Math.max(...shown.map((units) => units.length)) * row + 30;
    const [first, last] = [side ? picture + (narrow ? 52 : 110) : 30, width - (narrow ? 62 : 150)];
    const step = (last - first) / (shown.length - (side ? 2 : 1) || 1);
    const x = (c) => first + step * (c - (side ? 1 : 0));
    const y = (c, k) => 30 + (height - 30) / 2 + (k - (shown[c].length - 1) / 2) * row;
    places = { width, height, narrow, row, radius, picture, x, y, top: 30 + (height - 30 - picture) / 2 };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    buildNodes();
  }

  function buildNodes() {
    const edges = [];
    const units = [];
    const { x, y, radius, row, picture, top } = places;
    const [under, over] = [s("g", { class: "edges" }), s("g")];
    shown.forEach((list, c) => {
      list.forEach((unit, k) => {
        for (const [k0, from] of (c ? shown[c - 1] : []).entries()) {
          const line = s("line", { x1: x(c - 1), y1: y(c - 1, k0), x2: x(c), y2: y(c, k) });
          edges.push({ line, l: c - 1, i: from, j: unit });
        }
        if (c === 1 && side) {
          const from = top + (picture * (k + 0.5)) / list.length;
          const to = x(1) - radius - row; // behind which the patch lies
          const bend = (picture + to) / 2;
          const d = `M${picture + 2} ${from}C${bend} ${from} ${bend} ${y(1, k)} ${to} ${y(1, k)}H${x(1)}`;
          edges.push({ line: s("path", { d, fill: "none" }), l: 0, i: null, j: unit });
        }
        units.push(buildUnit(c, unit, x(c), y(c, k)));
      });
      over.append(heading(c, list.length));
    });
    under.append(...edges.map(({ line }) => line));
    over.append(...units.map(({ node }) => node));
    const image = side && s("image", { x: 0, y: top, width: picture, height: picture, class: "pixels" });
    svg.replaceChildren(
      under,
      ...(side ? [s("rect", { x: 1, y: top, width: picture - 1, height: picture, class: "frame" }), image] : []),
      over,
    );
    nodes = { edges, units, image };
  }

  function heading(c, count) {
    const n = c ? network.layers[c - 1].n : network.n_in;
    const { narrow, picture, x } = places;
    const name = c === 0 ? "input" : isLast(c - 1) ? "output" : narrow ? `h${c}` : `hidden ${c}`;
    const text = !c && side ? `${side} × ${side}` : count < n ? `${name}: ${count} of ${n}` : `${name}: ${n}`;
    return s(
      "text",
      { x: c === 0 && side ? picture / 2 : x(c), y: 12, class: "heading", "text-anchor": "middle" },
      text,
    );
  }

  function buildUnit(c, unit, cx, cy) {
    const { radius, row, narrow, width } = places;
    const ring = s("circle", { cx, cy, r: radius + 2.5, class: "ring" });
    const disc = s("circle", { cx, cy, r: radius, class: "disc" });
    const arrow = s("path", { class: "arrow" });
    const patch =
      c === 1 && side
        ? s("image", { x: cx - radius - row, y: cy - row / 2 + 1, width: row - 2, height: row - 2, class: "pixels" })
        : null;
    const parts = [ring, disc, arrow, ...(patch ? [patch] : [])];
    const found = { l: c - 1, unit, cx, cy, ring, disc, arrow, patch };
    if (c && isLast(c - 1)) {
      const left = cx + radius + 26;
      found.mark = s("circle", { cx, cy, r: radius + 5, class: "mark" });
      found.bar = s("rect", { x: left + 16, y: cy - 6, height: 12, width: 0, class: "bar", rx: 2 });
      found.room = width - left - 16 - (narrow ? 0 : 40);
      found.value = s("text", { x: width, y: cy + 4, class: "value", "text-anchor": "end" });
      parts.push(found.mark, found.bar, s("text", { x: left, y: cy + 5, class: "name" }, String(unit)));
      if (!narrow) parts.push(found.value);
    }
    const isInput = c === 0;
    found.node = s(
      "g",
      { class: "unit", role: "button", tabindex: -1 },
      ...parts,
      s("circle", { cx, cy, r: row / 2, class: "target" }),
    );
    found.node.addEventListener("click", () => !isInput && onSelect({ l: c - 1, unit }));
    found.node.addEventListener("keydown", (event) => onKey(event, found));
    return found;
  }

  // Arrows go from unit to unit, Enter and the space bar choose one; one unit only is a stop of the Tab key.
  function onKey(event, from) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return from.l >= 0 && onSelect({ l: from.l, unit: from.unit });
    }
    const move = KEYS[event.key];
    if (!move) return;
    event.preventDefault();
    const inColumn = (l) => nodes.units.filter((found) => found.l === l);
    const column = inColumn(from.l + move[0]);
    const at = inColumn(from.l).indexOf(from) + move[1];
    column[Math.max(0, Math.min(column.length - 1, at))]?.node.focus();
  }

  function draw(view) {
    const { explained, selected, step } = view;
    const most = explained.a.map(largest);
    drawEdges(view);
    if (nodes.image) nodes.image.setAttribute("href", view.picture);
    const stop =
      nodes.units.find(({ l, unit }) => l === selected?.l && unit === selected?.unit) ??
      nodes.units.find(({ l }) => l === 0);
    for (const found of nodes.units) {
      const { l, unit, disc, node } = found;
      const value = explained.a[l + 1][unit];
      disc.style.fill = activationTint(value, most[l + 1]);
      const label = l < 0 ? `input ${unit}` : isLast(l) ? `output ${unit}` : `hidden layer ${l + 1}, unit ${unit}`;
      node.setAttribute("aria-label", `${label}: activation ${fixed(value)}`);
      node.setAttribute("aria-pressed", String(selected?.l === l && selected.unit === unit));
      node.setAttribute("tabindex", found === stop ? 0 : -1);
      drawNudges(found, step, explained);
      if (found.bar) drawOutput(found, value, most[l + 1], explained, step);
    }
  }

  function drawEdges({ step, selected }) {
    const values = nodes.edges.map(({ l, i, j }) => (i === null ? step.fan?.(l, j) : step.edge?.(l, i, j)) ?? 0);
    const most = network.layers.map(() => 0);
    nodes.edges.forEach(({ l }, at) => (most[l] = Math.max(most[l], Math.abs(values[at]))));
    nodes.edges.forEach(({ line, l, i, j }, at) => {
      const share = most[l] > 0 ? Math.abs(values[at]) / most[l] : 0;
      const chosen =
        !selected || (selected.l === l && selected.unit === j) || (selected.l === l - 1 && selected.unit === i);
      line.setAttribute("class", share === 0 ? "" : values[at] > 0 ? "up" : "down");
      line.setAttribute("stroke-width", fixedNumber(0.5 + 3.2 * share));
      line.setAttribute(
        "stroke-opacity",
        fixedNumber(share === 0 ? 0.12 : chosen ? 0.06 + 0.94 * share : 0.05 * share),
      );
    });
  }

  function drawNudges(found, step, explained) {
    const { l, unit, ring, arrow, patch, cx, cy } = found;
    const bias = step.ring?.(l, unit) ?? 0;
    const most = bias === 0 ? 0 : largest(explained.delta[l].map((_, j) => step.ring(l, j)));
    ring.setAttribute("class", `ring ${bias > 0 ? "up" : bias < 0 ? "down" : ""}`);
    ring.setAttribute("stroke-width", fixedNumber(bias === 0 ? 0 : 0.5 + (3 * Math.abs(bias)) / most));
    const nudges = step.arrows?.(l) ?? [];
    const share = nudges.length ? nudges[unit] / (largest(nudges) || 1) : 0;
    arrow.setAttribute("class", `arrow ${share > 0 ? "up" : "down"}`);
    const half = (share * (places.row - 3)) / 2;
    const at = cx - places.radius - 14; // on the left, where no edges are while arrows are shown
    arrow.setAttribute(
      "d",
      Math.abs(share) < 0.02 ? "" : `M${at - 7} ${cy + half}L${at} ${cy - half}L${at + 7} ${cy + half}Z`,
    );
    patch?.setAttribute("href", step.patch?.(unit) ?? "");
    patch?.setAttribute("visibility", step.patch ? "visible" : "hidden");
  }

  function drawOutput({ unit, bar, mark, room, value: text }, value, most, explained, step) {
    bar.setAttribute("width", fixedNumber((room * Math.abs(value)) / Math.max(1, most)));
    bar.setAttribute("class", `bar ${value < 0 ? "down" : ""} ${unit === explained.predicted ? "top" : ""}`);
    text.textContent = fixed(value);
    mark.setAttribute("visibility", step.kind !== "forward" && explained.target[unit] === 1 ? "visible" : "hidden");
  }

  return { layout, draw, shown };
}
