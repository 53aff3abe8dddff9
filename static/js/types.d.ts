// What the API answers (see /openapi.json), and what modules of the page pass to each other.

type UnknownSpan = { start: number; stop: number; suggestion: string | null };

type Take = {
  frames: number;
  fps: number;
  id: string;
  seed: number;
  seconds: number;
  size: [number, number];
  caption: string;
  model: string;
  created: number;
  spent: number;
  context: [index: number | null, share: number][];
  chosen: boolean;
  discarded: boolean;
};

type Shot = {
  id: string;
  caption: string;
  begins: number;
  seconds: number;
  trim: number;
  seed: number | null;
  lock: boolean;
  skip: boolean;
  negative_prompt: string | null;
  loras: Lora[];
  first_frame: string | null;
  first_frame_at: number | null;
  needs_first_frame: boolean;
  guide_strength: number | null;
  control_scale: number | null;
  pins: string[];
  bans: string[];
  boosts: Record<string, number>;
  dormant: unknown[];
  state: string;
  due: boolean;
  reasons: string[];
  reason_codes: string[];
  take: string | null;
  other_take: string | null;
  takes: Take[];
  unknown: UnknownSpan[];
};

type Lane = "final" | "draft";

type Lora = { file: string; weight: number; expert: string };

type LoraSampler = {
  file: string;
  preset: string;
  steps: number;
  guidance: number;
  guidance_2: number;
  scheduler: string;
  shift: number;
};

type Settings = {
  model: string | null;
  steps: number | null;
  guidance: number | null;
  top_k: number | null;
  full_below: number | "auto" | null;
  rerender_threshold: number;
  looks: string;
  negative_prompt: string | null;
  scheduler: string | null;
  shift: number | null;
  guidance_2: number | null;
  loras: Lora[];
  step_cache: string | null;
  memory_policy: string | null;
  keyframes: number | null;
  memory_storage: string | null;
  positions: string | null;
  router: string | null;
  context: "all" | "finished";
  draft_model: string | null;
  guide_strength: number | null;
  control_scale: number | null;
};

/** `guide_strength` 1 is no use at all; null for both is the film's, or none. */
type DraftUse = { guide_strength: number | null; control_scale: number | null };

/** `picture` is "picture:DIGEST", or "file:PATH" of one that was not read. */
type CastMember = { name: string; look: string | null; picture: string | null; unknown: UnknownSpan[] };

type ProjectState = {
  id: string;
  revision: number;
  stamp: string;
  title: string;
  style: string;
  style_unknown: UnknownSpan[];
  fields: Record<string, string | number | boolean>;
  size: [number, number];
  fps: number;
  seed: number;
  seconds: number;
  settings: Settings;
  lacks: Record<string, string>;
  lora_samplers: LoraSampler[];
  lane: Lane;
  has_lanes: boolean;
  defaults: Record<string, string>;
  missing_pictures: Record<string, string>;
  cast: CastMember[];
  shots: Shot[];
  undo: string | null;
  redo: string | null;
  due: number;
  due_seconds: number;
  time_known: boolean;
};

type LibraryModel = {
  model: string | null;
  name: string;
  origin: string;
  title: string;
  location: string;
  size: number;
  parameters: number;
  dtype: string;
  licence: string | null;
  needs: { profile: string; device: number; host: number }[];
  needs_first_frame: boolean;
  problem: string | null;
};

type ModelState = { model: LibraryModel; fits: string | null };
type LibraryLora = {
  name: string;
  file: string;
  size: number;
  rank: number;
  layout: string;
  expert: string | null;
  preset: string | null;
  problem: string | null;
};
type Machine = { main: number; device: number | null };
type KnownModel = { id: string; title: string; licence: string; steps: number; note: string };
type LibraryState = { machine: Machine; models: ModelState[]; offered: KnownModel[] };
type RemoteModel = {
  model: string;
  licence: string | null;
  size: number;
  missing: number;
  free: number;
  fits: boolean;
};

type ListedProject = {
  id: string;
  title: string;
  shots: number;
  changed: number;
  trashed: number | null;
  bytes: number;
  own_bytes: number;
};

type Job = {
  id: number;
  kind: string;
  project: string | null;
  title: string;
  shot: string | null;
  lane: Lane | null;
  model: string | null;
  footage: string | null;
  index: number | null;
  state: "queued" | "running" | "done" | "failed" | "cancelled" | "parked";
  superseded: boolean;
  reason: string;
  seconds: number;
  stage: string | null;
  step: number;
  steps: number;
  seconds_left: number | null;
  picture: number;
  error: string | null;
};

type Queue = { paused: boolean; jobs: Job[] };

type ProfileNeed = { profile: string; does: string; device: number; host: number; fits: boolean };

/** Bytes that the longest shot needs, and those that there are; and those that it needs under each profile. */
type RenderNeed = {
  profile: string;
  by_itself: boolean;
  device: number;
  device_total: number;
  host: number;
  host_total: number;
  disk: number;
  remembered: number;
  per_step: number;
  fits: boolean;
  profiles: ProfileNeed[];
};

type PlannedRender = { index: number; reasons: string[]; seconds: number };

/** Renders shared out among workers; `waves` are indices of shots that can run side by side. */
type RenderSchedule = {
  workers: number;
  seconds: number;
  time_known: boolean;
  times: { workers: number; seconds: number }[];
  context: "all" | "finished";
  seen: number;
  to_see: number;
  waves: number[][];
  renders: { shot: string; index: number; wave: number }[];
};

/** An edit of a project: `op` names it, the rest are its fields. */
type Edit = { op: string; [field: string]: unknown };

type Steering = "pin" | "ban" | "boost";

/** Left, top, right and bottom as shares of the picture. */
type Box = [left: number, top: number, right: number, bottom: number];

/** A chunk of an earlier shot, and the share of attention that it got. */
type Attended = {
  label: string;
  name: string;
  kind: string;
  share: number;
  column: number;
  steerable: boolean;
  shot: string | null;
  take: string | null;
  at: number | null;
  length: number | null;
  box: Box | null;
};

/** What a part of a shot attended to. */
type Attention = { part: string; own: number; drawn: Attended[]; box: Box | null; heat?: ShowHeat | null };

type ShowHeat = (item: Attended) => void;

/** A figure of Plotly. */
// biome-ignore lint/suspicious/noExplicitAny: plotly.js has no types here
type Figure = any;

/** What a view of the inspector shows, and what draws its figures once it is on the page. */
type View = { elements: HTMLElement[]; draw?: () => Promise<unknown> };

/** A look that differs from what it should be. */
type Drift = {
  shot: string;
  name: string;
  reason: string;
  instead: string | null;
  pin: string | null;
  bans: string[];
};

/** What Gradio's forms call (static/js/forms/form-fields.js). */
interface Window {
  studioForms?: {
    save: (name: string, value: unknown, leaving: boolean) => Promise<string | undefined> | undefined;
    values: (names: string[]) => unknown[];
  };
}

/** A shot of footage: its frames from `start` until before `end`. */
type FootageShot = { start: number; end: number; caption: string; left_out: boolean };

type FootageState = {
  id: string;
  name: string;
  location: string;
  missing: boolean;
  revision: number;
  ready: boolean;
  frames: number;
  fps: number;
  size: [number, number];
  version: number;
  shots: FootageShot[];
  style: string;
  notes: string[];
  undo: string | null;
  redo: string | null;
  job: Job | null;
};

type FootageSummary = {
  id: string;
  name: string;
  location: string;
  ready: boolean;
  shots: number;
  left_out: number;
  seconds: number;
  version: number;
  changed: number;
  job: Job | null;
};
