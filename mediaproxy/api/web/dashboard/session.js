// Who is signed in, and what is asked of the server in their name. The token lives in this tab alone.

const KEY = "mediaproxy.token";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const session = {
  get token() { return sessionStorage.getItem(KEY); },
  me: null,

  async signIn(token) {
    sessionStorage.setItem(KEY, token);
    try {
      this.me = await ask("/v1/me");
    } catch (error) {
      this.signOut();
      throw error;
    }
  },

  signOut() {
    sessionStorage.removeItem(KEY);
    this.me = null;
  },
};

/** The JSON that the server answers; `Refused` says why not. */
export async function ask(path, options = {}) {
  const response = await fetched(path, options);
  return response.status === 204 ? null : response.json();
}

export async function fetched(path, { method = "GET", body } = {}) {
  const headers = { Authorization: `Bearer ${session.token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method, headers, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Refused(response.status, await reasonOf(response));
  return response;
}

async function reasonOf(response) {
  try {
    const problem = await response.json();
    return problem.detail || problem.title;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}
