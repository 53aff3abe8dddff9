// Plotly figures in the colours of the page. plotly.js comes with the studio and is loaded when first needed.

const MOST_NAMED_COLUMNS = 24;

/** @type {Promise<any> | null} */
let loading = null;

export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/studio-assets/plotly.min.js";
    script.onload = () => resolve(/** @type {any} */ (window).Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("The plots could not be loaded."));
    };
    document.head.append(script);
  });
  return loading;
}

/** @param {string} name of a custom property of CSS */
const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();

/** @param {string | undefined} meaning */
function colourScale(meaning) {
  if (meaning === "change") {
    return [
      [0, colour("cool")],
      [0.5, colour("raised")],
      [1, colour("accent")],
    ];
  }
  return [
    [0, colour("raised")],
    [0.35, colour("heat")],
    [1, colour("hot")],
  ];
}

/**
 * @param {Figure} figure
 * @param {number} height
 */
function coloured({ data, layout }, height) {
  const font = { family: "Inter, system-ui, sans-serif", size: 11, color: colour("quiet") };
  const axis = (/** @type {Figure} */ given) => ({
    ...given,
    gridcolor: colour("line"),
    linecolor: colour("line"),
    ticks: "",
    automargin: true,
    fixedrange: false,
    title: { standoff: 4, ...given.title },
  });
  const axes = Object.fromEntries(
    Object.keys(layout)
      .filter((name) => /axis/.test(name))
      .map((name) => [name, axis(layout[name])]),
  );
  const bar = (/** @type {Figure} */ trace) =>
    trace.colorbar && { ...trace.colorbar, outlinewidth: 0, tickfont: font };
  const paint = (/** @type {Figure} */ trace) =>
    trace.type === "heatmap"
      ? { ...trace, colorscale: colourScale(trace.meta), colorbar: bar(trace) }
      : trace;
  const shapes = (layout.shapes ?? []).map((/** @type {Figure} */ shape) => ({
    ...shape,
    line: { ...shape.line, color: colour("quiet"), width: 1.5 },
  }));
  return {
    data: data.map(paint),
    layout: {
      ...layout,
      ...axes,
      height,
      font,
      shapes,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      colorway: ["accent", "cool", "good", "warn", "bad", "quiet"].map(colour),
      margin: { l: 8, r: 8, t: 8, b: 8 },
      hoverlabel: {
        bgcolor: colour("field"),
        bordercolor: colour("line"),
        font: { ...font, size: 12, color: colour("ink") },
      },
      showlegend: layout.showlegend ?? (data.length > 1 && data[0].type === "scatter"),
      legend: { orientation: "h", y: -0.2 },
      dragmode: "zoom",
    },
  };
}

/**
 * Draws a figure; `clicked` gets the row and column of a cell of a heatmap, `name` is the name of a saved picture.
 * @param {HTMLElement} element
 * @param {Figure} figure
 * @param {{ height?: number, clicked?: ((row: number, column: number) => unknown) | null, name?: string }} options
 */
export async function drawFigure(element, figure, { height = 320, clicked = null, name = "routing" } = {}) {
  const Plotly = await plotly();
  const box = /** @type {Figure} */ (element);
  box.dataset.name = name;
  const { data, layout } = coloured(figure, height);
  const options = {
    responsive: true,
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    toImageButtonOptions: { format: "png", scale: 2, filename: name },
  };
  await Plotly.react(box, data, layout, options);
  box.removeAllListeners?.("plotly_click");
  box.removeAllListeners?.("plotly_relayout");
  if (layout.xaxis?.ticktext) {
    box.on("plotly_relayout", (/** @type {Figure} */ change) => nameColumns(Plotly, box, change));
  }
  if (clicked) {
    box.on("plotly_click", (/** @type {Figure} */ { points: [point] }) => {
      const [row, column] = point.pointIndex ?? point.pointNumber;
      if (point.curveNumber === 0) clicked(row, column);
    });
  }
}

/**
 * Columns that are labelled by shot get their own names once few of them are seen.
 * @param {Figure} Plotly
 * @param {Figure} box
 * @param {Figure} change
 */
function nameColumns(Plotly, box, { "xaxis.range[0]": from, "xaxis.range[1]": to, "xaxis.autorange": all }) {
  if (from === undefined && !all) return;
  const few = from !== undefined && to - from <= MOST_NAMED_COLUMNS;
  Plotly.relayout(box, { "xaxis.tickmode": few ? "auto" : "array", "xaxis.tickangle": few ? -40 : 0 });
}

/**
 * Saves a figure as it is drawn now as a PNG.
 * @param {HTMLElement} element
 * @param {string} name
 */
export async function saveFigure(element, name) {
  const Plotly = await plotly();
  const { data, layout } = /** @type {Figure} */ (element);
  const background = getComputedStyle(document.body).backgroundColor;
  const picture = { data, layout: { ...layout, paper_bgcolor: background } };
  await Plotly.downloadImage(picture, { format: "png", width: 1400, height: 900, scale: 2, filename: name });
}
