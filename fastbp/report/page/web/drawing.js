// The pad: strokes by mouse, finger or pen; by keyboard, the arrows move the pen and the space bar sets it down.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_STEP = 1 / 28;

function makePad(canvas, side, onChange) {
  let strokes = [];
  let drawing = false; // the last stroke is not finished
  let pen = null; // where the keyboard's pen is, once it is used
  let taken = null; // the picture of a sample that was taken, until something is drawn
  const context = canvas.getContext("2d");

  function redraw() {
    const size = canvas.width;
    const at = ([x, y]) => [x * size, y * size];
    context.fillStyle = css(theme.off);
    context.fillRect(0, 0, size, size);
    if (taken && !strokes.length) {
      context.imageSmoothingEnabled = false;
      context.drawImage(paintDigit(h("canvas"), taken, side), 0, 0, size, size);
    }
    context.strokeStyle = css(theme.on);
    Object.assign(context, { lineWidth: size / 12, lineCap: "round", lineJoin: "round" });
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(...at(stroke[0]));
      for (const point of stroke.length > 1 ? stroke.slice(1) : stroke) context.lineTo(...at(point));
      context.stroke();
    }
    if (pen) {
      context.strokeStyle = css(drawing ? theme.up : theme.down);
      context.lineWidth = size / 90;
      context.beginPath();
      context.arc(...at(pen), size / 22, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function changed() {
    redraw();
    onChange(strokes);
  }

  function pointAt(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function put(point, starts) {
    if (starts) strokes.push([point]);
    else strokes[strokes.length - 1].push(point);
    changed();
  }

  function clear() {
    [strokes, drawing, taken] = [[], false, null];
    if (pen) pen = [0.5, 0.5];
    changed();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    [pen, drawing] = [null, true];
    put(pointAt(event), true);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing || pen) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.slice(0, -1)) strokes[strokes.length - 1].push(pointAt(one));
    put(pointAt(event), false);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (!pen) drawing = false;
    });
  }
  canvas.addEventListener("keydown", (event) => {
    const move = KEYS[event.key];
    if (!move && ![" ", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    if (!move && event.key !== " ") return clear();
    pen ??= [0.5, 0.5];
    if (!move) {
      drawing = !drawing;
      if (drawing) return put(pen, true);
    } else {
      pen = pen.map((value, k) => Math.max(0, Math.min(1, value + move[k] * KEY_STEP)));
      if (drawing) return put(pen, false);
    }
    redraw();
  });
  canvas.addEventListener("blur", () => {
    if (pen) [pen, drawing] = [null, false];
    redraw();
  });
  return {
    clear,
    redraw,
    show: (digit) => {
      [strokes, drawing, pen, taken] = [[], false, null, digit];
      redraw();
    },
  };
}
