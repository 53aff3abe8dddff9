// One video of footage while it is edited: its state as the studio last answered it, the frame that is shown, and
// edits, which are sent one at a time. Nothing here has to be kept; the studio's database is the truth.

import { get, post, RequestError } from "../common/api.js";
import { notify, notifyError } from "../common/state.js";
import { isActive } from "./words.js";

const POLL = 700; // ms, while a job reads the video

/** @typedef {{ shot: number, to: number }} Move */
/** @typedef {{ op: string, [field: string]: unknown }} FootageEdit */

/** Dispatches "state" when the shots or the job changed, "frame" when another frame is shown, "gone". */
export class Editing extends EventTarget {
  /** @type {FootageState | null} */
  state = null;
  frame = 0;
  playing = false;
  /** The shot whose caption is being typed, by index. @type {number | null} */
  typed = null;

  #id;
  #over = false;
  #timer = 0;
  #requests = 0;
  /** @type {Move | null} */
  #move = null; // of a cut, not sent or not answered yet
  #sending = false; // whether a move is under way
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /** @param {string} id */
  constructor(id) {
    super();
    this.#id = id;
  }

  end() {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  get id() {
    return this.#id;
  }

  get fps() {
    return this.state?.fps || 1;
  }

  get frames() {
    return this.state?.frames ?? 0;
  }

  /** The shots, with a cut where it is being moved to. @returns {FootageShot[]} */
  get shots() {
    const shots = this.state?.shots ?? [];
    const move = this.#move;
    if (!move || !shots[move.shot]) return shots;
    return shots.map((shot, index) => {
      if (index === move.shot) return { ...shot, start: move.to };
      return index === move.shot - 1 ? { ...shot, end: move.to } : shot;
    });
  }

  /** The index of the shot that is shown, or whose caption is typed. */
  get selected() {
    if (this.typed !== null) return Math.min(this.typed, this.shots.length - 1);
    return Math.max(
      0,
      this.shots.findLastIndex((shot) => shot.start <= this.frame),
    );
  }

  /** The picture of some frames side by side. @param {number[]} frames */
  stills(frames) {
    return `/api/footage/${this.#id}/stills?frames=${frames.join()}&v=${this.state?.version ?? 0}`;
  }

  get film() {
    return `/api/footage/${this.#id}/film?v=${this.state?.version ?? 0}`;
  }

  /** Reads the state again, and goes on while a job reads the video. */
  async load() {
    clearTimeout(this.#timer);
    const number = ++this.#requests;
    try {
      const state = await get(`/footage/${this.#id}`);
      if (number === this.#requests) this.#show(state);
    } catch (error) {
      this.#refused(error);
    }
    if (!this.#over && isActive(this.state?.job ?? null)) this.#timer = setTimeout(() => this.load(), POLL);
  }

  /** Shows a frame; `byFilm` while the film plays. @param {number} frame */
  seek(frame, byFilm = false) {
    this.frame = Math.max(0, Math.min(this.frames - 1, Math.round(frame)));
    this.dispatchEvent(new CustomEvent("frame", { detail: { byFilm } }));
  }

  /** Goes to the cut before or after the frame. @param {number} direction */
  seekCut(direction) {
    const cuts = this.shots.map((shot) => shot.start);
    const next =
      direction > 0 ? cuts.find((cut) => cut > this.frame) : cuts.findLast((cut) => cut < this.frame);
    if (next !== undefined) this.seek(next);
    else this.seek(direction > 0 ? this.frames - 1 : 0);
  }

  /** Where the cut before a shot may be, so that the shots beside it keep a frame. @param {number} shot */
  limits(shot) {
    const { shots } = this;
    return [shots[shot - 1].start + 1, shots[shot].end - 1];
  }

  /**
   * Moves the cut before a shot, and shows the frame after it, or with `before` the one before it; it is sent with
   * `send`, or once it is let go.
   * @param {number} shot
   * @param {number} to
   */
  moveCut(shot, to, { send = true, before = false } = {}) {
    if (!this.shots[shot] || shot === 0) return;
    const [least, most] = this.limits(shot);
    this.#move = { shot, to: Math.max(least, Math.min(most, Math.round(to))) };
    this.seek(this.#move.to - (before ? 1 : 0));
    this.dispatchEvent(new Event("state"));
    if (send) this.#sendMove();
  }

  /** Puts a cut that is being moved back. */
  dropMove() {
    this.#move = null;
    this.dispatchEvent(new Event("state"));
  }

  #sendMove() {
    if (this.#sending) return;
    this.#sending = true;
    const command = async () => {
      for (;;) {
        const move = this.#move;
        if (!move || this.state?.shots[move.shot]?.start === move.to) break;
        await this.#post("edits", { edit: { op: "move-cut", ...move } });
        if (this.#move === move) break;
      }
    };
    this.#inTurn(command).finally(() => {
      this.#sending = false;
      this.#move = null;
      this.dispatchEvent(new Event("state"));
    });
  }

  /**
   * Sends an edit, or one that is made when its turn has come, and once more where the footage was changed elsewhere.
   * @param {FootageEdit | (() => FootageEdit)} edit
   */
  edit(edit) {
    const send = () => this.#post("edits", { edit: typeof edit === "function" ? edit() : edit });
    return this.#inTurn(async () => {
      try {
        await send();
      } catch (error) {
        if (typeof edit !== "function" || !(error instanceof RequestError) || error.status !== 409)
          throw error;
        await this.load();
        await send();
      }
    });
  }

  /** The index of the shot that a frame belongs to, as the studio last answered. @param {number} frame */
  shotAt(frame) {
    const shots = this.state?.shots ?? [];
    return Math.max(
      0,
      shots.findLastIndex((shot) => shot.start <= frame),
    );
  }

  /** Sends an edit as the page is left, when nothing can be waited for. @param {FootageEdit} edit */
  sendLast(edit) {
    fetch(`/api/footage/${this.#id}/edits`, {
      method: "POST",
      keepalive: true,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ base: this.state?.revision ?? 0, edit }),
    });
  }

