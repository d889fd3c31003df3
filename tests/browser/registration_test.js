// A person's way through the pages in headless Chromium, whose camera shows one of the demo's people. Screenshots of each
// step go to the folder of the second argument.
//
// usage: node registration_test.js BAUTA SCREENSHOTS
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { identify, source, startPlatform, waitFor } from "./platform.js";

const [bauta, screenshots] = process.argv.slice(2).map(each => path.resolve(each));
const kSizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };
const kEngines = ["patchnet", "gradients", "textures"];
const photo = (person, number) => path.join(source, `examples/people/${person}/${person}_000${number}.jpg`);

function step(sentence) {
  console.log("  " + sentence);
}

// Every width of a page, at the state it is in; what covers the window is seen in the window alone.
async function picture(page, name, fullPage = true) {
  for (const [size, viewport] of Object.entries(kSizes)) {
    await page.setViewportSize(viewport);
    await page.screenshot({ path: path.join(screenshots, `${name}-${size}.png`), fullPage });
  }
  await page.setViewportSize(kSizes.phone);
}

// What keyboards and screen readers need: a name for everything that can be used, one h1, a language.
async function checkAccessible(page) {
  const nameless = await page.evaluate(() => {
    const named = element => element.textContent.trim() || element.getAttribute("aria-label") || element.labels?.length;
    return [...document.querySelectorAll("button, input, a, video, summary")].filter(element => !named(element)).map(element => element.outerHTML);
  });
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator("h1").count(), 1);
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  assert.equal(await page.locator("img:not([alt])").count(), 0);
}

async function decisions(platform, image) {
  const found = {};
  for (const engine of kEngines) found[engine] = (await identify(platform.engines[engine], image)).decision;
  return found;
}

async function test(platform, page, person) {
  const requests = [], problems = [];
  page.on("request", request => requests.push(request.url()));
  page.on("console", message => { if (message.type() === "error") problems.push(message.text()); });
  page.on("pageerror", error => problems.push(String(error)));

  await page.goto(platform.url);
  await page.getByRole("heading", { name: "You need an invitation" }).waitFor();
  problems.length = 0;  // 401 is how the page learns that nobody is registered here
  await page.goto(await platform.invite());
  await page.getByRole("heading", { name: "Register your face" }).waitFor();
  assert.ok(!page.url().includes("#"), "the invitation left the address");
  await checkAccessible(page);
  await picture(page, "1-register");

  step("a picture without a face is refused with a reason");
  await page.locator("#file").setInputFiles(path.join(source, "examples/refused/no_face.jpg"));
  await page.locator("#status.error").waitFor();
  assert.match(await page.locator("#status").textContent(), /cannot be used: ./);
  await picture(page, "2-refused");

  step("the camera's pictures are taken");
  await page.locator("#camera").click();
  for (let count = 1; count <= 2; ++count) {
    await page.locator("#take").click();
    await page.locator("#pictures li").nth(count - 1).waitFor({ timeout: 30_000 });
  }
  await page.locator("summary").click();
  await page.locator("#name").fill(`<img src=x onerror="document.title='owned'">`);
  await page.locator("#age").fill("33");
  await picture(page, "3-pictures");
  await page.locator("#register").click();
  await page.getByRole("heading", { name: "Where your face may be used" }).waitFor({ timeout: 30_000 });
  await checkAccessible(page);

  step("opting in to three engines");
  for (const engine of kEngines) {
    const consent = page.locator(`#consent-${engine}-entrance`);
    await consent.focus();
    await page.keyboard.press("Space");  // by keyboard
    await page.locator(`li[data-state=enrolled] #consent-${engine}-entrance`).waitFor({ timeout: 60_000 });
  }
  await picture(page, "4-opted-in");
  assert.deepEqual(await decisions(platform, photo(person, 5)), { patchnet: "accepted", gradients: "accepted", textures: "accepted" });
  const waited_ms = await waitFor(async () => await page.locator("#uses li", { hasText: "recognised" }).count() === 3, 5000, "three uses shown");
  step(`each recognition shown after ${waited_ms} ms`);
  await picture(page, "5-uses");

  step("opting out of one");
  await page.locator("#consent-gradients-entrance").click();
  await page.locator("li[data-state=off] #consent-gradients-entrance").waitFor({ timeout: 10_000 });
  const start = Date.now();
  assert.deepEqual(await decisions(platform, photo(person, 5)), { patchnet: "accepted", gradients: "rejected", textures: "accepted" });
  step(`refused there; three decisions took ${Date.now() - start} ms`);
  await picture(page, "6-opted-out");

  step("deletion, with a receipt");
  await page.locator("#delete").click();
  await picture(page, "7-confirm", false);
  await page.locator("#delete-yes").click();
  await page.locator("#deleted").waitFor({ timeout: 30_000 });
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.equal(JSON.parse(JSON.parse(readFileSync(await download.path())).record).event, "deleted");
  await picture(page, "8-deleted");
  assert.deepEqual(await decisions(platform, photo(person, 5)), { patchnet: "rejected", gradients: "rejected", textures: "rejected" });
  assert.deepEqual((await page.context().cookies()).map(cookie => cookie.name), []);

  assert.deepEqual(problems, []);
  assert.notEqual(await page.title(), "owned");
  assert.deepEqual([...new Set(requests.map(url => new URL(url).origin))].filter(origin => origin !== platform.url && origin !== "null"), []);
}

