// Two takes of a shot side by side, in step with each other, in a sheet over the page.

import { fileOf } from "./api.js";
import { button, h } from "./dom.js";
import { shots, view } from "./store.js";

export function compare(shot, ids) {
  const takes = shot.takes.filter((take) => !take.discarded);
  const videos = ids.map(() => h("video", { muted: true, loop: true, playsInline: true, onclick: () => toggle() }));
  const both = (work) => videos.forEach(work);
  const show = (index, id) => (videos[index].src = fileOf(view.project.id, id, "clip"));
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
  const sheet = h(
    "dialog",
    { class: "studio-panel compare", "aria-label": "Two takes side by side", onclose: () => sheet.remove(), onkeydown: (event) => event.stopPropagation() },
    h("div", { class: "row" }, h("h3", {}, `Takes of shot ${shots().indexOf(shot) + 1}`), h("span", { class: "grow" }), button("Close", () => sheet.close(), { text: false, shape: "close" })),
    h("div", { class: "pair" }, videos.map((video, index) => h("div", {}, video, chooser(index)))),
    h("div", { class: "row" }, button("Play or pause both", toggle, { shape: "play" }), slide),
  );
  document.body.append(sheet);
  sheet.showModal();
  ids.forEach((id, index) => show(index, id));
  start();
}
