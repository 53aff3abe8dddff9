// Two takes side by side, in step with each other.

import { fileOf } from "./api.js";
import { button, h } from "./dom.js";
import { view } from "./store.js";

export function drawCompare(box, shot, takes, ids, choose) {
  box.hidden = ids.length !== 2;
  if (box.hidden) {
    box.replaceChildren();
    box.dataset.ids = "";
    return;
  }
  if (box.dataset.ids === ids.join(" ")) return;
  box.dataset.ids = ids.join(" ");
  const videos = ids.map((id) => h("video", { muted: true, loop: true, playsInline: true, src: fileOf(view.project.id, id, "clip") }));
  const follow = () => Math.abs(videos[1].currentTime - videos[0].currentTime) > 0.04 && (videos[1].currentTime = videos[0].currentTime);
  videos[0].addEventListener("timeupdate", follow);
  videos[0].addEventListener("seeked", follow);
  const both = (work) => videos.forEach(work);
  const play = button("Play both", () => (videos[0].paused ? both((v) => v.play().catch(() => {})) : both((v) => v.pause())), { shape: "play" });
  const slide = h("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Moment", oninput: () => both((v) => (v.pause(), (v.currentTime = slide.value * (v.duration || 0)))) });
  const chooser = (index) =>
    h("select", { "aria-label": index ? "Right take" : "Left take", onchange: (event) => choose(index, event.target.value) }, takes.map((take) => h("option", { value: take.id, selected: take.id === ids[index] }, `Take ${shot.takes.indexOf(take) + 1} · seed ${take.seed}`)));
  box.replaceChildren(h("div", { class: "pair" }, ...videos.map((video, index) => h("div", {}, video, chooser(index)))), h("div", { class: "row" }, play, slide));
  both((v) => v.play().catch(() => {}));
}
