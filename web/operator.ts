// The operators' page: what the platform holds, invitations, logs and backups. Opaque subjects only.
import { element, formatTime, say, section, show, text } from "./dom";
import { ask, Refusal } from "./server";

const kPoll_ms = 5000;
let key = "";

function headers(): { [name: string]: string } {
  return { Authorization: "Bearer " + key };
}

const kIdCharacters = 8;

// Identifiers are told apart by their beginning; the whole stands in the title.
function cell(value: string | number): HTMLElement {
  const whole = String(value);
  return /^[0-9a-f]{32,}$/.test(whole) ? element("td", { title: whole }, whole.slice(0, kIdCharacters) + "…") : element("td", {}, whole);
}

function table(columns: string[], rows: (string | number)[][]): HTMLElement {
  if (rows.length === 0) return element("p", {}, text("none"));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": columns.map(name => text(name)).join(", ") },
    element("table", {},
      element("thead", {}, element("tr", {}, ...columns.map(name => element("th", { scope: "col" }, text(name))))),
      element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(cell))))));
}

async function invite(into: HTMLElement): Promise<void> {
  const invitation = await ask("POST", "/v1/operator/invitations", { body: {}, headers: headers() });
  const image = element("img", {
    alt: text("invite_alt"), class: "qr",
    src: URL.createObjectURL(new Blob([invitation.svg], { type: "image/svg+xml" })),
  });
  into.replaceChildren(image, element("p", {}, text("invite_shown")),
    element("p", {}, element("a", { href: invitation.url, id: "invitation" }, invitation.url)));
}

async function draw(): Promise<void> {
  const overview = await ask("GET", "/v1/operator/overview", { headers: headers() });
  const logs = await Promise.all(overview.engines.map(async (engine: any) => ({
    engine: engine.engine,
    records: (await ask("GET", `/v1/operator/engines/${engine.engine}/log`, { headers: headers() })).records,
  })));
  const part = document.getElementById("overview");
  if (!part || document.querySelector("#overview :focus")) return;
  part.replaceChildren(
    element("p", {}, text("summary", overview)),
    section(text("engines_title"), table(["engine", "answers", "gallery", "subjects", "references", "dimension", "key"],
      overview.engines.flatMap((engine: any) => engine.galleries.length
        ? engine.galleries.map((gallery: any) => [engine.title, text(engine.answers ? "yes" : "no"), gallery.gallery,
          gallery.subjects, gallery.references, gallery.dimension, gallery.key_id])
        : [[engine.title, text(engine.answers ? "yes" : "no"), "", "", "", "", ""]])),
      element("div", { class: "actions" }, ...overview.engines.map((engine: any) => element("button", {
        type: "button", class: "quiet", click: () => guarded(async () => {
          await ask("POST", `/v1/operator/engines/${engine.engine}/backups`, { body: {}, headers: headers() });
          say(text("backed_up"));
        }),
      }, text("back_up", { engine: engine.title }))))),
    section(text("links_title"), table(["engine", "purpose", "subject", "state"],
      overview.links.map((link: any) => [link.engine, link.purpose, link.subject, link.state]))),
    section(text("keys_title"), table(["key", "use", "generation", "state"],
      overview.keys.map((each: any) => [each.key, each.use, each.generation, each.state]))),
    ...logs.map(log => section(text("log_title", { engine: log.engine }), table(["time", "event", "outcome", "gallery", "subject"],
      log.records.slice(0, 20).map((record: any) => [formatTime(record.time_ms), record.event, record.outcome, record.gallery, record.subject])))));
}

async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const refused = error instanceof Refusal && error.status === 401;
    say(refused ? text("operator_refused") : text("error", { reason: error instanceof Error ? error.message : String(error) }), true);
    if (refused) askForKey();
document.body.classList.add("wide");
  }
}

function showConsole(): void {
  const invitation = element("div", {});
  show(element("h1", {}, text("operator_title")),
    section(text("invite_title"), element("button", {
      type: "button", id: "invite", click: () => guarded(() => invite(invitation)),
    }, text("invite")), invitation),
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
