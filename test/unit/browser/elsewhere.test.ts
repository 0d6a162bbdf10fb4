/** What one origin of a device says to another in a cookie, and what is made of what anybody may have written there. */
import { type CookieJar, Elsewhere } from "@openclaw/browser/storage/elsewhere.ts";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";

/** Cookies of one host, as a browser keeps them: whatever the port. */
class Jar implements CookieJar {
  readonly kept = new Map<string, string>();
  readonly attributes: string[] = [];
  writes = 0;

  get cookie(): string {
    return [...this.kept].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  set cookie(text: string) {
    this.writes++;
    const [pair = "", ...attributes] = text.split("; ");
    const at = pair.indexOf("=");
    if (attributes.includes("Max-Age=0")) this.kept.delete(pair.slice(0, at));
    else this.kept.set(pair.slice(0, at), pair.slice(at + 1));
    this.attributes.splice(0, Infinity, ...attributes);
  }
}

function at(url: string, jar: CookieJar, clock: VirtualClock, options: { database?: string; domain?: string } = {}) {
  const { database = "shop", domain = null } = options;
  return new Elsewhere({ jar, location: new URL(url), database, domain, clock });
}

function told(jar: CookieJar, clock: VirtualClock, page = "http://10.0.0.1:8112", domain?: string) {
  const elsewhere = at(page, jar, clock, domain === undefined ? {} : { domain });
  elsewhere.look();
  return elsewhere.found;
}

describe("what waits at one origin, another one tells", () => {
  test("how much, since when, and nothing any more when it is synced", () => {
    const [jar, clock] = [new Jar(), new VirtualClock()];
    const first = at("http://10.0.0.1:8111", jar, clock);
    const second = at("http://10.0.0.1:8112", jar, clock);
    first.tell(2);
    const since = Math.trunc(clock.wall());
    expect([second.look(), second.found]).toEqual([true, [{ origin: "http://10.0.0.1:8111", unsynced: 2, since }]]);
    const { found } = second;
    expect([second.look(), second.found === found]).toEqual([false, true]);
    clock.step(clock.now() + 5_000);
    first.tell(5);
    expect(told(jar, clock)).toEqual([{ origin: "http://10.0.0.1:8111", unsynced: 5, since }]);
    // A new page of the first.
    at("http://10.0.0.1:8111", jar, clock).tell(6);
    expect(told(jar, clock)).toEqual([{ origin: "http://10.0.0.1:8111", unsynced: 6, since }]);
    expect(told(jar, clock, "http://10.0.0.1:8111")).toEqual([]);
    while (clock.step(clock.now() + 5_000));
    first.tell(0);
    expect([second.look(), second.found]).toEqual([true, []]);
    expect(jar.kept.size).toBe(0);
  });

  test("X1: whoever types writes one a second, and the last one stands", () => {
    const [jar, clock] = [new Jar(), new VirtualClock()];
    const first = at("http://10.0.0.1:8111", jar, clock);
    for (let i = 1; i <= 100; i++) first.tell(i);
    expect([jar.writes, told(jar, clock)[0]?.unsynced]).toEqual([1, 1]);
    while (clock.step(clock.now() + 5_000));
    expect([jar.writes, told(jar, clock)[0]?.unsynced]).toEqual([2, 100]);
    first.tell(7);
    first.tell(8);
    first.stop();
    expect(told(jar, clock)[0]?.unsynced).toBe(8);
    expect(clock.step(Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  test("another app, or another site, of the same host is another matter", () => {
    const [jar, clock] = [new Jar(), new VirtualClock()];
    at("http://10.0.0.1:8111", jar, clock, { database: "depot" }).tell(2);
    at("http://10.0.0.1:8111", jar, clock, { database: "shop.depot" }).tell(2);
    expect(told(jar, clock)).toEqual([]);
  });

  test("the attributes: no host but those of the domain that was named, no plain http where the page has none", () => {
    const [jar, clock] = [new Jar(), new VirtualClock()];
    at("http://10.0.0.1:8111", jar, clock).tell(1);
    expect(jar.attributes).toEqual(["Path=/", "SameSite=Lax", "Max-Age=34560000"]);
    at("https://gw1.shop.example", jar, clock, { domain: "shop.example" }).tell(1);
    expect(jar.attributes).toEqual(["Path=/", "SameSite=Lax", "Max-Age=34560000", "Domain=shop.example", "Secure"]);
    expect(told(jar, clock, "https://gw2.shop.example", "shop.example")).toMatchObject([
      { origin: "https://gw1.shop.example", unsynced: 1 },
    ]);
  });

  test("a browser that keeps none is one where nothing waits elsewhere", () => {
    const blocked: CookieJar = {
      get cookie(): string {
        throw new Error("SecurityError");
      },
      set cookie(_: string) {
        throw new Error("SecurityError");
      },
    };
    const elsewhere = at("http://10.0.0.1:8111", blocked, new VirtualClock());
    elsewhere.tell(3);
    expect([elsewhere.look(), elsewhere.found]).toEqual([false, []]);
  });
});

describe("X1: anybody on the domain may write there", () => {
  const name = (origin: string, database = "shop") =>
    `openclaw-unsynced.${encodeURIComponent(origin).replaceAll(".", "%2E")}.${database}`;
  const found = (...cookies: readonly string[]) => told({ cookie: cookies.join("; ") }, new VirtualClock());

  test("what is well formed is told", () => {
    expect(found(`${name("http://10.0.0.1:8111")}=3-0`)).toEqual([
      { origin: "http://10.0.0.1:8111", unsynced: 3, since: 0 },
    ]);
  });

  test.each([
    ["another host", `${name("http://evil.example")}=3-0`],
    ["a host that ends alike", `${name("http://evil10.0.0.1")}=3-0`],
    ["a script", `${name("javascript:alert(1)")}=3-0`],
    ["a path", `${name("http://10.0.0.1:8111/elsewhere")}=3-0`],
    ["a user", `${name("http://user@10.0.0.1:8111")}=3-0`],
    ["an escape that is none", "openclaw-unsynced.%ZZ.shop=3-0"],
    ["no database", "openclaw-unsynced.http%3A%2F%2F10%2E0%2E0%2E1=3-0"],
    ["nothing", `${name("http://10.0.0.1:8111")}=0-0`],
    ["no number", `${name("http://10.0.0.1:8111")}=x-0`],
    ["a number below nothing", `${name("http://10.0.0.1:8111")}=-3-0`],
    ["too long a number", `${name("http://10.0.0.1:8111")}=99999999-0`],
    ["markup", `${name("http://10.0.0.1:8111")}=3-0<img src=x>`],
    ["too long a name", `${name("http://10.0.0.1:8111", "x".repeat(400))}=3-0`],
    ["another cookie", "session=3-0"],
    ["none", ""],
  ])("%s is not", (_, cookie) => {
    expect(found(cookie)).toEqual([]);
  });

  test("sixteen are told of, and no time that is to come", () => {
    const many = Array.from({ length: 40 }, (_, i) => `${name(`http://10.0.0.1:${9_000 + i}`)}=3-9999999999999999`);
    const entries = found(...many);
    expect(entries).toHaveLength(16);
    for (const { since } of entries) expect(since).toBeLessThanOrEqual(new VirtualClock().wall());
  });
});
