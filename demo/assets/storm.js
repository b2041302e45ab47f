// Fires requests at a session of the storm's own, notes what became of each, and has it drawn.
//
// Cookies are out of a script's sight, as they should be. The server says beside each response how long it
// was under way, its status, and a few digits that tell one cookie from another (Server-Timing).
const REQUESTS = 48;
const EVERY_NTH_IS_A_FRAME = 4;

const by = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const weather = () => {
  const [conditional, forwarding] = [by("conditional").checked, by("forwarding").checked];
  if (conditional) return forwarding ? "protected" : "no-forwarding";
  return forwarding ? "last-writer-wins" : "neither";
};

const reported = (timings) => {
  const of = (name) => timings.find((timing) => timing.name === name);
  const [arrived, left, all] = ["arrived", "left", "all"].map((name) => of(name)?.duration ?? 0);
  return { arrived, left, all, status: Number(of("status")?.description), cookie: of("cookie")?.description };
};

/** Reads the header as the browser does for pages. */
const parsed = (header) =>
  header.split(",").map((part) => {
    const [name, parameter] = part.trim().split(";");
    const [kind, value] = parameter.split("=");
    return kind === "dur" ? { name, duration: Number(value) } : { name, description: value.replaceAll('"', "") };
  });

const byFetch = async (address, form) => {
  const response = await fetch(address, { method: "POST", body: new URLSearchParams(form) });
  await response.text();
  return reported(parsed(response.headers.get("server-timing")));
};

/** Posts the same by a form whose answer goes into a frame. */
const byFrame = (address, fields) =>
  new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = frame.title = `request-${fields.number}`;
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: address, target: frame.name });
    for (const [name, value] of Object.entries(fields)) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    by("frames").append(frame, form);
    frame.addEventListener("load", () => {
      if (frame.contentWindow.location.href === "about:blank") return;
      const [navigation] = frame.contentWindow.performance.getEntriesByType("navigation");
      done(reported(navigation.serverTiming));
    });
    form.submit();
  });

const storm = async (sessions, hit) => {
  const { csrf } = await (await fetch(`/storm/${sessions}/start`, { method: "POST" })).json();
  // The secret comes of age: the first request after this replaces it, and all others carry the old one.
  await wait(650);
  const began = performance.now();
  const one = async (number) => {
    const frame = number % EVERY_NTH_IS_A_FRAME === 0;
    const answer = await (frame ? byFrame : byFetch)(`/storm/${sessions}/${hit}`, { csrf, number });
    return { number, frame, ...answer, end: performance.now() - began };
  };
  const answers = await Promise.all(Array.from({ length: REQUESTS }, (_, index) => one(index + 1)));
  const outcome = await (await fetch(`/storm/${sessions}/result`)).json();
  by("frames").replaceChildren();
  return { answers, outcome };
};

const fate = (answer, outcome) => {
  if (answer.status === 401) return "refused";
  if (answer.status !== 200) return "failed";
  return outcome.arrived.includes(answer.number) ? "counted" : "lost";
};

const explanation = (requests, outcome) => {
  const were = (fate) => requests.filter((request) => request.fate === fate).length;
  if (were("counted") === REQUESTS) {
    return `All ${REQUESTS} requests were counted, and the visitor never noticed that the cookie was replaced.`;
  }
  const parts = [];
  if (were("refused") > 0) {
    parts.push("A request that still carried the replaced cookie was taken for a stranger’s. It was told to sign in first, and the cookie of that message took the place of the good one.");
  }
  if (were("lost") > 0) {
    parts.push(
      outcome.signed_in
        ? `${were("lost")} requests were told that they are counted, and then somebody who had read the session before wrote over them.`
        : `${were("lost")} requests were told that they are counted, in a session that the visitor has no more.`,
    );
  }
  if (were("failed") > 0) parts.push(`${were("failed")} found at the end that their session was not theirs any more.`);
  return parts.join(" ");
};

const verdict = (id, good, text, label) => {
  const box = by(id);
  box.dataset.good = good;
  box.querySelector("strong").textContent = text;
  box.querySelector("span").textContent = label;
};

const tell = ({ answers, outcome }) => {
  const requests = answers.map((answer) => ({ ...answer, fate: fate(answer, outcome) }));
  const counted = requests.filter((request) => request.fate === "counted").length;
  const cookies = new Set(requests.map((request) => request.cookie).filter(Boolean)).size;
  verdict("counted", counted === REQUESTS && outcome.count === REQUESTS, `${outcome.count} of ${REQUESTS}`, "increments counted");
  verdict("successors", cookies === 1, cookies, cookies === 1 ? "successor of the cookie" : "different cookies set");
  verdict("signed-in", outcome.signed_in, outcome.signed_in ? "Signed in" : "Signed out", "after the storm");
  by("says").textContent = explanation(requests, outcome);
  by("picture").replaceChildren(picture(requests));
  by("table").replaceChildren(table(requests));
  for (const id of ["verdicts", "figure", "table-box"]) by(id).hidden = false;
};

by("weather").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = by("start");
  button.disabled = true;
  by("says").textContent = "It blows …";
  try {
    const hit = document.querySelector("[name=turn]:checked").value;
    tell(await storm(weather(), hit));
  } catch {
    by("says").textContent = "The storm broke off. Is the server still there?";
  }
  button.disabled = false;
});
