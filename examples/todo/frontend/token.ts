/** Nobody is logged in any more: trying again cannot help. */
export class LoggedOut extends Error {}

export interface ConnectionToken {
  token: string;
  user_id: string;
}

/** Who may connect is decided by the session cookie, so the request carries Django's CSRF token. */
export async function fetchToken(url: string): Promise<ConnectionToken> {
  const response = await post(url);
  if (!response.ok) throw new Error(`The server gave no token (HTTP ${response.status}).`);
  return (await response.json()) as ConnectionToken;
}

/** To a view of this site. */
export async function post(url: string): Promise<Response> {
  const response = await fetch(url, { method: 'POST', headers: { 'X-CSRFToken': csrfToken() } });
  if (response.status === 401 || response.status === 403) throw new LoggedOut('You are logged out.');
  return response;
}

/** From the cookie and not from the page: logging in again in another window changes it. */
function csrfToken(): string {
  return /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? '';
}
