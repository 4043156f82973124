"use strict";
// The page's controls. All values come from the JSON in the page; no file is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const print = matchMedia("print");
  const slider = document.getElementById("timestep");
  const dashes = ["solid", "dash", "dot"];
  const borders = ["solid", "dashed", "dotted"];
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const chosen = () => data.timesteps[Number(slider.value)];
  const shown = (run) => {
    const box = document.querySelector(`[data-switch="${run}"]`);
    return box === null || box.checked;
  };

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // A number that is not defined comes as null.
  function fixed(value, digits) {
    return value === null ? "?" : value.toFixed(digits);
  }

  function faded(hex, alpha) {
    const [red, green, blue] = [1, 3, 5].map((position) => parseInt(hex.slice(position, position + 2), 16));
    return `rgba(${red},${green},${blue},${alpha})`;
  }

  // Budgets double and start at 0, and values of a hyperparameter are chosen in their own way: evenly spaced steps,
  // labelled with the values.
  const stepped = (figure) => figure.x === "epsilon" || figure.x === "value";

  function budgets(figure) {
    return [...new Set(figure.rows.map((row) => row.x))].sort((one, other) => one - other);
  }

  function budgetText(figure, value) {
    return `${Number((value * figure.x_scale).toPrecision(4))}`;
  }

  function placeText(figure, x) {
    if (!stepped(figure)) return `t = ${x}`;
    return `${figure.x === "epsilon" ? "ε" : plain(figure.x_name)} = ${budgetText(figure, x)}`;
  }

  function traces(figure, panelTitle) {
    const steps = budgets(figure);
    const position = (x) => (stepped(figure) ? steps.indexOf(x) : x);
    const colours = palette(figure);
    const { digits, unit } = figure;
    const made = [];
    for (const { run, panels } of figure.runs) {
      const panel = panels.find((one) => one.title === panelTitle);
      if (!shown(run) || panel === undefined) continue;
      panel.lines.forEach((line, index) => {
        const stands = figure.colours !== "timestep" || Number(line.label) === chosen() || data.timesteps.length < 3;
        const x = line.x.map(position);
        const common = { x, name: plain([lineText(figure, line), runText(run)].filter((text) => text).join(", ")) };
        // Bands of many settings of hyperparameters would lie upon each other.
        const few = figure.colours !== "setting" || panel.lines.length <= 6;
        if (stands && few) made.push(...band(common, line, colours[index]));
        made.push({
          ...common,
          y: line.y,
          mode: "lines+markers",
          opacity: stands ? 1 : 0.45,
          line: { color: colours[index], width: stands ? 2.5 : 1.2, dash: dashes[run % dashes.length] },
          marker: { size: stands ? 6 : 4, color: colours[index] },
          customdata: line.y.map((_, at) => [fixed(line.low[at], digits), fixed(line.high[at], digits), line.n[at],
            placeText(figure, line.x[at])]),
          hovertemplate: `%{customdata[3]}: %{y:.${digits}f}${unit} [%{customdata[0]}, %{customdata[1]}], n = %{customdata[2]}`,
        });
      });
    }
    return made;
  }

  function band(common, line, hex) {
    const edge = { ...common, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    return [{ ...edge, y: line.low }, { ...edge, y: line.high, fill: "tonexty", fillcolor: faded(hex, 0.16) }];
  }

  function lineText(figure, line) {
    return figure.legend_title ? `${figure.legend_title} ${line.label}` : line.label;
  }

  function runText(run) {
    return data.runs.length > 1 ? data.runs[run] : "";
  }

  // Plotly takes tags in names for markup.
  function plain(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  }

  // Outside the plot: inside, it would cover the axis in a narrow window.
  function drawLegend(figure, panelTitle, element) {
    const panel = figure.runs.flatMap((one) => one.panels).find((one) => one.title === panelTitle);
    const entries = figure.legend_title
      ? panel.lines.map((line, index) => [line.label, "solid", palette(figure)[index]])
      : [];
    const runs = data.runs.length > 1
      ? figure.runs.filter(({ run }) => shown(run)).map(({ run }) => [runText(run), borders[run % borders.length], ""])
      : [];
    const title = document.createElement("li");
    title.textContent = figure.legend_title;
    element.replaceChildren(...(entries.length ? [title] : []), ...[...entries, ...runs].map(legendEntry));
  }

  function legendEntry([text, border, hex]) {
    const entry = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.borderTop = `3px ${border} ${hex || colour("--ink")}`;
    entry.append(swatch, text);
    return entry;
  }

  function palette(figure) {
    return dark.matches && !print.matches ? figure.dark : figure.light;
  }

  function layout(figure, plot) {
    const axis = { gridcolor: colour("--line"), zeroline: false, linecolor: colour("--quiet"), automargin: true };
    const steps = budgets(figure);
    const x = { ...axis, title: { text: figure.x_label } };
    if (stepped(figure)) {
      const each = Math.ceil(steps.length / 16);
      const named = steps.map((value, at) => [at, budgetText(figure, value)]).filter(([at]) => at % each === 0);
      Object.assign(x, { tickvals: named.map(([at]) => at), ticktext: named.map(([, text]) => text) });
    } else {
      Object.assign(x, { dtick: data.timesteps.length > 12 ? 2 : 1, range: [-0.2, Math.max(...data.timesteps) + 0.2] });
    }
    const marker = { type: "line", x0: chosen(), x1: chosen(), yref: "paper", y0: 0, y1: 1,
      line: { color: colour("--quiet"), width: 1, dash: "dot" } };
    return {
      xaxis: x,
      yaxis: { ...axis, title: { text: figure.y_label }, rangemode: "tozero" },
      margin: { l: 55, r: 10, t: 10, b: 45 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), size: 12 },
      hovermode: "closest",
      showlegend: false,
      width: plot.clientWidth,
      height: plot.clientHeight,
      shapes: figure.x === "timestep" ? [marker] : [],
    };
  }

  function drawFigure(element) {
    const [suite, at] = element.dataset.figure.split(":").map(Number);
    const figure = data.figures[suite][at];
    const select = element.querySelector("[data-panel]");
    const panel = select === null ? figure.panels[0] : select.value;
    const plot = element.querySelector(".plot");
    drawLegend(figure, panel, element.querySelector(".legend"));
    Plotly.react(plot, traces(figure, panel), layout(figure, plot), { displayModeBar: false });
  }

  function draw() {
    all("[data-figure]").forEach(drawFigure);
  }

  function showTimestep() {
    const t = chosen();
    slider.setAttribute("aria-valuetext", `t = ${t}`);
    document.getElementById("chosen").value = `t = ${t}`;
    all("[data-chosen]").forEach((element) => { element.textContent = `t = ${t}`; });
    all("[data-only]").forEach((element) => { element.hidden = Number(element.dataset.only) !== t; });
    all("[data-timestep]").forEach((element) => {
      element.classList.toggle("chosen", Number(element.dataset.timestep) === t);
    });
    all("[data-cells]").forEach((element) => {
      const cell = JSON.parse(element.dataset.cells).find((one) => one.timestep === t);
      if (cell === undefined) return;
      element.dataset.value = cell.value;
      element.style.setProperty("--share", cell.value);
      element.firstChild.data = `${cell.number} `;
      element.querySelector(".interval").textContent = cell.interval;
    });
  }

  function showRuns() {
    all(".of-run").forEach((element) => { element.classList.toggle("off", !shown(Number(element.dataset.run))); });
    all(".of-run").forEach((element) => { element.hidden = element.classList.contains("off"); });
    all("[data-filter]").forEach(filter);
  }

  function sort(button) {
    const header = button.closest("th");
    const table = header.closest("table");
    const position = header.cellIndex;
    const rising = header.getAttribute("aria-sort") !== "ascending";
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = (row) => row.cells[position].dataset.value ?? row.cells[position].textContent.trim();
    const compare = (one, other) => key(one).localeCompare(key(other), "en", { numeric: true });
    const numeric = (one, other) => Number(key(one)) - Number(key(other));
    const rows = [...table.tBodies[0].rows];
    const order = rows.every((row) => row.cells[position].dataset.value !== undefined) ? numeric : compare;
    rows.sort((one, other) => (rising ? order(one, other) : order(other, one)));
    table.tBodies[0].append(...rows);
  }

  function filter(input) {
    const wanted = input.value.trim().toLowerCase();
    const table = input.closest("p").parentElement.querySelector("table");
    for (const row of table.tBodies[0].rows) {
      row.hidden = row.classList.contains("off") || !row.textContent.toLowerCase().includes(wanted);
    }
  }

  slider.addEventListener("input", () => { showTimestep(); draw(); });
  all("[data-switch]").forEach((box) => box.addEventListener("change", () => { showRuns(); draw(); }));
  all("[data-panel]").forEach((select) => {
    select.addEventListener("change", () => drawFigure(select.closest("[data-figure]")));
  });
  all("[data-filter]").forEach((input) => input.addEventListener("input", () => filter(input)));
  all(".sortable thead button").forEach((button) => button.addEventListener("click", () => sort(button)));
  dark.addEventListener("change", draw);
  print.addEventListener("change", draw);
  addEventListener("resize", draw);
  showTimestep();
  draw();
})();
