// Elements and texts. Text is only ever set as text, so nothing that a server sends becomes markup.
import texts from "./texts/en.json";

type Child = Node | string;
type Attributes = { [name: string]: string | boolean | ((event: Event) => void) };

export function element<Tag extends keyof HTMLElementTagNameMap>(
    tag: Tag, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (typeof value === "string") made.setAttribute(name, value);
    else made.toggleAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// The text of that name with {placeholders} filled in; the name itself when there is none.
export function text(name: string, values: { [name: string]: string | number } = {}): string {
  const found = (texts as { [name: string]: unknown })[name];
  if (typeof found !== "string") return name;
  return found.replace(/\{(\w+)\}/g, (whole, key) => key in values ? String(values[key]) : whole);
}

export const guidance: string[] = texts.guidance;

export function textOr(name: string, otherwise: string): string {
  return name in texts ? text(name) : otherwise;
}

export function show(...content: Child[]): void {
  document.getElementById("main")!.replaceChildren(...content);
}

const kShown_ms = 6000;
let hiding: ReturnType<typeof setTimeout> | undefined;

// Said to everybody, also by screen readers. Errors stay until something else is said.
export function say(message: string, isError = false): void {
  const status = document.getElementById("status")!;
  status.textContent = message;
  status.classList.toggle("error", isError);
  clearTimeout(hiding);
  if (!isError) hiding = setTimeout(() => { status.textContent = ""; }, kShown_ms);
}

export function section(title: string, ...children: Child[]): HTMLElement {
  return element("section", {}, element("h2", {}, title), ...children);
}

export function formatTime(time_ms: number): string {
  return new Date(time_ms).toLocaleString();
}
