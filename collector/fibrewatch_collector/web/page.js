"use strict";
const EVERY_MS = 2000;
const STATES = ["down", "unreachable", "degraded", "unknown", "up"];
const CAUSES = {
  access: "access line", operator: "operator’s network", lan: "the site’s own network", target: "a target",
  unknown: "undecided", loss: "packet loss", agent: "a box is silent", line_or_power: "line or power, undecided",
  collector: "the collector can’t see", unheard: "no box heard yet", samples: "nothing measured yet",
};
const el = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};
const ms = (seconds) => `${(seconds * 1000).toPrecision(3)} ms`;
const rate = (bytes) => {
  const mbit = bytes * 8 / 1e6;
  return mbit >= 1000 ? `${(mbit / 1000).toFixed(2)} Gbit/s` : `${mbit.toPrecision(3)} Mbit/s`;
};
const ago = (then, now) => {
  const s = Math.max(0, Math.round((now - then) / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
};
const badge = (state, text) => el("span", { class: `state ${state}` }, text || state);

function result(run) {
  const values = run.values, limit = run.verdict === "censored" ? "≥ " : "";
  if (run.verdict === "invalid") return el("span", { class: "bad" }, "not valid");
  if (run.probe === "ping" && values.rtt_p50 !== undefined) {
    const lost = values.loss_ratio ? `, ${(values.loss_ratio * 100).toPrecision(2)} % lost` : "";
    return el("span", { class: values.loss_ratio > 0.2 ? "bad" : "" }, `${ms(values.rtt_p50)}${lost}`);
  }
  if (run.outcome === "failed") return el("span", { class: "bad" }, ["failed", (run.error || "").replace(/_/g, " ")].filter(Boolean).join(": "));
  if (run.probe === "throughput" && values.goodput !== undefined) return `${limit}${rate(values.goodput)}`;
  const first = Object.entries(values)[0];
  return first ? `${limit}${first[0].replace(/_/g, " ")} ${Number(first[1].toPrecision(4))}` : run.outcome;
}

function box(agent) {
  const name = el("small", {}, `${agent.agent}${agent.floor ? `, ${agent.floor}` : ""}${agent.up ? "" : ", silent"}`);
  if (!agent.latest.length) return [name];
  const list = el("dl");
  for (const run of agent.latest) {
    if (run.probe === "spool") continue;
    const label = [run.test, run.target].filter((word, i, all) => word && all.indexOf(word) === i).join(" → ");
    list.append(el("dt", {}, label), el("dd", {}, result(run)));
  }
  return [name, list];
}

function uplinks(site) {
  const list = el("dl");
  for (const uplink of site.uplinks) {
    const { A, U, N } = uplink.minutes;
    list.append(el("dt", {}, uplink.id), el("dd", { class: "number" }, `A ${A}  U ${U}  N ${N}`));
  }
  return list;
}

function row(site, agents, now) {
  const cause = site.cause ? CAUSES[site.cause] || site.cause : "";
  const lost = site.lost_targets.length ? `no answer: ${site.lost_targets.join(", ")}` : "";
  const since = site.since ? new Date(site.since) : null;
  return el("tr", {},
    el("th", { scope: "row" }, site.name, el("small", {}, `${site.city}, ${site.territory}/${site.site}`),
      el("small", {}, el("a", { href: `/sites/${site.territory}/${site.site}/report` }, "this month’s report"))),
    el("td", { "data-name": "State" }, badge(site.state), el("small", {}, cause), lost ? el("small", {}, lost) : null),
    el("td", { "data-name": "Since", class: "number" }, since ? since.toLocaleString() : "–",
      since ? el("small", {}, `for ${ago(since, now)}`) : null),
    el("td", { "data-name": "Uplinks, minutes of 24 h" }, uplinks(site)),
    el("td", { "data-name": "Newest results" }, ...agents.flatMap(box)));
}

function draw(sites, agents) {
  const now = new Date(sites.at), boxes = new Map(), counts = new Map();
  for (const agent of agents.agents) {
    const key = `${agent.territory}/${agent.site}`;
    boxes.set(key, [...(boxes.get(key) || []), agent]);
  }
  for (const site of sites.sites) counts.set(site.state, (counts.get(site.state) || 0) + 1);
  const order = (site) => STATES.indexOf(site.state);
  const sorted = [...sites.sites].sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name));
  document.getElementById("sites").replaceChildren(
    ...sorted.map((site) => row(site, boxes.get(`${site.territory}/${site.site}`) || [], now)));
  const summary = document.getElementById("summary");
  const texts = STATES.filter((state) => counts.has(state)).map((state) => [state, `${counts.get(state)} ${state}`]);
  if (summary.dataset.shown !== String(texts)) {
    summary.dataset.shown = String(texts);
    summary.replaceChildren(...texts.map(([state, text]) => el("li", {}, badge(state, text))));
  }
}

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10000) });
  if (answer.status === 401) location.reload();  // the session is over: the server shows where to sign in
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

let good = null;
async function refresh() {
  const clock = document.getElementById("clock");
  try {
    const [sites, agents] = await Promise.all([get("/api/v1/sites"), get("/api/v1/agents")]);
    draw(sites, agents);
    good = new Date();
    clock.className = "";
    clock.textContent = `as of ${good.toLocaleTimeString()}`;
  } catch (error) {
    clock.className = "stale";
    clock.textContent = good ? `no answer from the collector since ${good.toLocaleTimeString()}` : "no answer from the collector";
  }
  setTimeout(refresh, EVERY_MS);
}
refresh();
