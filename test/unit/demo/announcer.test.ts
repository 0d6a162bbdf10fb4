import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { announcer } from "../../../demo/page/announcer.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("what lasts is said once; what passes within three seconds is not said", () => {
  const said: (string | null)[] = [];
  const region = {
    text: "",
    get textContent(): string {
      return this.text;
    },
    set textContent(text: string) {
      this.text = text;
      said.push(text);
    },
  };
  const announce = announcer(region);
  for (let key = 0; key < 20; key++) {
    announce("on this device only");
    vi.advanceTimersByTime(150);
    announce("at the hub");
    vi.advanceTimersByTime(150);
  }
  expect(said).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(said).toEqual(["at the hub"]);
  announce("on this device only");
  vi.advanceTimersByTime(2_999);
  announce("at the hub");
  vi.advanceTimersByTime(10_000);
  expect(said).toEqual(["at the hub"]);
});
