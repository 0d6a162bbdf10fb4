// The hub's dashboard: asks the public API what a person would, and shows it. Whatever came over the network is set as
// text, never as markup (pitfall 51).

/** Between two looks, ms. */
const REFRESH_MS = 1_000;
/** A look that takes longer counts as failed, ms. */
const ANSWER_MS_MAX = 4_000;
/** A lag above it is marked. */
const LATE_REVISIONS = 100;

const element = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");

let lastShown = null;

// A hub that asks for a token gets it from the address: `/#token=…`. The fragment stays in this browser, and this tab.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given !== null) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname);
}
const token = sessionStorage.getItem("token");
const headers = token === null ? {} : { authorization: `Bearer ${token}` };

async function look() {
  try {
    const [status, sites] = await Promise.all([ask("/v1/status"), ask("/v1/sites")]);
    showHub(status);
    showSites(sites);
    lastShown = new Date();
    fresh("fresh", `Updated ${lastShown.toLocaleTimeString()}`);
  } catch (error) {
    const since = lastShown === null ? "" : `; shown is ${lastShown.toLocaleTimeString()}`;
    fresh("stale", `This node does not answer (${error.message})${since}`);
  }
  setTimeout(look, REFRESH_MS);
}

async function ask(path) {
  const response = await fetch(path, { headers, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function fresh(state, text) {
  const node = element("fresh");
  node.dataset.state = state;
  // Read out when something is wrong, not once a second.
  if (state === "stale") node.setAttribute("role", "alert");
  else node.removeAttribute("role");
  if (state === "stale" || node.textContent !== text) node.textContent = text;
}

function showHub(status) {
  element("cluster").textContent = status.cluster;
  document.title = `${status.cluster} · OpenClaw`;
  facts(element("hub"), [
    ["This node", status.node],
    ["Role", status.role],
    ["Leader", status.leader ?? "none", status.leader === null ? "bad" : ""],
    ["Term", count.format(status.term)],
    ["Revision", count.format(status.revision)],
    ["Members", status.members.map((member) => member.node).join(", ")],
  ]);
}

function showSites(sites) {
  element("sites-count").textContent = `(${sites.length})`;
  const list = element("sites");
  const shown = new Map([...list.children].map((card) => [card.dataset.site, card]));
  for (const [name, card] of shown) if (!sites.some((site) => site.cluster === name)) card.remove();
  for (const site of sites) {
    let card = shown.get(site.cluster);
    if (card === undefined) {
      card = element("site").content.firstElementChild.cloneNode(true);
      card.dataset.site = site.cluster;
      card.querySelector(".name").textContent = site.cluster;
      list.append(card);
    }
    showSite(card, site);
  }
}

function showSite(card, site) {
  const state = card.querySelector(".state");
  state.dataset.state = site.state === "approved" ? (site.connected ? "up" : "down") : site.state;
  state.textContent = site.state === "approved" ? (site.connected ? "link up" : "link down") : site.state;
  const lag =
    site.lagRevisions === null ? "unknown" : `${count.format(site.lagRevisions)} rev.${seconds(site.lagSeconds)}`;
  facts(card.querySelector(".facts"), [
    ["Leader", site.leader ?? "unknown", ""],
    ["Revision at the site", site.siteRevision === null ? "unknown" : count.format(site.siteRevision)],
    ["Revision here", count.format(site.cursor)],
    ["Lag", lag, site.lagRevisions > LATE_REVISIONS ? "late" : ""],
    ["Last shipped", site.lastShipped === null ? "not since this node started" : ago(site.lastShipped)],
    ["Refused", refused(site.refused), site.refused === null ? "" : "late"],
    ["Epoch", site.epoch === null ? "none" : `${site.epoch.counter} · ${site.epoch.nonce.slice(0, 8)}`],
  ]);
  card.querySelector("tbody").replaceChildren(...site.members.map(memberRow));
}

function memberRow(member) {
  const row = document.createElement("tr");
  row.dataset.node = member.node;
  row.dataset.state = member.role === "leader" ? "leader" : "";
  const name = row.insertCell();
  if (/^https?:\/\//.test(member.http ?? "")) {
    const link = document.createElement("a");
    link.href = member.http;
    link.textContent = member.node;
    name.append(link);
  } else {
    name.textContent = member.node;
  }
  row.insertCell().textContent = member.role ?? "unknown";
  row.insertCell().textContent = member.revision === null ? "–" : count.format(member.revision);
  row.insertCell().textContent = member.seen === null ? "never" : ago(member.seen);
  return row;
}

function facts(list, rows) {
  const nodes = rows.map(([term, value, state]) => {
    const pair = document.createElement("div");
    const title = document.createElement("dt");
    title.textContent = term;
    const text = document.createElement("dd");
    text.textContent = value;
    if (state) text.dataset.state = state;
    pair.append(title, text);
    return pair;
  });
  list.replaceChildren(...nodes);
}

const refused = (row) => (row === null ? "never" : `${count.format(row.count)}, last ${row.code} ${ago(row.at)}`);

const seconds = (value) => (value === null || value === undefined ? "" : `, ${value.toFixed(1)} s`);

/** `time`: ms since 1970 by the hub's clock; this browser's may differ by a little. */
function ago(time) {
  const past = Math.max(0, (Date.now() - time) / 1_000);
  if (past < 2) return "now";
  if (past < 120) return `${Math.round(past)} s ago`;
  if (past < 7_200) return `${Math.round(past / 60)} min ago`;
  return new Date(time).toLocaleString();
}

look();
