"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const toDark = read("dark-colours");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");

  // ── charts: drawn in light colours, of which each has its dark one ──
  const recolour = (value) => {
    if (typeof value === "string") return toDark[value] ?? value;
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, recolour(inner)]));
    return value;
  };
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]], displayModeBar: false, showTips: false };
  const onPaper = 640; // CSS pixels between the margins of a printed page
  const draw = (dark, widest = Infinity) => {
    for (const place of document.querySelectorAll("[data-chart]")) {
      const figure = structuredClone(figures[place.dataset.chart]);
      const { data, layout } = dark ? recolour(figure) : figure;
      if (place.clientWidth > widest) layout.width = widest;
      Plotly.react(place, data, layout, config);
    }
  };
  if (Object.keys(figures).length) {
    draw(prefersDark.matches);
    prefersDark.addEventListener("change", () => draw(prefersDark.matches));
    addEventListener("beforeprint", () => draw(false, onPaper));
    addEventListener("afterprint", () => draw(prefersDark.matches));
  }

  // ── tables: a click on a heading sorts by it, another one turns the order; missing values stay last ──
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = heading.querySelector("button");
      button?.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
        const rows = [...body.rows].map((row) => [key(row), row]);
        const numeric = rows.every(([text]) => text === "" || Number.isFinite(Number(text)));
        rows.sort(([one], [other]) => {
          if (one === "" || other === "") return (one === "") - (other === "");
          const order = numeric ? Number(one) - Number(other) : one.localeCompare(other, undefined, { numeric: true });
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      });
    });
  }

  // ── the front: the best network at most at a cost ──
  const atMost = document.getElementById("at-most");
  atMost?.addEventListener("input", () => {
    for (const step of document.querySelectorAll("[data-step]")) {
      step.hidden = step.dataset.step !== atMost.value;
      if (!step.hidden) document.getElementById("at-most-told").textContent = step.dataset.told;
    }
  });

  // ── copy buttons ──
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected: press Ctrl+C";
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
})();
