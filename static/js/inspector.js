// The routing inspector: shots × shots, what each part of a shot looked at, layers and heads. The player is the
// picture one points at.

import { alternative, mending } from "./alternative.js";
import { get } from "./api.js";
import { button, h } from "./dom.js";
import { download } from "./download.js";
import { lookedList, steeringOf } from "./looked.js";
import { draw, picture } from "./plot.js";
import { point } from "./pointing.js";
import { current, isOpen, notify, on, seek, select, shotAt, shots, tell, view } from "./store.js";

const VIEWS = { story: "Story map", shot: "This shot", heads: "Layers and heads", drift: "Consistency" };

const WHOLE = { layer: "", head: "", group: "", source: null };
const wanted = { view: "story", log: true, ...WHOLE };
let box, body, drawn;
let asked = 0;
let looked = null; // what one part looked at, see GET …/routing/point

export function mount(element) {
  const tabs = h("div", { class: "segments", role: "tablist" }, Object.entries(VIEWS).map(([name, label]) => h("button", { type: "button", role: "tab", "data-view": name, onclick: () => show(name) }, label)));
  body = h("div", { class: "inspector-body" });
  box = h("div", { class: "panel inspector" }, h("div", { class: "row" }, tabs, h("span", { class: "grow" }), exports()), body);
  element.replaceChildren(box);
  new IntersectionObserver(([entry]) => {
    view.inspecting = entry.isIntersecting;
    document.body.classList.toggle("inspecting", view.inspecting);
    tell("inspecting");
  }).observe(element);
  on("project selection inspecting", () => redraw());
  on("looked", () => looked && shown() && pointed(looked.again));
  point((again) => pointed(again));
}

function show(name) {
  wanted.view = name;
  redraw();
}

const shown = () => {
  const shot = current();
  return view.inspecting && shot?.take ? shot : null;
};
const path = (take, rest = "") => `/projects/${view.project.id}/takes/${take}/routing${rest}`;

// Draws anew what has changed: the figures of finished takes never do.
async function redraw() {
  if (!view.inspecting || !view.project) return;
  for (const tab of box.querySelectorAll("[data-view]")) tab.setAttribute("aria-selected", String(tab.dataset.view === wanted.view));
  const shot = current();
  const project = view.project.id;
  const parts = ["story", "drift"].includes(wanted.view) ? [view.project.id, view.project.stamp] : [view.project.id, shots().map((other) => [other.id, other.take]), shot?.id, shot?.pins, shot?.bans, shot?.boosts, shot?.reasons, ...Object.values(wanted)];
  const key = JSON.stringify([wanted.view, document.body.className.includes("dark"), ...parts]);
  if (key === drawn) return;
  if (looked && (looked.project !== project || looked.take !== shot?.take)) looked = null;
  if (wanted.source === shot?.take) wanted.source = null; // no take looks back at itself
  drawn = key;
  const wantedStill = () => drawn === key && isOpen(project);
  try {
    const made = await { story, shot: chunks, heads, drift }[wanted.view](shot);
    if (wantedStill()) body.replaceChildren(...made.elements);
    if (wantedStill()) await made.draw?.();
  } catch (error) {
    if (!wantedStill()) return;
    if (Object.keys(WHOLE).some((name) => wanted[name] !== WHOLE[name])) return Object.assign(wanted, WHOLE), redraw(); // another take may not have it
    body.replaceChildren(h("p", { class: "quiet" }, error.message));
  }
}

const unrendered = (shot) => ({ elements: [h("p", { class: "quiet" }, shot ? "This shot has no take yet: once it is rendered, this shows what it looked at." : "Select a shot on the timeline.")] });

