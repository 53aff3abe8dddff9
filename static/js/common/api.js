// Requests to the studio's API.

/** A request that failed. Its message is meant for the user; `status` is 0 where nobody answered. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function send(method, path, body) {
  const raw = body === undefined || typeof body === "string" || body instanceof Blob;
  const request = () =>
    fetch(`/api${path}`, {
      method,
      headers: raw ? {} : { "content-type": "application/json" },
      body: raw ? /** @type {string | Blob | undefined} */ (body) : JSON.stringify(body),
    });
  let answer;
  try {
    answer = await (method === "GET" ? request().catch(request) : request()); // reading may be repeated
  } catch {
    throw new RequestError("The studio does not answer. Is it still running?", 0);
  }
  const data = parse(await answer.text());
  if (!answer.ok) throw failure(answer.status, data);
  return data;
}

/** @param {string} text */
function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/**
 * @param {number} status
 * @param {{ message?: string } | null} data
 */
export function failure(status, data) {
  return new RequestError(data?.message ?? `The studio answered with status ${status}.`, status);
}

/** @param {string} path */
export const get = (path) => send("GET", path);

/**
 * @param {string} path
 * @param {unknown} [body]
 */
export const post = (path, body) => send("POST", path, body);

/**
 * @param {string} project
 * @param {string} take
 * @param {string} kind "clip", "thumbnail", or "frames/12"
 */
export const takeFile = (project, take, kind) => `/api/projects/${project}/takes/${take}/${kind}`;
