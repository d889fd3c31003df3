// Requests to the server that the page came from, and to no other.
import { text } from "./dom";

export class Refusal extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

export async function ask(method: string, path: string, options: {
  body?: FormData | object; headers?: { [name: string]: string };
} = {}): Promise<any> {
  const headers: { [name: string]: string } = { ...options.headers };
  let body: BodyInit | undefined;
  if (options.body instanceof FormData) {
    body = options.body;
  } else if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(path, { method, headers, body, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Refusal(0, text("error_network"));
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, String(answer.detail ?? response.status));
  return answer;
}
