// The takes of the selected shot.

import { fileOf } from "./api.js";
import { button, duration, h, icon, percent, reconcile } from "./dom.js";
import { current, edit, on, start, view } from "./store.js";

export function mount(element) {
  const list = h("div", { class: "takes" });
  const empty = h("p", { class: "quiet" }, "Takes of the selected shot appear here once it is rendered.");
  const more = h("div", { class: "row" });
  element.replaceChildren(h("div", { class: "panel" }, more, empty, list));

  const draw = () => {
    const shot = current();
    const all = shot?.takes ?? [];
    const binned = all.filter((take) => take.discarded).length;
    const takes = all.filter((take) => !take.discarded);
    empty.hidden = takes.length > 0;
    more.replaceChildren(
      takes.length > 1
        ? button("Compare", async () => {
            const left = shot.take ?? takes[0].id;
            (await import("./compare.js")).compare(shot, [left, takes.findLast((take) => take.id !== left).id]);
          })
        : "",
      binned ? h("span", { class: "quiet" }, `${binned} deleted (undo brings them back)`) : "",
    );
    reconcile(
      list,
      takes.toReversed(),
      (take) => take.id,
      (take) =>
        h(
          "div",
          { class: "take" },
          h("video", { class: "take-clip", muted: true, loop: true, preload: "none", playsInline: true, src: fileOf(view.project.id, take.id, "clip"), onmouseenter: (e) => e.target.play().catch(() => {}), onmouseleave: (e) => e.target.pause() }),
          h("div", { class: "take-words" }),
          h("div", { class: "row" }),
        ),
      (box, take) => updateTake(box, shot, take, all),
    );
  };
  on("project selection", draw);
  start();
}

function updateTake(box, shot, take, all) {
  const number = all.indexOf(take) + 1;
  box.classList.toggle("chosen", take.chosen);
  box.style.setProperty("--picture", `url("${fileOf(view.project.id, take.id, "thumbnail")}")`);
  const key = JSON.stringify([take, number, shot.id]);
  if (box.dataset.drawn === key) return;
  box.dataset.drawn = key;
  const seen = take.context.map(([place, share]) => `${place === null ? "an older take" : `shot ${place + 1}`} ${percent(share)}`);
  const when = new Date(take.created * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  box.querySelector(".take-words").replaceChildren(
    h("strong", {}, `Take ${number}${take.chosen ? " · chosen" : ""}`),
    h("span", {}, `seed ${take.seed} · ${take.seconds.toFixed(1)} s · ${when} · made in ${duration(take.spent)}`),
    h("span", { class: "quiet" }, seen.length ? `looked at ${seen.join(", ")}` : "saw no earlier shot"),
    take.caption === shot.caption ? "" : h("span", { class: "quiet" }, `caption then: ${take.caption}`),
  );
  box.querySelector(".row").replaceChildren(
    take.chosen ? h("span", { class: "chip" }, icon("check"), "in the cut") : button("Choose", () => edit({ op: "choose", shot: shot.id, take: take.id })),
    button("Restore settings", () => edit({ op: "restore", shot: shot.id, take: take.id }), { title: "Give the shot this take's caption, length and seed again" }),
    button("Delete take", () => edit({ op: "discard", take: take.id }), { text: false, shape: "remove" }),
  );
}
