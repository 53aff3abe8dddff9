// Answers arrive in any order; of requests for the same place on the page only the last one's counts.

/**
 * Wraps requests: `shown` gets the answer of a request, and `failed` its error, unless a later one was sent.
 * @template T
 * @param {(answer: T) => void} shown
 * @param {(error: unknown) => void} failed
 * @returns {(request: () => Promise<T>) => Promise<void>}
 */
export function latest(shown, failed) {
  let sent = 0;
  return async (request) => {
    const number = ++sent;
    try {
      const answer = await request();
      if (number === sent) shown(answer);
    } catch (error) {
      if (number === sent) failed(error);
    }
  };
}
