// Tells the value of a point in a plot: the nearest to the pointer, or one chosen by the arrow keys.
const pointing = (() => {
  const NEAR = 40; // pixels from the pointer to the point that it means

  function teller(element, drawn) {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    tip.hidden = true;
    const ring = plots.shape("circle", { class: "ring", r: 6, visibility: "hidden" });
    drawn.svg.append(ring);
    element.append(tip);
    const hush = () => {
      tip.hidden = true;
      ring.setAttribute("visibility", "hidden");
    };
    const tell = (point) => {
      const box = drawn.svg.getBoundingClientRect();
      const scale = drawn.svg.viewBox.baseVal.width / box.width;
      tip.hidden = false;
      ring.setAttribute("visibility", "visible");
      ring.setAttribute("cx", point.x);
      ring.setAttribute("cy", point.y);
      tip.textContent = point.text;
      tip.style.left = `${Math.max(0, Math.min(point.x / scale, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${drawn.svg.getBoundingClientRect().top - element.getBoundingClientRect().top + point.y / scale + 12}px`;
    };
    return { hush, tell };
  }

  function follow(element, drawn, { hush, tell }) {
    const points = drawn.points.flat();
    element.addEventListener("pointermove", (event) => {
      const box = drawn.svg.getBoundingClientRect();
      const scale = drawn.svg.viewBox.baseVal.width / box.width;
      const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      const away = (point) => Math.hypot(point.x - x, point.y - y);
      const nearest = points.reduce((best, point) => (best && away(best) <= away(point) ? best : point), null);
      if (nearest !== null && away(nearest) < NEAR) tell(nearest);
      else hush();
    });
    element.addEventListener("pointerleave", hush);
  }

  // Left and right go along a line, up and down to another one, through all plots of a figure.
  function keys(box, parts) {
    const lines = parts.flatMap(({ drawn, told }) => drawn.points.filter((line) => line.length).map((line) => ({ line, told })));
    let [which, at] = [0, 0];
    const show = () => {
      parts.forEach(({ told }) => told.hush());
      lines[which].told.tell(lines[which].line[at]);
    };
    box.onkeydown = (event) => {
      const [along, across] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (event.key === "Escape") parts.forEach(({ told }) => told.hush());
      if ((!along && !across) || !lines.length) return;
      event.preventDefault();
      which = (which + across + lines.length) % lines.length;
      at = Math.max(0, Math.min(at + along, lines[which].line.length - 1));
      show();
    };
    box.onfocus = () => { if (lines.length && box.matches(":focus-visible")) show(); };
    box.onblur = () => parts.forEach(({ told }) => told.hush());
  }

  return { teller, follow, keys };
})();
