// Draws lines as SVG. What lies where, and what ticks and lines are called, was decided when the page was made.
const plots = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LETTER = 6.3; // the width of a letter of 11 pixels, about
  const STRONG = 7; // that of a strong one
  const GAP = 13; // between two labels

  function shape(name, attributes, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  // Both colours are set, and the style sheet takes one: a dark page need not be drawn again for print.
  function inked(element, { light, dark }) {
    element.style.setProperty("--light", light);
    element.style.setProperty("--dark", dark);
    element.classList.add("ink");
    return element;
  }

  function finite(line) {
    return line.y.map((_, at) => at).filter((at) => line.y[at] !== null);
  }

  // Places labels near the heights that they want, none upon another.
  function spread(wanted, low, high) {
    const order = wanted.map((height, index) => [height, index]).sort(([one], [other]) => one - other);
    const placed = [];
    let last = low - GAP;
    for (const [height, index] of order) last = placed[index] = Math.max(height, last + GAP);
    let next = high + GAP;
    for (const [, index] of order.reverse()) next = placed[index] = Math.min(placed[index], next - GAP);
    return placed;
  }

  function extent(plot, width, height) {
    const widest = Math.max(0, ...plot.y.ticks.map(([, text]) => text.length));
    const longest = Math.max(plot.legend.length * LETTER, ...plot.lines.map((line) => line.label.length * (line.strong ? STRONG : LETTER)));
    const named = plot.lines.length > 1 || plot.lines.some((line) => line.alone);
    const room = longest + 22;
    const direct = named && plot.lines.length * GAP < height - 70 && room < width * 0.4;
    const area = { left: 10 + widest * LETTER, top: 26, right: direct ? room : 14 };
    area.width = width - area.left - area.right;
    const twoRows = rows(plot.x.ticks, (at) => area.left + share(plot.x, at) * area.width).some(([, , row]) => row > 0);
    const bottom = twoRows ? 52 : 41;
    return { ...area, named, direct, bottom, height: height - area.top - bottom };
  }

  const share = (axis, at) => (at - axis.low) / (axis.high - axis.low || 1);

  function scales(plot, area) {
    return {
      x: (at) => area.left + share(plot.x, at) * area.width,
      y: (at) => area.top + (1 - share(plot.y, at)) * area.height,
    };
  }

  // Labels that would touch stand in two rows by turns; where that has no room either, some are left out, never the last.
  function rows(ticks, place) {
    const named = ticks.filter(([, text]) => text);
    const touch = (one, other) => place(other[0]) - place(one[0]) < ((one[1].length + other[1].length) / 2) * LETTER + 6;
    if (!named.some((tick, at) => at > 0 && touch(named[at - 1], tick))) return named.map((tick) => [...tick, 0]);
    if (!named.some((tick, at) => at > 1 && touch(named[at - 2], tick))) return named.map((tick, at) => [...tick, at % 2]);
    const kept = [];
    for (const tick of [...named].reverse()) if (!kept.length || !touch(tick, kept[0])) kept.unshift([...tick, 0]);
    return kept;
  }

  function axes(plot, area, to, height) {
    const drawn = [];
    const bottom = area.top + area.height;
    const right = area.left + area.width;
    for (const [at, text] of plot.y.ticks) {
      const y = to.y(at);
      drawn.push(shape("path", { class: "rule", d: `M${area.left} ${y}H${right}` }));
      drawn.push(shape("text", { x: area.left - 6, y: y + 4, "text-anchor": "end" }, text));
    }
    if (plot.reference !== null) {
      const [at, text] = plot.reference;
      drawn.push(shape("path", { class: "reference", d: `M${area.left} ${to.y(at)}H${right}` }));
    }
    for (const [at] of plot.x.ticks) drawn.push(shape("path", { class: "tick", d: `M${to.x(at)} ${bottom}v4` }));
    for (const [at, text, row] of rows(plot.x.ticks, to.x)) {
      drawn.push(shape("text", { class: "x", x: to.x(at), y: bottom + 16 + 11 * row, "text-anchor": "middle" }, text));
    }
    drawn.push(shape("path", { class: "axis", d: `M${area.left} ${area.top}V${bottom}H${right}` }));
    drawn.push(
      shape("text", { class: "label", x: area.left + area.width / 2, y: height - 6, "text-anchor": "middle" }, plot.x.label),
      // Lying, not standing: it is read without turning the head, and a small plot has room for it.
      shape("text", { class: "label", x: 0, y: 10 }, plot.y.label),
    );
    if (plot.chosen !== null) {
      drawn.push(shape("path", { class: "chosen-t", d: `M${to.x(plot.chosen)} ${area.top}V${bottom}` }));
    }
    return drawn;
  }

  // Names the reference at that of six places along its line where least lies: lines count more than bands. Below the axis
  // are its labels.
  function referenceName(plot, area, to) {
    if (plot.reference === null || plot.unnamed) return [];
    const [at, text] = plot.reference;
    const [y, right, long] = [to.y(at), area.left + area.width, text.length * LETTER];
    const left = { end: right - 4 - long, start: area.left + 4, middle: (area.left + right - long) / 2 };
    const places = [-4, 13].filter((down) => y + down <= area.top + area.height).flatMap((down) => Object.keys(left).map((anchor) => [anchor, down]));
    const lies = ([anchor, down]) => ([x, height]) =>
      x > left[anchor] - 5 && x < left[anchor] + long + 5 && height > y + down - 13 && height < y + down + 5;
    const cost = (place) => plot.lines.reduce((sum, line) => sum + 10 * along(line, line.y, to).filter(lies(place)).length
      + (line.banded ? [line.low, line.high].flatMap((edge) => along(line, edge, to)).filter(lies(place)).length : 0), 0);
    const [anchor, down] = places.map((place) => [cost(place), place]).reduce((best, one) => (one[0] < best[0] ? one : best))[1];
    return [shape("text", { class: "reference-name", x: left[anchor], y: y + down }, text)];
  }

  // Returns points along a line through some values of it.
  function along(line, values, to) {
    const known = finite(line);
    const parts = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
    const between = (from, there) => parts.map((part) => [
      to.x(line.p[from] + part * (line.p[there] - line.p[from])), to.y(values[from] + part * (values[there] - values[from]))]);
    return known.slice(1).flatMap((at, index) => between(known[index], at));
  }

  // Where a number is not defined, a line has a gap.
  function pieces(line) {
    const found = [];
    for (const at of finite(line)) {
      if (found.length && found.at(-1).at(-1) === at - 1) found.at(-1).push(at);
      else found.push([at]);
    }
    return found;
  }

  function band(line, to) {
    const edges = pieces(line).filter((piece) => piece.every((at) => line.low[at] !== null && line.high[at] !== null));
    const there = (piece) => piece.map((at) => `${to.x(line.p[at])} ${to.y(line.high[at])}`);
    const back = (piece) => [...piece].reverse().map((at) => `${to.x(line.p[at])} ${to.y(line.low[at])}`);
    const path = edges.map((piece) => `M${[...there(piece), ...back(piece)].join("L")}Z`).join("");
    return inked(shape("path", { class: "band", d: path }), line.colour);
  }

  // The outlines of markers, by the names that the page's data has; each is as wide and as high around its middle.
  const MARKERS = {
    s: "M-.9 -.9H.9V.9H-.9Z",
    "^": "M0 -1.1L1.1 1.1H-1.1Z",
    v: "M0 1.1L1.1 -1.1H-1.1Z",
    "<": "M-1.1 0L1.1 1.1V-1.1Z",
    ">": "M1.1 0L-1.1 1.1V-1.1Z",
    D: "M0 -1.25L1.25 0L0 1.25L-1.25 0Z",
    d: "M0 -1.4L.8 0L0 1.4L-.8 0Z",
    h: "M0 -1.25L1.05 -.6V.6L0 1.25L-1.05 .6V-.6Z",
    p: "M0 -1.25L1.2 -.4L.75 1.05H-.75L-1.2 -.4Z",
    P: "M-.4 -1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4Z",
    X: "M-1.1 -.6L-.6 -1.1L0 -.5L.6 -1.1L1.1 -.6L.5 0L1.1 .6L.6 1.1L0 .5L-.6 1.1L-1.1 .6L-.5 0Z",
    "*": "M0 -1.3L.35 -.4H1.3L.55 .2L.8 1.3L0 .65L-.8 1.3L-.55 .2L-1.3 -.4H-.35Z",
  };
  const DASH = 1.4; // pixels of a point, of which the data's dashes are

  function dot(marker, x, y, r) {
    if (!(marker in MARKERS)) return shape("circle", { class: "dot", cx: x, cy: y, r });
    return shape("path", { class: "dot", d: MARKERS[marker], transform: `translate(${x} ${y}) scale(${r})` });
  }

  function trace(line, d) {
    return shape("path", { class: "stroke", d, "stroke-dasharray": line.dashes.map((one) => one * DASH).join(" ") });
  }

  // How a line looks, for a legend.
  function sample(line) {
    const svg = shape("svg", { viewBox: "0 0 34 10", width: 34, height: 10, "aria-hidden": "true" });
    svg.append(inked(shape("g", { class: "line strong" }, trace(line, "M0 5H34"), dot(line.marker, 17, 5, 3.2)), line.colour));
    return svg;
  }

  function stroke(line, to) {
    const path = pieces(line).map((piece) => `M${piece.map((at) => `${to.x(line.p[at])} ${to.y(line.y[at])}`).join("L")}`);
    const dots = finite(line).map((at) => dot(line.marker, to.x(line.p[at]), to.y(line.y[at]), line.strong ? 3.2 : 2.6));
    const group = shape("g", { class: line.strong ? "line strong" : "line" }, trace(line, path.join("")), ...dots);
    return inked(group, line.colour);
  }

  function labels(plot, area, to) {
    const shown = plot.lines.filter((line) => finite(line).length);
    const ends = shown.map((line) => finite(line).at(-1));
    const heights = shown.map((line, index) => to.y(line.y[ends[index]]));
    const placed = spread(heights, area.top + 8, area.top + area.height);
    const right = area.left + area.width;
    const drawn = shown.map((line, index) => {
      // Lines that end together would have leaders that cross: there, a short piece in the line's colour stands for it.
      const far = heights.some((height, other) => Math.abs(height - heights[index]) < 3 && Math.abs(placed[other] - height) > GAP);
      const from = far ? `${right + 2} ${placed[index]}` : `${to.x(line.p[ends[index]])} ${heights[index]}`;
      const sign = () => dot(line.marker, right + 7, placed[index], 3.2); // a point has no dashes: its marker tells it
      const leader = far && line.y.length === 1 ? sign() : shape("path", { class: far ? "leader key" : line.y.length > 1 ? "leader" : "leader dotted", d: `M${from}L${right + 12} ${placed[index]}` });
      const text = shape("text", { class: line.strong ? "name strong" : "name", x: right + 15, y: placed[index] + 4 }, line.label);
      return inked(shape("g", {}, leader, text), line.colour);
    });
    const title = () => shape("text", { class: "legend-title", x: right + area.right, y: 10, "text-anchor": "end" }, plot.legend);
    return plot.legend && !plot.untitled ? [...drawn, title()] : drawn;
  }

  function said(plot) {
    const told = plot.lines.filter((line) => finite(line).length).map((line) => {
      const known = finite(line);
      const ends = [...new Set([known[0], known.at(-1)])].map((at) => line.told[at]);
      return `${line.label ? `${[plot.legend, line.label].filter(Boolean).join(" ")}: ` : ""}${ends.join("; ")}`;
    });
    const what = [plot.about, plot.title, `${plot.y.label} against ${plot.x.label}`].filter(Boolean).join(". ");
    return `Line chart: ${what}. ${told.join(". ")}. The table below it lists every point.`;
  }

  // Returns an SVG and the points of each line, with their places in the SVG and what is told of them.
  function draw(plot, width, height) {
    const area = extent(plot, width, height);
    const to = scales(plot, area);
    const inside = { x: area.left - 4, y: area.top - 4, width: area.width + 8, height: area.height + 8 };
    const clip = shape("svg", { ...inside, viewBox: `${inside.x} ${inside.y} ${inside.width} ${inside.height}` });
    clip.append(...plot.lines.filter((line) => line.banded).map((line) => band(line, to)), ...plot.lines.map((line) => stroke(line, to)));
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said(plot) });
    svg.append(...axes(plot, area, to, height), clip, ...referenceName(plot, area, to), ...(area.direct ? labels(plot, area, to) : []));
    const points = plot.lines.map((line) =>
      finite(line).map((at) => ({ x: to.x(line.p[at]), y: to.y(line.y[at]), text: [line.label, line.told[at]].filter(Boolean).join(", ") })));
    return { svg, points, legend: area.named && !area.direct };
  }

  return { draw, inked, sample, shape };
})();
