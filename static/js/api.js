// The routes of the studio. A failure is an `Error` whose message is for the person who asked.

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(method, path, body) {
  const raw = body === undefined || typeof body === "string" || body instanceof Blob;
  let answer;
  const ask = () =>
    fetch(`/api${path}`, {
      method,
      headers: raw ? {} : { "content-type": "application/json" },
      body: raw ? body : JSON.stringify(body),
    });
  try {
    answer = await (method === "GET" ? ask().catch(ask) : ask()); // what only reads may be asked for again
  } catch {
    throw new Refusal("The studio does not answer. Is it still running?", 0);
  }
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = null;
  }
  if (!answer.ok) {
    throw new Refusal(data?.message ?? `The studio answered ${answer.status}.`, answer.status);
  }
  return data;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const fileOf = (project, take, kind) => `/api/projects/${project}/takes/${take}/${kind}`;
