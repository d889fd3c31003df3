// The phone's page: registration with an invitation, then consents, uses, receipts and deletion.
import { element, formatTime, guidance, say, section, show, text, textOr } from "./dom";
import { ask, Refusal } from "./server";

const kMaxPictures = 3;
const kJpegQuality = 0.92;
const kLongestSide = 1600;
const kPoll_ms = 700;

interface Picture { blob: Blob; url: string }
interface Receipt { record: string }
interface Purpose { purpose: string; state: string; note: string }
interface Engine { engine: string; title: string; purposes: Purpose[] }
interface Me { csrf_token: string; deleting: boolean; engines: Engine[] }

const pictures: Picture[] = [];
let stream: MediaStream | undefined;

// Behind '#', so that the server's logs never hold it; kept over a reload of this tab alone.
function takeInvitation(): string {
  const given = location.hash.slice(1);
  if (/^[0-9a-f]{64}$/.test(given)) {
    sessionStorage.setItem("invitation", given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("invitation") ?? "";
}

function explain(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  say(text("error", { reason }), true);
}

// --- Pictures

async function toJpeg(source: CanvasImageSource, width: number, height: number): Promise<Blob> {
  const scale = Math.min(1, kLongestSide / Math.max(width, height));
  const canvas = element("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d")!.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob(
    blob => blob ? resolve(blob) : reject(new Error("canvas")), "image/jpeg", kJpegQuality));
}

async function addPicture(blob: Blob, invitation: string): Promise<void> {
  say(text("checking"));
  const form = new FormData();
  form.append("image", blob, "picture");
  const verdict = await ask("POST", "/v1/pictures/check",
    { body: form, headers: { Authorization: "Invitation " + invitation } });
  if (!verdict.usable) {
    say(text("picture_bad", { reason: verdict.reason }), true);
    return;
  }
  pictures.push({ blob, url: URL.createObjectURL(blob) });
  say(text("picture_good"));
  drawPictures();
}

function drawPictures(): void {
  const list = document.getElementById("pictures")!;
  list.replaceChildren(...pictures.map((picture, i) => element("li", {},
    element("img", { src: picture.url, alt: text("picture_alt", { number: i + 1 }) }),
    element("button", {
      type: "button", class: "remove", "aria-label": text("remove_picture", { number: i + 1 }),
      click: () => { URL.revokeObjectURL(picture.url); pictures.splice(i, 1); drawPictures(); },
    }, "×"))));
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-adds]"))
    button.disabled = pictures.length >= kMaxPictures;
  document.querySelector<HTMLButtonElement>("#register")!.disabled = pictures.length === 0;
}

async function startCamera(view: HTMLVideoElement): Promise<boolean> {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
    view.srcObject = stream;
    await view.play();
    return true;
  } catch {
    say(text("camera_refused"), true);
    return false;
  }
}

function stopCamera(): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = undefined;
}

function cameraPart(invitation: string): HTMLElement {
  const view = element("video", { playsinline: true, muted: true, "aria-label": text("camera_view") });
  const frame = element("div", { class: "camera", hidden: true }, view, element("div", { class: "oval", "aria-hidden": "true" }));
  const take = element("button", {
    type: "button", id: "take", "data-adds": true, hidden: true, click: async () => {
      take.disabled = true;
      try {
        await addPicture(await toJpeg(view, view.videoWidth, view.videoHeight), invitation);
      } catch (error) {
        explain(error);
      }
      take.disabled = pictures.length >= kMaxPictures;
    },
  }, text("take_picture"));
  const start = element("button", {
    type: "button", id: "camera", click: async () => {
      if (!await startCamera(view)) return;
      frame.hidden = take.hidden = false;
      start.hidden = true;
      take.focus();
    },
  }, text("start_camera"));
  start.hidden = !navigator.mediaDevices?.getUserMedia;
  const file = element("input", {
    type: "file", id: "file", accept: "image/*", capture: "user", class: "file", change: async () => {
      const chosen = file.files?.[0];
      file.value = "";
      if (!chosen || pictures.length >= kMaxPictures) return;
      try {
        const bitmap = await createImageBitmap(chosen, { imageOrientation: "from-image" });
        await addPicture(await toJpeg(bitmap, bitmap.width, bitmap.height), invitation);
      } catch (error) {
        explain(error);
      }
    },
  });
  return element("div", {}, frame, element("div", { class: "actions" }, start, take,
    element("label", { class: "button quiet", for: "file" }, text("choose_file")), file));
}

