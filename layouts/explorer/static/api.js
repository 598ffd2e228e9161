/** Requests to the library, and what becomes of answers that come too late. */

/** An error that the library puts in words. */
export class Refused extends Error {}

/**
 * Ask the server that this page came from.
 * @param {string} name of the endpoint
 * @param {object} body
 */
export async function overHttp(name, body) {
  let answer;
  try {
    answer = await fetch(`/api/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new Refused("The server does not answer. Is `layouts serve` still running? What you typed is kept.");
  }
  const kind = answer.headers.get("Content-Type") ?? "";
  if (!kind.includes("json")) {
    if (answer.ok) return answer.text();
    throw new Refused(`The server refused this (status ${answer.status}). ${hint(answer.status)}`);
  }
  const found = await answer.json();
  if (!answer.ok) {
    const said = found?.error?.message ?? found?.error ?? `The server refused this (status ${answer.status}).`;
    throw new Refused(typeof said === "string" ? said : JSON.stringify(said));
  }
  return found;
}

function hint(status) {
  if (status === 401 || status === 403) return "Open the address that `layouts serve` printed: it carries the token.";
  if (status === 413) return "The request is too long: shorten what you typed, or the values.";
  return "";
}

/**
 * Of several requests of one kind only the last one's answer counts; an earlier one's resolves to
 * null, and so does its error.
 * @param {(name: string, body: object) => Promise<any>} request
 */
export function latestOf(request) {
  const turns = new Map();
  return async (name, body) => {
    const turn = (turns.get(name) ?? 0) + 1;
    turns.set(name, turn);
    try {
      const found = await request(name, body);
      return turns.get(name) === turn ? found : null;
    } catch (error) {
      if (turns.get(name) !== turn) return null;
      throw error;
    }
  };
}
