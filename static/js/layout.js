// Where things lie on the timeline: seconds of the cut in pixels, and back.

import { shots } from "./store.js";

export const SKIPPED = 30; // px

export const lane = {
  element: null, // holds the clips
  scale: 60, // px per second
  places: [], // {id, left, width, begins, seconds, skip}
  gesture: null, // what a drag would do if it ended now; nothing is drawn anew meanwhile
  marker: null, // shows where what is dragged would land
};

// Lays the shots out; returns the width in pixels.
export function layOut() {
  let left = 0;
  lane.places = shots().map((shot) => {
    const width = shot.skip ? SKIPPED : Math.max(shot.seconds * lane.scale, 12);
    const place = { id: shot.id, left, width, begins: shot.begins, seconds: shot.skip ? 0 : shot.seconds, skip: shot.skip };
    left += width;
    return place;
  });
  return left;
}

export const placeOf = (id) => lane.places.find((place) => place.id === id);

export function xOf(seconds) {
  const place = lane.places.findLast((p) => !p.skip && p.begins <= seconds + 1e-6);
  if (!place) return 0;
  return place.left + Math.min(1, (seconds - place.begins) / place.seconds) * place.width;
}

export function timeAt(x) {
  const place = lane.places.find((p) => x < p.left + p.width) ?? lane.places.at(-1);
  if (!place) return 0;
  if (place.skip) return place.begins;
  return place.begins + Math.max(0, Math.min(1, (x - place.left) / place.width)) * place.seconds;
}

export const xIn = (event) => event.clientX - lane.element.getBoundingClientRect().left;
