// Requests to the command that serves this page. The token is in the part of the URL that no browser sends; it is kept
// for this tab and this port alone.

const KEY = "token";
const GONE = {
  message: "tritonrepo no longer answers",
  hint: "The command that serves this page has ended. Start it again, and open the URL that it prints.",
};

export function remember() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
}

async function send(path, body, signal) {
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-tritonrepo-token": sessionStorage.getItem(KEY) ?? "" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw GONE;
  }
}

// The JSON answer to a request; throws what went wrong as {message, hint}.
export async function one(path, body) {
  const response = await send(path, body);
  const said = await read(response);
  if (said.error) throw said.error;
  return said;
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return { error: { message: `the response has HTTP status ${response.status}`, hint: "Ask again in a moment." } };
  }
}

// The lines of an answer as they arrive; throws what went wrong, also if the answer breaks off.
export async function* lines(path, body, signal) {
  const response = await send(path, body, signal);
  if (!response.ok) throw (await read(response)).error;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await next(reader);
      if (done) return;
      const found = (rest + value).split("\n");
      rest = found.pop();
      for (const line of found) {
        const said = JSON.parse(line);
        if (said.error) throw said.error;
        yield said;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw GONE;
  }
}