  /** Adds a cut before the frame that is shown. */
  split() {
    return this.edit({ op: "split", at: this.frame });
  }

  /** Removes the cut before a shot. @param {number} shot */
  removeCut(shot) {
    if (shot > 0 && shot < this.shots.length) this.edit({ op: "merge", shot: shot - 1 });
  }

  /** @param {"undo" | "redo"} direction */
  turn(direction) {
    return this.#inTurn(async () => {
      const words = this.state?.[direction];
      if (!words) return;
      await this.#post(direction, {});
      notify(`${direction === "undo" ? "Undone" : "Redone"}: ${words}`);
    });
  }

  /** Searches the video for cuts. @param {number | null} threshold */
  async findCuts(threshold = null) {
    try {
      await post(`/footage/${this.#id}/find-cuts`, { threshold });
    } catch (error) {
      notifyError(error);
    }
    await this.load();
  }

  /** Cancels the job that reads the video. */
  async cancel() {
    const job = this.state?.job;
    if (!job) return;
    await post(`/jobs/${job.id}/cancel`).catch(notifyError);
    await this.load();
  }

  /**
   * @param {string} route
   * @param {object} body
   */
  async #post(route, body) {
    const state = await post(`/footage/${this.#id}/${route}`, { base: this.state?.revision ?? 0, ...body });
    ++this.#requests;
    this.#show(state);
  }

  /** @param {() => Promise<void>} command */
  #inTurn(command) {
    const running = this.#last.then(command, command).catch(async (error) => {
      this.#refused(error);
      if (error instanceof RequestError && error.status === 409) await this.load();
    });
    this.#last = running;
    return running;
  }

  /** @param {FootageState} state */
  #show(state) {
    if (this.#over) return;
    this.state = state;
    this.frame = Math.max(0, Math.min(this.frame, state.frames - 1));
    this.dispatchEvent(new Event("state"));
  }

  /** @param {unknown} error */
  #refused(error) {
    if (this.#over) return;
    if (error instanceof RequestError && error.status === 404) {
      this.end();
      this.dispatchEvent(new Event("gone"));
    }
    notifyError(error);
  }
}
