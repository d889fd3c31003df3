// The platform in processes of its own, and requests as a device makes them.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import https from "node:https";
import { createInterface } from "node:readline";
import path from "node:path";

export const source = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "../..");

export async function startPlatform(bauta) {
  const child = spawn("python3", [path.join(source, "tests/platform/hold.py"), bauta], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) throw new Error("the platform did not start");
  return {
    ...JSON.parse(first.value),
    async invite() {
      child.stdin.write("\n");
      return (await lines.next()).value;
    },
    async stop() {
      const ended = new Promise(resolve => child.once("exit", resolve));
      child.stdin.end();
      await ended;
    },
  };
}

// What a device at the engine is told about an image.
export function identify(engine, image) {
  const body = JSON.stringify({ image: readFileSync(image).toString("base64") });
  return new Promise((resolve, reject) => {
    const request = https.request({
      host: "localhost", port: engine.port, path: "/v1/galleries/entrance/identify", method: "POST",
      ca: readFileSync(engine.authority),
      headers: { Authorization: "Bearer " + engine.key, "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) },
    }, response => {
      let text = "";
      response.on("data", part => { text += part; });
      response.on("end", () => resolve(JSON.parse(text)));
    });
    request.on("error", reject);
    request.end(body);
  });
}

export async function waitFor(condition, timeout_ms, what) {
  const start = Date.now();
  for (;;) {
    if (await condition()) return Date.now() - start;
    if (Date.now() - start > timeout_ms) throw new Error(`not within ${timeout_ms} ms: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
