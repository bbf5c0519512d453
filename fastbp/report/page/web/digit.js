// Strokes become a digit as those of MNIST are: scaled into a box (20 of 28 pixels), its centre of mass in the middle.
// The strokes are scaled before they get their width, so that a small drawing has strokes as thick as a large one.
//
// A stroke is a list of points [x, y], in any unit; the digit side x side numbers from 0 to 1, row by row.

const STROKE_WIDTH = 2.6; // in pixels of a picture of 28

function strokesToDigit(strokes, side, box) {
  const points = strokes.flat();
  const digit = new Float64Array(side * side);
  if (!points.length) return digit;
  const width = (STROKE_WIDTH * side) / 28;
  const [left, right, top, bottom] = boundsOf(points);
  const size = Math.max(right - left, bottom - top);
  const scale = size > 0 ? (box - width) / size : 0;
  const centred = ([x, y]) => [
    side / 2 + (x - (left + right) / 2) * scale,
    side / 2 + (y - (top + bottom) / 2) * scale,
  ];
  const scaled = strokes.map((stroke) => stroke.map(centred));
  const [dx, dy] = offCentre(rendered(scaled, side, width), side);
  // Nothing may leave the picture: a box as large as the picture leaves no room to move.
  const room = (extent) => Math.max(0, (side - extent * scale - width) / 2);
  const [mx, my] = [limited(-dx, room(right - left)), limited(-dy, room(bottom - top))];
  return rendered(
    scaled.map((stroke) => stroke.map(([x, y]) => [x + mx, y + my])),
    side,
    width,
  );
}

const limited = (value, most) => Math.max(-most, Math.min(most, value));

function boundsOf(points) {
  return points.reduce(
    ([left, right, top, bottom], [x, y]) => [
      Math.min(left, x),
      Math.max(right, x),
      Math.min(top, y),
      Math.max(bottom, y),
    ],
    [Infinity, -Infinity, Infinity, -Infinity],
  );
}

// How far the centre of mass lies off the middle: [x, y] in pixels.
function offCentre(digit, side) {
  let [mass, x, y] = [0, 0, 0];
  digit.forEach((value, at) => {
    mass += value;
    x += value * ((at % side) + 0.5);
    y += value * (Math.floor(at / side) + 0.5);
  });
  return mass > 0 ? [x / mass - side / 2, y / mass - side / 2] : [0, 0];
}

// Every pixel as bright as the nearest piece of stroke is near, over an edge of two pixels: a whole number keeps the
// mass, wherever the stroke lies between pixels.
function rendered(strokes, side, width) {
  const digit = new Float64Array(side * side);
  for (const stroke of strokes) {
    for (let k = 0; k < Math.max(1, stroke.length - 1); k++) {
      drawPiece(digit, side, width / 2, stroke[k], stroke[k + 1] ?? stroke[k]);
    }
  }
  return digit;
}

function drawPiece(digit, side, radius, [x0, y0], [x1, y1]) {
  const edge = 2;
  const reach = radius + edge / 2;
  const first = (value) => Math.max(0, Math.floor(value - reach));
  const last = (value) => Math.min(side - 1, Math.ceil(value + reach));
  const squared = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  for (let row = first(Math.min(y0, y1)); row <= last(Math.max(y0, y1)); row++) {
    for (let column = first(Math.min(x0, x1)); column <= last(Math.max(x0, x1)); column++) {
      const [x, y] = [column + 0.5 - x0, row + 0.5 - y0];
      const along = squared > 0 ? Math.max(0, Math.min(1, (x * (x1 - x0) + y * (y1 - y0)) / squared)) : 0;
      const distance = Math.hypot(x - along * (x1 - x0), y - along * (y1 - y0));
      const bright = Math.max(0, Math.min(1, (reach - distance) / edge));
      if (bright > digit[row * side + column]) digit[row * side + column] = bright;
    }
  }
}

// The box that the data's digits were scaled into: the median of their larger side, in pixels.
function boxOf(samples, side) {
  const sizes = samples.map((sample) => {
    const points = [];
    sample.forEach((value, at) => value > 0.1 && points.push([at % side, Math.floor(at / side)]));
    const [left, right, top, bottom] = boundsOf(points);
    return points.length ? Math.max(right - left, bottom - top) + 1 : side;
  });
  return sizes.length ? sizes.sort((one, other) => one - other)[sizes.length >> 1] : Math.round((20 * side) / 28);
}
