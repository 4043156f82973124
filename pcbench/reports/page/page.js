// The page's controls. All values come from the JSON in the page; no file is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("timestep"); // the page of a study has none
  const EVERY = "*"; // the choice of all panels
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const chosen = () => (slider === null ? null : data.timesteps[Number(slider.value)]);
  const several = data.runs.length > 1;
  const A_SHEET = 80; // rows of a table that fit about a sheet of paper
  let onPaper = false; // drawn for a sheet of A4
  const shown = (run) => document.querySelector(`[data-switch="${run}"]`)?.checked ?? true;
  const tagged = (name, text, attributes = {}) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    return element;
  };

  const number = (figure, value) => (figure.signed && value > 0 ? plus(decimal(value, figure.digits)) : decimal(value, figure.digits));
  const interval = (figure, line, at) => `[${number(figure, line.low[at])}, ${number(figure, line.high[at])}]`;
  const images = (line, at) => (Array.isArray(line.n) ? line.n[at] : line.n);

  function told(figure, line, at) {
    const known = figure.plain ? "" : ` ${interval(figure, line, at)}`;
    const what = `${figure.x_name} = ${line.x[at]}: ${number(figure, line.y[at])}${figure.unit}${known}`;
    return `${what}, ${images(line, at)} images`;
  }

  function plotted(figure, line, label, colour) {
    const strong = figure.order !== "timestep" || data.timesteps.length < 4 || [0, chosen()].includes(Number(line.label));
    return { ...line, label, strong, alone: several, colour,
      told: line.y.map((_, at) => told(figure, line, at)) };
  }

  // Of many timesteps, the first and the chosen one have a band.
  function banded(figure, count, line) {
    return figure.order === "timestep" && count > 3 ? { ...line, banded: line.strong } : line;
  }

  // The plots that a figure shows: of each panel one, or one for each run, with the same axes.
  function plotsOf(figure, choice) {
    const panels = choice === EVERY ? figure.panels : figure.panels.filter((panel) => panel.title === choice);
    return panels.flatMap((panel) => {
      const runs = panel.runs.filter(({ run }) => shown(run));
      const common = { about: figure.title, x: figure.x_axis, reference: figure.reference, y: panel.y_axis,
        untitled: figure.order === "arm", // names need no title above them, as numbers do
        chosen: figure.x === "timestep" ? chosen() : null };
      const own = panel.y_axis.own && choice === EVERY ? " (axis of its own)" : "";
      const title = figure.panels.length > 1 ? `${panel.title}${own}` : "";
      if (several && panel.runs.every(({ lines }) => lines.length === 1)) {
        const lines = runs.map(({ run, lines: [line] }) => ({
          ...plotted(figure, line, data.runs[run], { light: data.colours[run], dark: data.colours[run] }),
          strong: true, banded: runs.length <= 3 }));
        return [{ ...common, title, legend: "", lines }];
      }
      return runs.map(({ run, lines }) => ({ ...common, legend: figure.legend,
        title: [title, several ? data.runs[run] : ""].filter(Boolean).join(", "),
        lines: lines.map((line) => banded(figure, lines.length, plotted(figure, line, figure.legend ? line.label : "", line.colour))) }));
    });
  }

  function drawFigure(element) {
    const figure = data.figures[element.dataset.figure];
    const choice = element.querySelector("[data-panel]")?.value ?? figure.panels[0].title;
    // The reference is named once a figure: its line is the same in all plots.
    const made = plotsOf(figure, choice).map((plot, at) => (at === 0 ? plot : { ...plot, unnamed: true }));
    const box = element.querySelector(".plots");
    const many = made.length > 1;
    element.classList.toggle("wide", many);
    const most = made.length === 4 ? 2 : 3;
    const room = onPaper ? (many ? 680 : 490) : box.clientWidth || 560;
    const columns = many ? Math.max(1, Math.min(made.length, most, Math.floor(room / 300))) : 1;
    const width = Math.max(240, Math.floor(room / columns) - (columns > 1 ? 14 : 0));
    const least = onPaper ? 140 : 190; // two figures of four plots on a sheet
    const height = Math.round(many ? Math.min(250, Math.max(least, width * (onPaper ? 0.42 : 0.5))) : Math.min(320, Math.max(220, width * 0.56)));
    box.dataset.columns = columns;
    const unnamed = new Map(); // the lines of plots with no room for names, each once
    let head = "";
    const parts = [];
    box.replaceChildren(...made.map((plot) => {
      const part = tagged("div", null, { class: "plot" });
      const drawn = plots.draw(plot, width, height);
      if (drawn.legend) {
        head = plot.legend;
        plot.lines.forEach((line) => { if (!unnamed.has(line.label)) unnamed.set(line.label, line); });
      }
      if (many) part.append(tagged("p", plot.title, { class: "plot-title" }));
      part.append(drawn.svg);
      const told = pointing.teller(part, drawn);
      pointing.follow(part, drawn, told);
      parts.push({ drawn, told });
      return part;
    }));
    pointing.keys(box, parts);
    element.querySelector(".legend").replaceChildren(...(unnamed.size ? entries(head, [...unnamed.values()]) : []));
    const marks = chosen() !== null && (figure.x === "timestep" || made.some(({ lines }) => lines.some((line) => figure.order === "timestep" && Number(line.label) === chosen())));
    const state = [choice === EVERY ? "all, side by side" : choice, marks ? `t = ${chosen()} marked` : ""].filter(Boolean);
    element.querySelector("[data-state]").textContent = state.length ? `Shown: ${state.join("; ")}.` : "";
  }

  function entries(head, lines) {
    return [...(head ? [tagged("li", head)] : []), ...lines.map((line) => {
      const entry = tagged("li", null);
      entry.append(plots.sample(line), line.label);
      return entry;
    })];
  }

  // A table that is hidden at first is made when it is opened.
  function fill(details) {
    if (!details.open || details.querySelector("table")) return;
    const figure = data.figures[details.dataset.table];
    const unit = figure.unit ? ` (${figure.unit.trim()})` : "";
    const columns = [...(several ? ["run"] : []), ...(figure.panels.length > 1 ? ["panel"] : []), figure.legend || "line", figure.x_name,
      `value${unit}`, ...(figure.plain ? [] : [`low${unit}`, `high${unit}`]), "images"];
    const rows = figure.panels.flatMap((panel) => panel.runs.flatMap(({ run, lines }) => lines.flatMap((line) =>
      line.y.map((_, at) => row(figure, panel, run, line, at)))));
    const body = tagged("tbody", null);
    body.append(...rows);
    const table = tagged("table", null, { class: "sortable" });
    table.append(tagged("caption", figure.title, { class: "unseen" }), heading(columns), body);
    const scroll = tagged("div", null, { class: "scroll tall", role: "region", tabindex: "0", "aria-label": `Table of the figure: ${figure.title}` });
    scroll.append(table);
    const label = tagged("label", "Show rows named ");
    label.append(tagged("input", null, { type: "search", "data-filter": "" }));
    const words = tagged("p", null, { class: "filter" });
    words.append(label, " ", tagged("span", "", { role: "status", "data-found": "" }));
    details.append(words, scroll);
    showRuns();
    signs();
  }

  function heading(columns) {
    const cells = columns.map((column) => {
      const cell = tagged("th", null, { scope: "col" });
      cell.append(tagged("button", column, { type: "button" }));
      return cell;
    });
    const line = tagged("tr", null);
    line.append(...cells);
    const head = tagged("thead", null);
    head.append(line);
    return head;
  }

  function row(figure, panel, run, line, at) {
    const words = [...(several ? [data.runs[run]] : []), ...(figure.panels.length > 1 ? [panel.title] : []), line.label];
    const values = [line.y[at], ...(figure.plain ? [] : [line.low[at], line.high[at]])];
    const made = tagged("tr", null, { class: "of-run", "data-run": run, "data-panel-of": panel.title });
    made.append(
      ...words.map((text) => tagged("td", text)),
      tagged("td", line.x[at], { "data-value": line.p[at] }),
      ...values.map((value) => tagged("td", number(figure, value), { "data-value": value ?? "" })),
      tagged("td", images(line, at), { "data-value": images(line, at) }),
    );
    return made;
  }

  function showGrid(element) {
    const grid = data.grids[element.dataset.grid];
    const place = grid.timesteps.indexOf(chosen());
    all("td[data-cell]", element).forEach((cell) => {
      const [value, interval] = grid.cells[cell.dataset.cell]?.[place] ?? [null, ""];
      cell.dataset.value = value ?? "";
      cell.style.setProperty("--share", value ?? 0);
      cell.querySelector(".number").textContent = value === null ? "none" : decimal(value, 1);
      cell.querySelector(".interval").textContent = interval && ` ${interval}`;
    });
    const by = element.querySelector("th[aria-sort]"); // sorted by values that have changed
    if (by !== null) order(by);
  }

  function showTimestep() {
    const t = chosen();
    slider?.setAttribute("aria-valuetext", `t = ${t}`);
    all("[data-chosen]").forEach((element) => { element.textContent = `t = ${t}`; });
    all("[data-only]").forEach((element) => { element.hidden = Number(element.dataset.only) !== t; });
    all("[data-timestep]").forEach((element) => element.classList.toggle("chosen", Number(element.dataset.timestep) === t));
    all("[data-grid]").forEach(showGrid);
    all(".matrix").forEach(intoView);
    signs();
  }

  // Scrolls a wide table so that the chosen timestep is seen beside the names of the rows.
  function intoView(table) {
    const column = table.querySelector("thead .chosen");
    const box = table.closest(".scroll");
    if (column === null) return;
    const names = table.querySelector("thead th").offsetWidth;
    const [left, right] = [column.offsetLeft - names, column.offsetLeft + column.offsetWidth - box.clientWidth];
    if (box.scrollLeft < right) box.scrollLeft = right;
    if (box.scrollLeft > left) box.scrollLeft = left;
  }

  function showRuns() {
    const of = all(".of-run");
    of.forEach((element) => { element.hidden = !shown(Number(element.dataset.run)); });
    all("[data-runs-shown]").forEach((element) => { element.textContent = data.runs.filter((_, run) => shown(run)).join(", "); });
    all("[data-filter]").forEach(filter);
  }

  function sort(button) {
    const header = button.closest("th");
    const table = header.closest("table");
    const rising = header.getAttribute("aria-sort") !== "ascending";
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    order(header);
  }

  function order(header) {
    const table = header.closest("table");
    const position = header.cellIndex;
    const rising = header.getAttribute("aria-sort") === "ascending";
    const key = (line) => line.cells[position].dataset.value ?? line.cells[position].textContent.trim();
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.every((line) => line.cells[position].dataset.value !== undefined);
    const collator = new Intl.Collator("en", { numeric: true });
    const keys = new Map(rows.map((line) => [line, numeric ? Number(key(line)) : key(line)]));
    const compare = numeric ? (one, other) => one - other : collator.compare;
    rows.sort((one, other) => (rising ? 1 : -1) * compare(keys.get(one), keys.get(other)));
    table.tBodies[0].append(...rows);
    tellState(table);
  }

  // Says for a sheet of paper, where no control is printed, which rows of a table are shown, in which order.
  function tellState(table) {
    const scroll = table.closest(".scroll");
    const by = table.querySelector("th[aria-sort]");
    const wanted = scroll.parentElement.querySelector("[data-filter]")?.value.trim();
    const column = by?.querySelector("button").textContent.trim();
    const parts = [wanted ? `Only rows named “${wanted}”` : "", by ? `Sorted by ${column}, ${by.getAttribute("aria-sort")}` : ""];
    const text = parts.filter(Boolean).map((part) => `${part}.`).join(" ");
    let line = scroll.parentElement.querySelector("[data-order]");
    if (line === null) scroll.before(line = tagged("p", null, { class: "printed", "data-order": "" }));
    line.textContent = text;
  }

  // Shows the rows whose name holds some words: a name is what is no number.
  function filter(input) {
    const wanted = input.value.trim().toLowerCase();
    const block = input.closest("p").parentElement;
    const table = block.querySelector("table");
    if (table === null) return;
    const choice = block.closest("[data-figure]")?.querySelector("[data-panel]")?.value ?? EVERY;
    const named = (line) => [...line.cells].filter((cell) => cell.dataset.value === undefined && cell.dataset.cell === undefined)
      .some((cell) => cell.textContent.toLowerCase().includes(wanted));
    const rows = [...table.tBodies[0].rows].filter((line) => line.dataset.run === undefined || shown(Number(line.dataset.run)))
      .filter((line) => choice === EVERY || line.dataset.panelOf === choice);
    const kept = new Set(rows.filter(named));
    for (const line of table.tBodies[0].rows) line.hidden = !kept.has(line);
    if (table.tFoot) table.tFoot.hidden = wanted !== ""; // the mean of all rows, not of those that are left
    const few = kept.size === 0 ? "No row has such a name." : `${kept.size} of ${rows.length} rows.`;
    input.closest("p").querySelector("[data-found]").textContent = wanted === "" ? "" : few;
    tellState(table);
  }

  // Says at each table that is cut by the edge of its box where the rest is.
  function signs() {
    for (const box of all(".scroll")) {
      const most = box.scrollWidth - box.clientWidth;
      const [left, right] = [box.scrollLeft > 1, box.scrollLeft < most - 1];
      box.classList.toggle("cut-left", left);
      box.classList.toggle("cut-right", right);
      const below = box.scrollHeight - box.clientHeight > 1;
      const where = [left ? "← left" : "", right ? "right →" : "", below ? "↓ below" : ""].filter(Boolean).join(", ");
      let sign = box.previousElementSibling?.matches(".more") ? box.previousElementSibling : null;
      if (sign === null && !where) continue;
      if (sign === null) {
        box.before(sign = tagged("p", null, { class: "more" }));
        box.addEventListener("scroll", signs, { passive: true });
      }
      sign.textContent = where ? `The table goes on: ${where}. Scroll inside it.` : "";
      sign.hidden = !where;
    }
  }

  // The address carries the timestep, so that a link shows what its sender saw: "#t=3", or "#tables&t=3" with a place.
  const address = () => {
    const parts = location.hash.slice(1).split("&");
    return { place: parts.find((part) => part && !part.startsWith("t=")) ?? "", t: parts.find((part) => /^t=\d+$/.test(part))?.slice(2) };
  };
  const remember = () => history.replaceState(null, "", `#${[address().place, `t=${chosen()}`].filter(Boolean).join("&")}`);
  function followAddress() {
    const { place, t } = address();
    const at = t === undefined ? -1 : data.timesteps.indexOf(Number(t));
    if (at >= 0 && at !== Number(slider.value)) {
      slider.value = at;
      showTimestep();
      drawAll();
    }
    if (place && t !== undefined) document.getElementById(place)?.scrollIntoView();
    if (slider !== null && place && t === undefined && chosen() !== data.timesteps.at(-1)) remember();
  }

  const drawAll = () => all("[data-figure]").forEach(drawFigure);
  slider?.addEventListener("input", () => { showTimestep(); drawAll(); remember(); });
  addEventListener("hashchange", followAddress);
  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-switch]")) { showRuns(); drawAll(); }
    if (target.matches("[data-panel]")) {
      const figure = target.closest("[data-figure]");
      drawFigure(figure);
      all("[data-filter]", figure).forEach(filter);
    }
  });
  document.addEventListener("input", ({ target }) => { if (target.matches("[data-filter]")) filter(target); });
  document.addEventListener("click", ({ target }) => { if (target.matches(".sortable thead button")) sort(target); });
  all("[data-table]").forEach((details) => details.addEventListener("toggle", () => {
    fill(details);
    drawFigure(details.closest("[data-figure]")); // it has the whole width while its table is open
  }));
  all("details:not([data-table])").forEach((details) => details.addEventListener("toggle", signs));
  let width = innerWidth; // a phone's address bar changes the height alone
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showTimestep(); drawAll(); } });
  // What is folded is printed, with the numbers of the first figures, except tables of other figures that nobody
  // opened: these have files of their own.
  const rows = ({ panels }) => panels.flatMap(({ runs }) => runs.flatMap(({ lines }) => lines.map(({ y }) => y.length)))
    .reduce((sum, count) => sum + count, 0);
  const folded = all("details:not([data-table]), [aria-labelledby=change] details[data-table]")
    .filter(({ dataset: { table } }) => table === undefined || rows(data.figures[table]) <= A_SHEET);
  const printing = (begins) => {
    onPaper = begins;
    folded.forEach((details) => {
      if (begins) details.dataset.was = details.open;
      details.open = begins || details.dataset.was === "true";
      if (details.dataset.table !== undefined) fill(details);
    });
    drawAll();
  };
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  all("[data-share]").forEach((element) => element.style.setProperty("--share", element.dataset.share));
  all("table[data-columns]").forEach((element) => element.style.setProperty("--columns", element.dataset.columns));
  showRuns();
  showTimestep();
  drawAll();
  followAddress();
})();
