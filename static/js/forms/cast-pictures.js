// The cast with their pictures, which show models that take references whom they are to draw.

import { sendEdit } from "../common/commands.js";
import { button, fill, h, icon } from "../common/dom.js";
import { choosePicture, PICTURE_TYPES, pictureUrl } from "../common/pictures.js";
import { start } from "../common/project.js";
import { page, subscribe } from "../common/state.js";

/** @param {HTMLElement} element */
export function mount(element) {
  let drawn = "";
  const draw = () => {
    if (!page.project) return;
    const { id, cast, lacks } = page.project;
    const shown = cast.map(({ name, picture }) => [name, picture, pictureUrl(id, picture)]);
    const key = JSON.stringify([id, shown, lacks.references]);
    if (key === drawn) return;
    drawn = key;
    fill(
      element,
      cast.length > 0 && h("h4", {}, "Pictures"),
      h(
        "div",
        { class: "cast-list" },
        cast.map((member) => row(id, member)),
      ),
      cast.length > 0 &&
        h("p", { class: "info" }, lacks.references ?? "References for the shots that name them."),
    );
  };
  subscribe("project", draw);
  start();
}

/**
 * @param {string} project
 * @param {CastMember} member
 */
function row(project, { name, picture }) {
  const file = h("input", { type: "file", accept: PICTURE_TYPES, hidden: true });
  choosePicture(file, (chosen) => setPicture(name, chosen));
  const src = pictureUrl(project, picture);
  const what = picture ? `Replace the picture of ${name}` : `Add a picture of ${name}`;
  return h(
    "div",
    { class: "cast-member" },
    h(
      "button",
      { type: "button", class: "cast-picture", "aria-label": what, title: what, onclick: () => file.click() },
      src ? h("img", { alt: `Picture of ${name}`, src: `${src}/thumbnail` }) : icon(picture ? "warn" : "add"),
    ),
    file,
    h("span", { class: "cast-name" }, name),
    picture && !src && h("span", { class: "why-off" }, "not there: choose it again"),
    picture &&
      button(`Remove the picture of ${name}`, () => setPicture(name, null), { text: false, icon: "close" }),
  );
}

/**
 * @param {string} name
 * @param {string | null} picture
 */
const setPicture = (name, picture) => sendEdit(() => ({ op: "cast_picture", name, picture }));
