// Two takes of a shot side by side, in step with each other, in a sheet over the page.

import { fileOf, get } from "./api.js";
import { button, h, percent } from "./dom.js";
import { draw } from "./plot.js";
import { shots, view } from "./store.js";

export function compare(shot, ids) {
  const project = view.project.id;
  const takes = shot.takes.filter((take) => !take.discarded);
  const videos = ids.map(() => h("video", { muted: true, loop: true, playsInline: true, onclick: () => toggle() }));
  const both = (work) => videos.forEach(work);
  const shown = [...ids];
  const show = (index, id) => {
    shown[index] = id;
    videos[index].src = fileOf(project, id, "clip");
    tellRouting(routing, project, shown);
  };
  const start = () => both((video) => video.play().catch(() => {}));
  const toggle = () => (videos[0].paused ? start() : both((video) => video.pause()));
  const follow = () => {
    const [first, second] = videos;
    const apart = Math.abs(second.currentTime - first.currentTime) > 0.04;
    if (apart && second.readyState > 1 && !second.seeking) second.currentTime = first.currentTime;
  };
  videos[0].addEventListener("seeked", follow);
  videos[0].addEventListener("timeupdate", () => {
    follow();
    slide.value = videos[0].currentTime / (videos[0].duration || 1);
  });
  const slide = h("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Moment", oninput: () => both((v) => (v.pause(), (v.currentTime = slide.value * (v.duration || 0)))) });
  const chooser = (index) =>
    h(
      "select",
      { "aria-label": index ? "Right take" : "Left take", onchange: (event) => (show(index, event.target.value), start()) },
      takes.map((take) => h("option", { value: take.id, selected: take.id === ids[index] }, `Take ${shot.takes.indexOf(take) + 1} · seed ${take.seed}${take.chosen ? " · chosen" : ""}`)),
    );
  const routing = h("div", { class: "compared" });
  const sheet = h(
    "dialog",
    { class: "studio-panel compare", "aria-label": "Two takes side by side", onclose: () => sheet.remove(), onkeydown: (event) => event.stopPropagation() },
    h("div", { class: "row" }, h("h3", {}, `Takes of shot ${shots().indexOf(shot) + 1}`), h("span", { class: "grow" }), button("Close", () => sheet.close(), { text: false, shape: "close" })),
    h("div", { class: "pair" }, videos.map((video, index) => h("div", {}, video, chooser(index)))),
    h("div", { class: "row" }, button("Play or pause both", toggle, { shape: "play" }), slide),
    routing,
  );
  document.body.append(sheet);
  sheet.showModal();
  ids.forEach((id, index) => show(index, id));
  start();
}

// What the right take looked at more or less than the left.
async function tellRouting(box, project, [left, right]) {
  const key = `${left} ${right}`;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  if (left === right) return box.replaceChildren();
  try {
    const found = await get(`/projects/${project}/takes/${left}/routing/against/${right}`);
    if (box.dataset.key !== key) return;
    const told = found.shots.filter(([, change]) => Math.abs(change) >= 0.005).slice(0, 4);
    const points = (change) => `${percent(Math.abs(change))} ${change > 0 ? "more" : "less"}`;
    const plot = h("div", { class: "plot", role: "img", "aria-label": "What the right take looked at more or less than the left" });
    box.replaceChildren(
      h("p", { class: "told" }, h("strong", {}, "Routing. "), told.length ? `The right take gave ${told.map(([name, change]) => `${points(change)} of its attention to ${name}`).join(", ")}.` : "Both looked at the same."),
      plot,
    );
    await draw(plot, found.figure, { height: 220, name: "difference" });
  } catch (error) {
    if (box.dataset.key === key) box.replaceChildren(h("p", { class: "quiet" }, error.message));
  }
}