function field(name: string, type: string, attributes: { [name: string]: string } = {}): HTMLElement {
  return element("p", { class: "field" }, element("label", { for: name }, text(name)),
    element("input", { id: name, name, type, autocomplete: "off", ...attributes }));
}

function showRegistration(invitation: string): void {
  const details = element("details", {}, element("summary", {}, text("about_you")),
    field("name", "text", { maxlength: "60" }), field("age", "number", { min: "0", max: "130" }),
    field("gender", "text", { maxlength: "20" }));
  const form = element("form", {
    submit: async event => {
      event.preventDefault();
      await register(form, invitation);
    },
  }, cameraPart(invitation), element("ul", { id: "pictures", class: "pictures" }), details,
    element("button", { type: "submit", id: "register", class: "main", disabled: true }, text("register")));
  show(element("h1", {}, text("register_title")), element("p", {}, text("register_intro")),
    element("h2", {}, text("guidance_title")),
    element("ul", { class: "guidance" }, ...guidance.map(line => element("li", {}, line))), form,
    element("p", { class: "muted" }, text("printed_photo")));
}

async function register(form: HTMLFormElement, invitation: string): Promise<void> {
  const body = new FormData();
  for (const picture of pictures) body.append("image", picture.blob, "picture");
  for (const name of ["name", "age", "gender"]) {
    const value = form.querySelector<HTMLInputElement>("#" + name)!.value.trim();
    if (value) body.append(name, value);
  }
  const button = form.querySelector<HTMLButtonElement>("#register")!;
  button.disabled = true;
  say(text("registering"));
  try {
    await ask("POST", "/v1/registrations", { body, headers: { Authorization: "Invitation " + invitation } });
  } catch (error) {
    button.disabled = false;
    explain(error);
    return;
  }
  stopCamera();
  sessionStorage.removeItem("invitation");
  for (const picture of pictures.splice(0)) URL.revokeObjectURL(picture.url);
  say(text("registered"));
  await showHome();
}

// --- Home

function csrf(me: Me): { [name: string]: string } {
  return { "X-CSRF-Token": me.csrf_token };
}

function purposeName(purpose: string): string {
  return textOr("purpose_" + purpose, purpose);
}

async function toggle(me: Me, engine: Engine, purpose: Purpose, on: boolean): Promise<void> {
  try {
    if (on) {
      const agreed = text("consent_text", { title: engine.title, purpose: purposeName(purpose.purpose) });
      await ask("POST", "/v1/me/consents",
        { body: { engine: engine.engine, purpose: purpose.purpose, text: agreed }, headers: csrf(me) });
      say(text("opted_in"));
    } else {
      const path = `/v1/me/consents/${encodeURIComponent(engine.engine)}/${encodeURIComponent(purpose.purpose)}`;
      const answer = await ask("DELETE", path, { headers: csrf(me) });
      say(text(answer.receipt ? "opted_out" : "opt_out_under_way"));
    }
  } catch (error) {
    explain(error);
  }
  delete document.getElementById("consents")?.dataset.content;  // a switch may stand where it must not
  await refresh();
}

function consentSwitch(me: Me, engine: Engine, purpose: Purpose): HTMLElement {
  const id = `consent-${engine.engine}-${purpose.purpose}`;
  const state = text("state_" + purpose.state, { note: purpose.note });
  const on = purpose.state === "enrolled" || purpose.state === "enrolling";
  const input = element("input", {
    type: "checkbox", role: "switch", id, "aria-describedby": id + "-state", checked: on,
    change: () => { input.disabled = true; void toggle(me, engine, purpose, input.checked); },
  });
  input.disabled = purpose.state === "erasing" || me.deleting;
  return element("li", { class: "consent", "data-state": purpose.state },
    element("label", { for: id },
      text("consent_text", { title: engine.title, purpose: purposeName(purpose.purpose) })),
    input, element("span", { id: id + "-state", class: "state" }, state));
}

const titles = new Map<string, string>();  // of engines, by name

function engineTitle(engine: string): string {
  return titles.get(engine) ?? engine;
}

function useItem(use: any): HTMLElement {
  const event = textOr("event_" + use.event, use.event);
  const decided = use.event === "identification" || use.event === "verification";
  const outcome = decided ? `, ${textOr("outcome_" + use.outcome, use.outcome)}` : "";
  return element("li", {},
    element("span", {}, `${engineTitle(use.engine)}, ${purposeName(use.purpose)}: ${event}${outcome}`),
    element("time", { datetime: new Date(use.time_ms).toISOString() }, formatTime(use.time_ms)));
}

