// The operators' page: what the platform holds and how it goes, invitations, checks and backups. Opaque subjects only.
import { element, formatTime, say, section, show, text, textOr } from "./dom";
import { plotOf } from "./plot";
import { ask, Refusal } from "./server";

const kPoll_ms = 5000;
const kLogShown = 20;
let key = "";

function headers(): { [name: string]: string } {
  return { Authorization: "Bearer " + key };
}

function get(path: string): Promise<any> {
  return ask("GET", "/v1/operator/" + path, { headers: headers() });
}

function post(path: string): Promise<any> {
  return ask("POST", "/v1/operator/" + path, { body: {}, headers: headers() });
}

const kIdCharacters = 8;

// Identifiers are told apart by their beginning; the whole stands in the title.
function cell(value: string | number): HTMLElement {
  const whole = String(value);
  return /^[0-9a-f]{32,}$/.test(whole) ? element("td", { title: whole }, whole.slice(0, kIdCharacters) + "…") : element("td", {}, whole);
}

function table(id: string, columns: string[], rows: (string | number)[][]): HTMLElement {
  if (rows.length === 0) return element("p", {}, text("none"));
  return element("div", { id, class: "scroll", tabindex: "0", role: "region", "aria-label": columns.map(name => text(name)).join(", ") },
    element("table", {},
      element("thead", {}, element("tr", {}, ...columns.map(name => element("th", { scope: "col" }, text(name))))),
      element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(cell))))));
}