async function story() {
  if (!shots().some((shot) => shot.take)) return { elements: [h("p", { class: "quiet" }, "Once shots are rendered, this shows which remembered which.")] };
  const { figure, rows } = await get(`/projects/${view.project.id}/routing`);
  const plot = h("div", { class: "plot", role: "img", "aria-label": "Which shot remembered which" });
  const open = (row, column) => {
    const [shot, source] = [shots()[row], shots()[column]];
    if (!shot?.take) return;
    Object.assign(wanted, { view: "shot", source: row === column ? null : source.take });
    select([shot.id]);
    if (shotAt(view.playhead) !== shot && !shot.skip) seek(shot.begins + shot.seconds / 2); // the picture follows
    redraw();
  };
  const strongest = rows.flatMap((row) => row.shares.map((share, place) => [share ?? 0, row.index, place])).sort((a, b) => b[0] - a[0]).slice(0, 3).filter(([share]) => share > 0);
  return {
    elements: [
      h("p", { class: "quiet" }, "How much of its attention each shot gave to earlier ones. Click a square to see what was looked at."),
      plot,
      h("ul", { class: "reasons" }, strongest.map(([share, row, place]) => h("li", {}, `Shot ${row + 1} gave ${(100 * share).toFixed(0)}% to shot ${place + 1}: ${shots()[place]?.caption ?? ""}`))),
    ],
    draw: () => draw(plot, figure, { height: Math.min(560, Math.max(260, 90 + 34 * rows.length)), clicked: open, name: "story-map" }),
  };
}

// What is chosen of layers, heads and steps, as a query.
function chosen() {
  const { layer, head, group, source, log } = wanted;
  return new URLSearchParams(Object.entries({ layer, head, group, source: source ?? "", log }).filter(([, value]) => value !== ""));
}

async function chunks(shot) {
  if (!shot?.take) return unrendered(shot);
  const found = await get(path(shot.take, `?${chosen()}`));
  const plot = h("div", { class: "plot", role: "img", "aria-label": "What each part of the shot looked at" });
  const list = h("div", { class: "looked-place" });
  const chooser = (name, label, options) =>
    h("label", { class: "field" }, h("span", {}, label), h("select", { onchange: (event) => ((wanted[name] = event.target.value), redraw(), looked && pointed(looked.again)) }, h("option", { value: "" }, "averaged"), options.map((option, index) => h("option", { value: index, selected: String(index) === String(wanted[name]) }, option))));
  const source = wanted.source && shots().findIndex((other) => other.take === wanted.source);
  body.list = list;
  if (looked) showLooked();
  else list.replaceChildren(h("p", { class: "quiet" }, "Click a row, or something in the picture, to see what it looked at."));
  return {
    elements: [
      h("p", { class: "told" }, h("strong", {}, `Shot ${shots().indexOf(shot) + 1}. `), found.words),
      list,
      h("div", { class: "fields" }, chooser("layer", "Layer", found.layers), chooser("head", "Heads", found.heads), chooser("group", "Steps", found.groups)),
      h(
        "div",
        { class: "row" },
        button(wanted.log ? "Logarithmic" : "Linear", () => ((wanted.log = !wanted.log), redraw()), { "aria-pressed": String(wanted.log), title: "Scale of the map" }),
        wanted.source ? button(`Only ${source >= 0 ? `shot ${source + 1}` : "one take"} ×`, () => ((wanted.source = null), redraw()), { title: "Show all that was looked at" }) : null,
        wanted.source && source >= 0 ? steeringOf(shots()[source].id, `shot ${source + 1}`) : null,
      ),
      shot.reason_codes.includes("steering") ? button("Render and compare", () => alternative(shot), { class: "primary", title: "Render this shot at the same seed as it is steered now, and show both takes" }) : null,
      plot,
    ].filter(Boolean),
    draw: () => draw(plot, found.figure, { height: Math.min(640, 120 + 26 * found.query.length), clicked: (row) => pointed(() => get(path(shot.take, `/parts/${row}?${chosen()}`))), name: "routing" }),
  };
}

async function heads(shot) {
  if (!shot?.take) return unrendered(shot);
  const figures = Object.entries(await get(path(shot.take, "/heads")));
  const plots = figures.map(([title]) => h("div", { class: "plot", role: "img", "aria-label": title }));
  return {
    elements: [h("p", { class: "told" }, h("strong", {}, `Shot ${shots().indexOf(shot) + 1}. `), "Which heads look back, how far, and when."), ...figures.flatMap(([title], index) => [h("h4", {}, title), plots[index]])],
    draw: () => Promise.all(figures.map(([title, figure], index) => draw(plots[index], figure, { height: 230, name: title.split(":")[0].toLowerCase().replaceAll(/[ ,]+/g, "-") }))),
  };
}

