// The live response times of one engine: a bar for each sample, stacked from the parts of the published response times.
import { element, text } from "./dom";

export interface ResponseTime {
  time_ms: number;
  recognitions: number;
  encryption_ms: number;
  distances_ms: number;
  minimum_ms: number;
  others_ms: number;
}

const kParts = ["encryption", "distances", "minimum", "others"] as const;
type Part = typeof kParts[number];

const kBars = 60;
const kHeight = 180, kLeft = 56, kBottom = 22, kTop = 10;
const kWidths = { least: 260, most: 640 };
const kWidestBar = 24, kTimes = 160;  // pixels: of a bar, and of two times of day side by side

function partOf(time: ResponseTime, part: Part): number {
  return time[`${part}_ms`];
}

function totalOf(time: ResponseTime): number {
  return kParts.reduce((sum, part) => sum + partOf(time, part), 0);
}

function svg(tag: string, attributes: { [name: string]: string | number }, ...children: (Node | string)[]): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

function formatDuration(duration_ms: number): string {
  return duration_ms >= 1000 ? `${(duration_ms / 1000).toPrecision(3)} s` : `${Number(duration_ms.toPrecision(3))} ms`;
}

// The least of 1, 2, 5, 10, 20, ... that is not below.
function roundUp(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * [1, 2, 5, 10].find(factor => factor * decade >= value)!;
}

function bars(times: ResponseTime[], width: number): SVGElement {
  const top_ms = roundUp(Math.max(...times.map(totalOf), 1e-3));
  const y = (value_ms: number) => kTop + (kHeight - kTop - kBottom) * (1 - value_ms / top_ms);
  const step = Math.min((width - kLeft) / times.length, kWidestBar);
  const end = Math.max(kLeft + step * times.length, kLeft + kTimes);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${kHeight}`, width, height: kHeight, class: "plot", "aria-hidden": "true" });
  for (const value_ms of [0, top_ms / 2, top_ms])
    drawn.append(svg("line", { class: "grid", x1: kLeft, x2: width, y1: y(value_ms), y2: y(value_ms) }),
      svg("text", { x: kLeft - 6, y: y(value_ms) + 4, "text-anchor": "end" }, formatDuration(value_ms)));
  times.forEach((time, i) => {
    let below_ms = 0;
    const x = kLeft + i * step;
    for (const part of kParts) {
      const above_ms = below_ms + partOf(time, part);
      drawn.append(svg("rect", {
        class: part, x, width: Math.max(step - 1, 1), y: y(above_ms), height: y(below_ms) - y(above_ms),
      }));
      below_ms = above_ms;
    }
  });
  const timeOfDay = (time: ResponseTime) => new Date(time.time_ms).toLocaleTimeString();
  drawn.append(svg("text", { x: kLeft, y: kHeight - 4 }, timeOfDay(times[0])));
  if (times.length > 1)
    drawn.append(svg("text", { x: end, y: kHeight - 4, "text-anchor": "end" }, timeOfDay(times[times.length - 1])));
  return drawn;
}

// Means over recognitions, of those shown and of the newest sample.
function legend(times: ResponseTime[]): HTMLElement {
  const recognitions = times.reduce((sum, time) => sum + time.recognitions, 0);
  const mean = (value: (time: ResponseTime) => number) =>
    times.reduce((sum, time) => sum + value(time) * time.recognitions, 0) / recognitions;
  const newest = times[times.length - 1];
  const row = (name: string, value: (time: ResponseTime) => number, mark: HTMLElement[]) => element("tr", {},
    element("th", { scope: "row" }, ...mark, text(name)), element("td", { class: "number" }, formatDuration(value(newest))),
    element("td", { class: "number" }, formatDuration(mean(value))));
  return element("table", { class: "legend" },
    element("caption", {}, text("response_of", { recognitions })),
    element("thead", {}, element("tr", {}, ...["part", "newest", "mean"].map(name => element("th", { scope: "col" }, text(name))))),
    element("tbody", {},
      ...kParts.map(part => row(`part_${part}`, time => partOf(time, part), [element("span", { class: `mark ${part}`, "aria-hidden": "true" })])),
      row("part_total", totalOf, [])));
}

// width: what there is for the plot, in pixels. The table says what the bars show.
export function plotOf(all: ResponseTime[], width: number): HTMLElement {
  const times = all.slice(-kBars);
  if (times.length === 0) return element("p", {}, text("response_none"));
  const fitting = Math.min(Math.max(width, kWidths.least), kWidths.most);
  return element("div", { class: "response" }, bars(times, fitting), legend(times));
}