// New content, with the focus and the scrolled tables where they were.
function redraw(part: HTMLElement, ...content: HTMLElement[]): void {
  const focused = document.activeElement?.id;
  const scrolled = [...part.querySelectorAll(".scroll")].map(region => [region.id, region.scrollLeft] as const);
  part.replaceChildren(...content);
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function invite(into: HTMLElement): Promise<void> {
  const invitation = await post("invitations");
  const image = element("img", {
    alt: text("invite_alt"), class: "qr",
    src: URL.createObjectURL(new Blob([invitation.svg], { type: "image/svg+xml" })),
  });
  into.replaceChildren(image, element("p", {}, text("invite_shown")),
    element("p", {}, element("a", { href: invitation.url, id: "invitation" }, invitation.url)));
}

async function checkLogs(into: HTMLElement): Promise<void> {
  const checked = await post("log-checks");
  const verdict = (log: any) => text(log.whole ? "log_whole" : log.checked ? "log_broken" : "log_unchecked");
  const broken = checked.logs.filter((log: any) => !log.whole);
  into.replaceChildren(
    element("p", { id: "verdict", class: broken.length ? "bad" : "good" },
      text(broken.length ? "logs_broken" : "logs_whole", { time: formatTime(checked.time_ms) })),
    table("log-checks", ["log", "verdict", "records", "signed"], checked.logs.map((log: any) => [
      text(`log_${log.log}`, { engine: log.engine }), verdict(log), log.checked && log.whole ? log.records : "",
      log.whole ? log.signed_records : ""])),
    ...broken.map((log: any) => element("p", { class: "bad" }, `${text(`log_${log.log}`, { engine: log.engine })}: ${log.reason}`)));
}

// What is asked of each engine; what one cannot answer is null and leaves the rest as it is.
async function readEngine(engine: any): Promise<any> {
  const read = (what: string) => get(`engines/${engine.engine}/${what}`).catch(error => {
    if (error instanceof Refusal && (error.status === 0 || error.status === 401)) throw error;
    return null;
  });
  const [log, keys, times, backups] = await Promise.all(["log", "keys", "response-times", "backups"].map(read));
  return { ...engine, log, keys, times, backups };
}

function engineSection(engines: any[]): HTMLElement {
  return section(text("engines_title"), table("engines", ["engine", "answers", "gallery", "subjects", "references", "dimension", "key"],
    engines.flatMap(engine => engine.galleries.length
      ? engine.galleries.map((gallery: any) => [engine.title, text(engine.answers ? "yes" : "no"), gallery.gallery,
        gallery.subjects, gallery.references, gallery.dimension, gallery.key_id])
      : [[engine.title, text(engine.answers ? "yes" : "no"), "", "", "", "", ""]])));
}

function responseSection(engines: any[], width: number): HTMLElement {
  return section(text("response_title"), element("p", { class: "muted" }, text("response_intro")),
    ...engines.map(engine => element("div", { class: "engine" }, element("h3", {}, engine.title),
      engine.times?.measured ? plotOf(engine.times.times, width) : element("p", {}, text("response_unmeasured")))));
}

function backupSection(engines: any[]): HTMLElement {
  const known = engines.filter(engine => engine.backups);
  const schedule = known[0]?.backups;
  const rows = known.flatMap(engine => {
    const byGallery = new Map<string, any[]>();
    for (const backup of engine.backups.backups)
      byGallery.set(backup.gallery, [...(byGallery.get(backup.gallery) ?? []), backup]);
    if (byGallery.size === 0) return [[engine.title, "", text("never"), "", 0]];
    return [...byGallery].map(([gallery, stored]) =>
      [engine.title, gallery, formatTime(stored[0].created_at_ms), `${Math.ceil(stored[0].bytes / 1024)} KiB`, stored.length]);
  });
  return section(text("backups_title"),
    ...(schedule ? [element("p", {}, schedule.interval_s
      ? text("backups_scheduled", { hours: Number((schedule.interval_s / 3600).toPrecision(2)), kept: schedule.kept })
      : text("backups_unscheduled", { kept: schedule.kept }))] : []),
    table("backups", ["engine", "gallery", "newest_backup", "size", "kept"], rows),
    ...known.filter(engine => engine.backups.error).map(engine => element("p", { class: "bad backup-error" },
      text("backup_failed", { engine: engine.title, time: formatTime(engine.backups.failed_ms), reason: engine.backups.error }))),
    element("div", { class: "actions" }, ...engines.map(engine => element("button", {
      id: `back-up-${engine.engine}`, type: "button", class: "quiet", click: () => guarded(async () => {
        await post(`engines/${engine.engine}/backups`);
        say(text("backed_up"));
        await draw();
      }),
    }, text("back_up", { engine: engine.title })))));
}

function keySection(engines: any[], packages: any[]): HTMLElement {
  const row = (of: string, each: any) =>
    [of, each.key, each.generation, textOr(`key_${each.state}`, each.state), formatTime(each.since_ms)];
  return section(text("keys_title"), table("keys", ["key_of", "key", "generation", "state", "since"], [
    ...engines.flatMap(engine => engine.keys ? engine.keys.keys.map((each: any) => row(engine.title, each))
      : [[engine.title, "", "", text("no_answer"), ""]]),
    ...packages.map(each => row(text("keys_packages"), each))]));
}

async function draw(): Promise<void> {
  const overview = await get("overview");
  const engines = await Promise.all(overview.engines.map(readEngine));
  const part = document.getElementById("overview");
  if (!part) return;
  redraw(part,
    element("p", {}, text("summary", overview)),
    engineSection(engines),
    responseSection(engines, part.clientWidth - kSectionPadding_px),
    keySection(engines, overview.keys),
    backupSection(engines),
    section(text("links_title"), table("links", ["engine", "purpose", "subject", "state"],
      overview.links.map((link: any) => [link.engine, link.purpose, link.subject, link.state]))),
    ...engines.map(engine => section(text("log_title", { engine: engine.title }),
      table(`log-${engine.engine}`, ["time", "event", "outcome", "gallery", "subject"], (engine.log?.records ?? []).slice(0, kLogShown).map(
        (record: any) => [formatTime(record.time_ms), record.event, record.outcome, record.gallery, record.subject])))));
}

const kSectionPadding_px = 34;

async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const refused = error instanceof Refusal && error.status === 401;
    say(refused ? text("operator_refused") : text("error", { reason: error instanceof Error ? error.message : String(error) }), true);
    if (refused) askForKey();
  }
}

function showConsole(): void {
  const invitation = element("div", {}), checks = element("div", {});
  show(element("h1", {}, text("operator_title")),
    section(text("invite_title"), element("button", {
      type: "button", id: "invite", click: () => guarded(() => invite(invitation)),
    }, text("invite")), invitation),
    section(text("check_title"), element("p", { class: "muted" }, text("check_intro")), element("button", {
      type: "button", id: "check", click: () => guarded(() => checkLogs(checks)),
    }, text("check")), checks),
    element("div", { id: "overview" }));
  const again = () => guarded(draw).then(() => { if (key) setTimeout(again, kPoll_ms); });
  void again();
}

function askForKey(): void {
  key = "";
  const input = element("input", { id: "key", type: "password", autocomplete: "off", required: true });
  show(element("h1", {}, text("operator_title")), element("form", {
    submit: event => {
      event.preventDefault();
      key = input.value.trim();
      say("");
      showConsole();
    },
  }, element("p", { class: "field" }, element("label", { for: "key" }, text("operator_key")), input),
    element("button", { type: "submit", class: "main" }, text("operator_enter"))));
}

document.body.classList.add("wide");
askForKey();