async function drift() {
  const found = await get(`/projects/${view.project.id}/consistency`);
  const plot = h("div", { class: "plot", role: "img", "aria-label": "How far each look is from what it should be" });
  if (!found.names.length) return { elements: [h("p", { class: "quiet" }, "Once somebody is seen in two shots, this shows whether they keep their look.")] };
  return {
    elements: [
      h("p", { class: "quiet" }, "How far everybody, and every set, is from the look it should have: that of its first appearance, or of the last caption that changed it. From the dotted line on one sees it at a glance."),
      found.by_features ? h("p", { class: "quiet" }, "By the model's own features, where it attends to a name; the line is where other looks begin for the model that comes with the studio, and was measured for no other.") : null,
      plot,
      ...(found.drifted.length ? found.drifted.map((item) => drifted(item, found.helped)) : [h("p", { class: "told" }, "Everybody keeps their look.")]),
      found.unseen ? h("p", { class: "quiet" }, `${found.unseen} takes say nothing of looks.`) : null,
    ].filter(Boolean),
    draw: () => draw(plot, found.figure, { height: 300, name: "consistency" }),
  };
}

// Something that looks different: why, and what may mend it.
function drifted(item, helped) {
  const shot = shots().find((other) => other.id === item.shot);
  const odds = helped ? `in other films that it was tried on it mended ${helped[0]} of ${helped[1]}` : "";
  return h(
    "div",
    { class: "drifted" },
    h("button", { type: "button", class: "link", onclick: () => select([item.shot]) }, `Shot ${item.index + 1}: ${item.name} looks different`),
    h("span", { class: "quiet" }, item.reason),
    item.pin && shot && !shot.lock
      ? h("span", { class: "row" }, button("Mend and compare", () => (select([item.shot]), alternative(shot, mending(shot, item))), { title: `Let it remember the right look ${item.pin.includes("/") ? "alone (pin that, ban its others)" : "(pin that whole shot)"}, render this shot at the same seed, and show both takes` }), h("span", { class: "quiet" }, odds))
      : null,
  );
}

// Shows what a part looked at; `again` asks for it once more, after steering has changed.
async function pointed(again) {
  const shot = shown();
  if (!shot) return;
  const turn = ++asked;
  const project = view.project.id;
  const wantedStill = () => turn === asked && isOpen(project) && shown()?.take === shot.take;
  try {
    const found = await again();
    if (!wantedStill()) return;
    looked = { ...found, project, take: shot.take, again };
  } catch (error) {
    if (wantedStill()) notify(error.message, "error");
    return;
  }
  if (wanted.view !== "shot") return show("shot");
  showLooked();
}

function showLooked() {
  body.list?.replaceChildren(lookedList(looked, looked.light));
}

function exports() {
  const items = () => {
    const shot = current();
    const base = `/api/projects/${view.project.id}`;
    const file = (label, href) => h("button", { type: "button", class: "menu-item", role: "menuitem", onclick: () => download(href).catch((error) => notify(error.message, "error")) }, label);
    const plots = [...box.querySelectorAll(".plot.js-plotly-plot")];
    const film = view.project.title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
    const name = (plot) => [film, ["shot", "heads"].includes(wanted.view) && `shot-${shots().indexOf(shot) + 1}`, plot.dataset.name].filter(Boolean).join("-");
    const save = async () => {
      for (const plot of plots) await picture(plot, name(plot));
    };
    return [
      plots.length ? h("button", { type: "button", class: "menu-item", role: "menuitem", onclick: save }, plots.length > 1 ? `Pictures (${plots.length} PNG)` : "Picture (PNG)") : null,
      file(shot?.take ? `Page with shot ${shots().indexOf(shot) + 1} (HTML)` : "Page (HTML)", `${base}/routing.html${shot?.take ? `?take=${shot.take}` : ""}`),
      ...(shot?.take ? ["csv", "npz", "parquet"].map((kind) => file(`Trace of shot ${shots().indexOf(shot) + 1} (${kind.toUpperCase()})`, `${base}/takes/${shot.take}/routing/table.${kind}`)) : []),
    ].filter(Boolean);
  };
  const list = h("div", { class: "menu-body", role: "menu" });
  const menu = h("details", { class: "menu right" }, h("summary", {}, h("span", {}, "Save")), list);
  menu.addEventListener("toggle", () => menu.open && list.replaceChildren(...items()));
  menu.addEventListener("click", (event) => event.target.closest(".menu-item") && (menu.open = false));
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || (menu.open = false));
  return menu;
}