// Text against what is behind it, by the formula of WCAG 2; an element that is seen and whose text is too faint is returned.
async function faintTexts(page) {
  return page.evaluate(() => {
    const channels = color => color.match(/[\d.]+/g).map(Number);
    const luminance = color => channels(color).slice(0, 3).map(each => each / 255)
      .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
      .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
      for (let at = element; at; at = at.parentElement) {
        const color = getComputedStyle(at).backgroundColor;
        if (channels(color)[3] !== 0) return color;
      }
      return "rgb(255, 255, 255)";
    };
    const faint = [];
    for (const element of document.querySelectorAll("body *")) {
      if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) || !element.getClientRects().length) continue;
      const style = getComputedStyle(element);
      const both = [luminance(element instanceof SVGElement ? style.fill : style.color), luminance(behind(element))].sort((a, b) => b - a);
      const contrast = (both[0] + 0.05) / (both[1] + 0.05);
      if (contrast < 4.5) faint.push(`${element.outerHTML.slice(0, 80)}: ${contrast.toFixed(2)}`);
    }
    return faint;
  });
}

async function testOperator(platform, page) {
  const problems = [];
  page.on("console", message => { if (message.type() === "error" && !/401/.test(message.text())) problems.push(message.text()); });
  page.on("pageerror", error => problems.push(String(error)));
  await page.goto(platform.url + "/operator");
  await page.locator("#key").fill("not the key");
  await page.getByRole("button", { name: "Show" }).click();
  await page.locator("#status.error").waitFor();
  await page.locator("#key").fill(platform.operator_key);
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("heading", { name: "Engines and galleries" }).waitFor();
  await page.locator("#invite").click();
  await page.locator("#invitation").waitFor();

  step("response times, keys and backups are shown");
  for (const engine of kEngines) await identify(platform.engines[engine], photo(person, 5));
  await waitFor(async () => await page.locator(".plot").count() === kEngines.length, 15_000, "a plot for each engine");
  for (const engine of kEngines) await page.locator(`#back-up-${engine}`).click();
  await waitFor(async () => await page.locator("#backups td", { hasText: "entrance" }).count() === kEngines.length, 15_000, "three backups");
  assert.equal(await page.locator("#keys tbody tr", { hasText: "active" }).count(), kEngines.length + 1);
  const shown = await page.locator(".plot").first().evaluate(plot => plot.querySelectorAll("rect").length);
  assert.ok(shown >= 4, `a bar of four parts, not ${shown}`);

  step("the logs are checked, by keyboard");
  await page.locator("#check").focus();
  await page.keyboard.press("Enter");
  await page.locator("#verdict.good").waitFor();
  assert.equal(await page.locator("#log-checks tbody tr", { hasText: "whole" }).count(), kEngines.length + 1);

  step("redrawing leaves the focus and scrolled tables where they are");
  await page.locator("#back-up-textures").focus();
  await page.evaluate(() => {
    const keys = document.getElementById("keys");
    keys.scrollLeft = 30;
    keys.dataset.seen = "yes";
  });
  await waitFor(() => page.evaluate(() => !document.getElementById("keys").dataset.seen), 30_000, "it is drawn anew");
  assert.deepEqual(await page.evaluate(() => [document.activeElement.id, document.getElementById("keys").scrollLeft]), ["back-up-textures", 30]);

  await checkAccessible(page);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    assert.deepEqual(await faintTexts(page), []);
    await picture(page, `9-operator-${scheme}`);
  }
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wider, 0, "only tables scroll sideways");
  assert.deepEqual(problems, []);
}

mkdirSync(screenshots, { recursive: true });
const folder = mkdtempSync(path.join(os.tmpdir(), "bauta-browser-"));
const person = "Arlecchino";
// Chromium's fake camera repeats a film; this one has a single frame, twice.
const film = path.join(folder, "camera.mjpeg");
writeFileSync(film, Buffer.concat([readFileSync(photo(person, 1)), readFileSync(photo(person, 1))]));
const platform = await startPlatform(bauta);
const browser = await chromium.launch({
  executablePath: process.env.BAUTA_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${film}`],
});
try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: kSizes.phone, permissions: ["camera"], acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await test(platform, page, person).catch(async error => {
    await page.screenshot({ path: path.join(screenshots, "failed.png"), fullPage: true });
    throw error;
  });
  await testOperator(platform, await context.newPage());
  console.log("passed");
} finally {
  await browser.close();
  await platform.stop();
  rmSync(folder, { recursive: true });
}
