/**
 * Links to the pages of all sites and gateways. Each page is an origin of its own, with a copy of its own on this device:
 * the log is the same everywhere, and what is not yet safe stays with the page that it was written in.
 */
import type { Client } from "@openclaw/browser";
import { parseSite, SITES_HOME, SITES_PREFIX, type SitePages } from "./sites.ts";

export function followSites(client: Client, nav: HTMLElement): void {
  const mirror = client.kv.mirror(SITES_PREFIX, { origin: SITES_HOME });
  const decoder = new TextDecoder();
  const show = (): void => {
    const state = mirror.state();
    if (state.kind !== "ready") return;
    const sites = state.rows.flatMap(({ key, value }) => parseSite(decoder.decode(key), decoder.decode(value)) ?? []);
    nav.hidden = sites.length === 0;
    nav.querySelector("ul")?.replaceChildren(...sites.map(item));
  };
  mirror.subscribe(show);
  show();
}

function item({ name, urls }: SitePages): HTMLLIElement {
  const item = document.createElement("li");
  item.append(`${name}: gateway`, ...urls.flatMap((url, i) => [" ", link(name, url, i + 1)]));
  return item;
}

function link(site: string, url: string, gateway: number): HTMLElement {
  const link = document.createElement("a");
  link.href = url;
  link.textContent = String(gateway);
  link.setAttribute("aria-label", `${site}, gateway ${gateway}`);
  if (new URL(url).origin === location.origin) link.setAttribute("aria-current", "page");
  return link;
}