function receiptItem(receipt: Receipt): HTMLElement {
  const record = JSON.parse(receipt.record);
  const link = element("a", {
    href: URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" })),
    download: `bauta-receipt-${record.sequence}.json`,
  }, text("download"));
  return element("li", {}, element("span", {},
    text("receipt_" + record.event, { engine: engineTitle(record.engine), purpose: purposeName(record.purpose) })),
    element("time", { datetime: record.time }, formatTime(Date.parse(record.time))), link);
}

function deletePart(me: Me): HTMLElement {
  const dialog = element("dialog", { "aria-labelledby": "delete-question" },
    element("p", { id: "delete-question" }, text("delete_confirm")),
    element("div", { class: "actions" },
      element("button", { type: "button", id: "delete-yes", class: "danger", click: () => { dialog.close(); void deleteMe(me); } }, text("delete_yes")),
      element("button", { type: "button", class: "quiet", click: () => dialog.close() }, text("delete_no"))));
  return section(text("delete_title"), element("p", {}, text("delete_intro")),
    element("button", { type: "button", id: "delete", class: "danger", click: () => dialog.showModal() }, text("delete")),
    dialog);
}

async function deleteMe(me: Me): Promise<void> {
  say(text("deleting"));
  try {
    const answer = await ask("DELETE", "/v1/me", { headers: csrf(me) });
    if (answer.receipt) {
      showDeleted(answer.receipt);
    } else {
      say(text("deleting_under_way"));
      await refresh();
    }
  } catch (error) {
    explain(error);
  }
}

function showDeleted(receipt: Receipt): void {
  clearTimeout(poll);
  say("");
  show(element("h1", { id: "deleted" }, text("deleted_title")), element("p", {}, text("deleted")),
    element("ul", { class: "receipts" }, receiptItem(receipt)));
}

let poll: ReturnType<typeof setTimeout> | undefined;

async function showHome(): Promise<void> {
  show(element("h1", {}, text("home_title")), element("p", {}, text("home_intro")),
    element("div", { id: "consents" }), section(text("uses_title"), element("div", { id: "uses" })),
    section(text("receipts_title"), element("p", {}, text("receipts_intro")), element("ul", { id: "receipts", class: "receipts" })),
    element("div", { id: "delete-part" }), element("p", { class: "muted" }, text("printed_photo")));
  await refresh();
}

let isHome = false;

// Draws a part anew only when it says something else, so that focus stays where it is.
function redraw(id: string, content: unknown, draw: () => Node[]): void {
  const part = document.getElementById(id);
  const digest = JSON.stringify(content);
  if (!part || part.dataset.content === digest) return;
  const focused = document.activeElement?.id;
  part.replaceChildren(...draw());
  part.dataset.content = digest;
  if (focused) document.getElementById(focused)?.focus();
}

async function refresh(): Promise<void> {
  clearTimeout(poll);
  try {
    const [me, uses, receipts] = await Promise.all([
      ask("GET", "/v1/me") as Promise<Me>, ask("GET", "/v1/me/uses"), ask("GET", "/v1/me/receipts")]);
    isHome = true;
    for (const engine of me.engines) titles.set(engine.engine, engine.title);
    redraw("consents", [me.engines, me.deleting], () => me.engines.map(engine => section(engine.title,
      element("ul", { class: "consents" }, ...engine.purposes.map(purpose => consentSwitch(me, engine, purpose))))));
    redraw("uses", uses.uses, () => [uses.uses.length === 0 ? element("p", {}, text("uses_none"))
      : element("ul", { class: "uses" }, ...uses.uses.map(useItem))]);
    redraw("receipts", receipts.receipts, () => receipts.receipts.map(receiptItem));
    redraw("delete-part", me.csrf_token, () => [deletePart(me)]);
  } catch (error) {
    if (error instanceof Refusal && error.status === 401 && isHome) {
      location.reload();
      return;
    }
    explain(error);
  }
  poll = setTimeout(refresh, kPoll_ms * 3);
}

// --- The beginning

async function begin(): Promise<void> {
  const invitation = takeInvitation();
  if (invitation) {
    showRegistration(invitation);
    return;
  }
  try {
    await ask("GET", "/v1/me");
    await showHome();
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 401) explain(error);
    show(element("h1", {}, text("no_invitation_title")), element("p", {}, text("no_invitation")));
  }
}

addEventListener("hashchange", () => void begin());
void begin();
