// Charts of the dashboards: drawn from what each tile says, in the page's own colours, drawn again when those change.

import { init } from "./vendor/charts.bundle.js";

const charts = new Map(); // box → { chart, said, isDark }
const probe = document.createElement("span");
probe.className = "chart-probe";
const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

// -- colours -----------------------------------------------------------------------------------------------------------

// A colour of the page as the charts can mix it: tokens are pairs and oklch, so a pixel is painted and read.
function colour(token, tone) {
  probe.className = tone ? `chart-probe tone tone-${tone}` : "chart-probe";
  probe.style.setProperty("--chart-colour", `var(${token})`);
  if (!probe.isConnected) document.body.append(probe);
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = getComputedStyle(probe).color;
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pixel.getImageData(0, 0, 1, 1).data;
  return `rgb(${red}, ${green}, ${blue})`;
}

function palette() {
  return {
    text: colour("--lf-muted"),
    strong: colour("--tblr-body-color"),
    line: colour("--tblr-border-color"),
    faint: colour("--lf-faint"),
    surface: colour("--tblr-bg-surface"),
    idle: colour("--lf-idle-fill"),
    tone: (name) => colour("--tone-fill", name),
  };
}

// -- what is drawn -----------------------------------------------------------------------------------------------------

const FONT = "Inter, system-ui, sans-serif";
const number = (value) => value.toLocaleString("en-GB");
const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;

function common(look) {
  return {
    animation: !isStill,
    animationDuration: 250,
    animationDurationUpdate: 250,
    textStyle: { fontFamily: FONT, color: look.text },
    tooltip: {
      renderMode: "richText",
      confine: true,
      backgroundColor: look.surface,
      borderColor: look.line,
      textStyle: { color: look.strong, fontFamily: FONT, fontSize: 12 },
      valueFormatter: (value) => (value == null ? "" : number(value)),
    },
  };
}

function axis(look, more) {
  return {
    axisLine: { lineStyle: { color: look.line } },
    axisTick: { show: false },
    axisLabel: { color: look.text, fontFamily: FONT, fontSize: 11, hideOverlap: true },
    splitLine: { lineStyle: { color: look.faint } },
    ...more,
  };
}

function overTime(said, look) {
  const base = common(look);
  return {
    ...base,
    tooltip: { ...base.tooltip, trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: look.faint, opacity: 0.5 } } },
    grid: { left: 4, right: 4, top: 10, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: axis(look, { type: "category", data: said.labels, splitLine: { show: false } }),
    yAxis: axis(look, { type: "value", minInterval: 1, axisLine: { show: false } }),
    series: said.series.map((one) => ({
      name: one.name, type: "bar", stack: "all", data: one.values, barCategoryGap: "25%",
      itemStyle: { color: look.tone(one.tone) }, emphasis: { focus: "series" }, cursor: one.url ? "pointer" : "default",
    })),
  };
}

const both = ({ value, kept }) => (kept ? `${number(value)} + ${number(kept)}` : number(value));

function bars(said, look) {
  const base = common(look);
  const hasKept = said.bars.some((one) => one.kept);
  const value = { show: true, position: "right", color: look.strong, fontFamily: FONT, fontSize: 12, formatter: ({ value: shown }) => number(shown) };
  const series = [{
    name: said.name, type: "bar", stack: "all", barMaxWidth: 16, data: said.bars.map((one) => ({ value: one.value, itemStyle: { color: look.tone(one.tone), borderRadius: hasKept ? 0 : [0, 4, 4, 0] } })),
    label: hasKept ? { show: false } : value, cursor: "pointer",
  }];
  if (hasKept) {
    series.push({
      name: said.keptName, type: "bar", stack: "all", barMaxWidth: 16, data: said.bars.map((one) => one.kept), itemStyle: { color: look.idle }, cursor: "pointer",
      label: { ...value, formatter: ({ dataIndex }) => both(said.bars[dataIndex]) },
    });
  }
  return {
    ...base,
    tooltip: { ...base.tooltip, trigger: "item" },
    grid: { left: 0, right: hasKept ? 96 : 56, top: 2, bottom: 2, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: axis(look, { type: "value", show: false }),
    yAxis: axis(look, { type: "category", inverse: true, data: said.bars.map((one) => one.name), axisLine: { show: false }, splitLine: { show: false }, axisLabel: { color: look.strong, fontFamily: FONT, fontSize: 12, width: 150, overflow: "truncate", hideOverlap: false, interval: 0 } }),
    series,
  };
}

const draw = (said) => (said.kind === "time" ? overTime : bars)(said, palette());

function wayOf(said, event) {
  if (said.kind === "time") return said.series[event.seriesIndex]?.url;
  const bar = said.bars[event.dataIndex];
  return event.seriesIndex === 1 ? bar?.keptUrl : bar?.url;
}

// -- keeping them on the page ------------------------------------------------------------------------------------------

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) charts.get(target)?.chart.resize();
});

function open(box) {
  const canvas = document.createElement("div");
  canvas.className = "chart-canvas";
  box.replaceChildren(canvas);
  const shown = { chart: init(canvas, null, { devicePixelRatio: Math.max(2, devicePixelRatio) }), said: "" }; // crisp on paper too
  shown.chart.on("click", (event) => {
    const way = wayOf(JSON.parse(shown.said), event);
    if (way) location.assign(way);
  });
  charts.set(box, shown);
  sizes.observe(box);
  return shown;
}

function show(box, isAnew = false) {
  const shown = charts.get(box) ?? open(box);
  if (shown.said === box.dataset.chart && !isAnew) return;
  shown.said = box.dataset.chart;
  shown.chart.setOption({ ...draw(JSON.parse(shown.said)), animation: !isStill && !isAnew }, { notMerge: isAnew });
}

function showAll(isAnew = false) {
  for (const [box, { chart }] of charts) {
    if (box.isConnected) continue;
    chart.dispose();
    sizes.unobserve(box);
    charts.delete(box);
  }
  for (const box of document.querySelectorAll("[data-chart]")) show(box, isAnew);
}

const redraw = () => requestAnimationFrame(() => showAll(true));

new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("htmx:after:swap", () => showAll());

// A tile that is counted anew keeps its table open.
const openTables = new Set();
document.addEventListener("toggle", (event) => {
  const tile = event.target.closest?.("[data-keep-open]")?.closest(".tile-card");
  if (tile) openTables[event.target.open ? "add" : "delete"](tile.id);
}, true);
document.addEventListener("htmx:after:swap", () => {
  for (const id of openTables) document.getElementById(id)?.querySelector("[data-keep-open]")?.setAttribute("open", "");
});

// -- printing ----------------------------------------------------------------------------------------------------------

// Paper is white: the charts are drawn in the light colours while it is printed.
let themeOfScreen;
addEventListener("beforeprint", () => {
  themeOfScreen = document.documentElement.dataset.bsTheme ?? "";
  document.documentElement.dataset.bsTheme = "light";
  document.documentElement.classList.add("is-printing");
  for (const { chart } of charts.values()) chart.resize();
  showAll(true);
});
addEventListener("afterprint", () => {
  if (themeOfScreen) document.documentElement.dataset.bsTheme = themeOfScreen;
  else delete document.documentElement.dataset.bsTheme;
  document.documentElement.classList.remove("is-printing");
  for (const { chart } of charts.values()) chart.resize();
});
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

document.fonts.ready.then(() => showAll(true));
showAll();
