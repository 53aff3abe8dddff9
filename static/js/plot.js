// Plotly figures in the page's colours. plotly.js comes with the studio and is loaded once, when first needed.

const NEAR = 24; // columns

let loading = null;

export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/studio-assets/plotly.min.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => ((loading = null), reject(new Error("The plots could not be loaded.")));
    document.head.append(script);
  });
  return loading;
}

const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();

function scale(meta) {
  if (meta === "change") return [[0, colour("cool")], [0.5, colour("raised")], [1, colour("accent")]];
  return [[0, colour("raised")], [0.35, colour("heat")], [1, colour("hot")]];
}

function coloured({ data, layout }, height) {
  const axis = (name) => ({ ...layout[name], gridcolor: colour("line"), linecolor: colour("line"), ticks: "", automargin: true, fixedrange: false, title: { standoff: 4, ...layout[name].title } });
  const axes = Object.fromEntries(Object.keys(layout).filter((name) => /axis/.test(name)).map((name) => [name, axis(name)]));
  const font = { family: "Inter, system-ui, sans-serif", size: 11, color: colour("quiet") };
  const bar = (trace) => trace.colorbar && { ...trace.colorbar, outlinewidth: 0, tickfont: font };
  return {
    data: data.map((trace) => (trace.type === "heatmap" ? { ...trace, colorscale: scale(trace.meta), colorbar: bar(trace) } : trace)),
    layout: {
      ...layout,
      ...axes,
      height,
      font,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      colorway: [colour("accent"), colour("cool"), colour("good"), colour("warn"), colour("bad"), colour("quiet")],
      margin: { l: 8, r: 8, t: 8, b: 8 },
      hoverlabel: { bgcolor: colour("field"), bordercolor: colour("line"), font: { ...font, size: 12, color: colour("ink") } },
      shapes: (layout.shapes ?? []).map((shape) => ({ ...shape, line: { ...shape.line, color: colour("quiet"), width: 1.5 } })),
      showlegend: layout.showlegend ?? (data.length > 1 && data[0].type === "scatter"),
      legend: { orientation: "h", y: -0.2 },
      dragmode: "zoom",
    },
  };
}

// Draws a figure; `clicked` gets the row and column of a heatmap's cell.
export async function draw(box, figure, { height = 320, clicked = null, name = "routing" } = {}) {
  const Plotly = await plotly();
  box.dataset.name = name;
  const { data, layout } = coloured(figure, height);
  const options = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], toImageButtonOptions: { format: "png", scale: 2, filename: name } };
  await Plotly.react(box, data, layout, options);
  box.removeAllListeners?.("plotly_click");
  box.removeAllListeners?.("plotly_relayout");
  if (layout.xaxis?.ticktext) box.on("plotly_relayout", (change) => nameColumns(Plotly, box, change));
  if (clicked) box.on("plotly_click", ({ points: [point] }) => point.curveNumber === 0 && clicked(...point.pointIndex ?? point.pointNumber));
}

// Columns that are told by the shot they belong to have their own names once few of them are seen.
function nameColumns(Plotly, box, { "xaxis.range[0]": from, "xaxis.range[1]": to, "xaxis.autorange": all }) {
  if (from === undefined && !all) return;
  const near = from !== undefined && to - from <= NEAR;
  Plotly.relayout(box, { "xaxis.tickmode": near ? "auto" : "array", "xaxis.tickangle": near ? -40 : 0 });
}

export async function picture(box, name) {
  const Plotly = await plotly();
  const layout = { ...box.layout, paper_bgcolor: getComputedStyle(document.body).backgroundColor }; // it leaves the page
  await Plotly.downloadImage({ data: box.data, layout }, { format: "png", width: 1400, height: 900, scale: 2, filename: name });
}
