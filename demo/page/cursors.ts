/** Where others are in the log: a caret each over the text, and their names in words. Told by presence, stored nowhere. */
import type { Client, DocumentHandle, PresenceHandle } from "@openclaw/browser";
import { setText } from "./status-view.ts";

/** What carets need of the document. */
interface CursorText {
  text(): string;
  /** A place in the text that stays where it is when others write before it. */
  cursorAt(position: number): string;
  /** Null: it names a character that is not here yet. */
  positionOf(cursor: string): number | null;
}

interface CursorPlaces {
  readonly area: HTMLTextAreaElement;
  /** Lies over the text, and is laid out as it is. */
  readonly overlay: HTMLElement;
  readonly names: HTMLElement;
  /** The person's own name. */
  readonly name: HTMLInputElement;
}

interface Caret {
  readonly name: string;
  readonly position: number;
  readonly hue: string;
}

const NAME_STORED = "openclaw-name";
const NAMELESS = "Somebody";
const NAME_MAX = 30;
/** Colours that the style sheet has for carets. */
const HUES = 4;

/** @returns draws the carets anew, after the text changed */
export function bindCursors(
  client: Client,
  handle: DocumentHandle<object>,
  log: CursorText,
  places: CursorPlaces,
): () => void {
  const { area, overlay, names, name } = places;
  const presence = client.presence.of(handle);
  name.value = localStorage.getItem(NAME_STORED) ?? "";
  const say = (): void => {
    const cursor = document.activeElement === area ? log.cursorAt(area.selectionStart) : null;
    presence.set({ name: name.value.trim().slice(0, NAME_MAX) || NAMELESS, cursor });
  };
  name.addEventListener("input", () => {
    localStorage.setItem(NAME_STORED, name.value);
    say();
  });
  document.addEventListener("selectionchange", say);
  for (const event of ["input", "focus", "blur"]) area.addEventListener(event, say);
  area.addEventListener("scroll", () => {
    overlay.scrollTop = area.scrollTop;
  });
  const show = (): void => {
    const others = othersIn(presence);
    setText(names, presence.refusal()?.message ?? namesText(others.map((other) => other.name)));
    const carets = others.flatMap(({ cursor, ...other }): Caret[] => {
      const position = cursor === null ? null : log.positionOf(cursor);
      return position === null ? [] : [{ ...other, position }];
    });
    drawCarets(overlay, log.text(), carets);
    overlay.scrollTop = area.scrollTop;
  };
  presence.subscribe(show);
  say();
  show();
  return show;
}

/** A value says what its author wants it to: what does not read as a name and a place is left out. */
function othersIn(presence: PresenceHandle<unknown, unknown>): (Omit<Caret, "position"> & { cursor: string | null })[] {
  return presence.others().flatMap(({ link, value }) => {
    if (typeof value !== "object" || value === null || !("name" in value) || !("cursor" in value)) return [];
    const { name, cursor } = value;
    if (typeof name !== "string" || (cursor !== null && typeof cursor !== "string")) return [];
    return [{ name: name.slice(0, NAME_MAX), cursor, hue: String(link.charCodeAt(0) % HUES) }];
  });
}

const namesText = (names: readonly string[]): string =>
  names.length === 0 ? "Nobody else is here" : `Also here: ${names.toSorted().join(", ")}`;

function drawCarets(overlay: HTMLElement, text: string, carets: readonly Caret[]): void {
  let drawn = 0;
  const nodes = carets
    .toSorted((a, b) => a.position - b.position)
    .flatMap(({ name, position, hue }) => {
      const caret = document.createElement("span");
      caret.className = "caret";
      caret.dataset.hue = hue;
      caret.dataset.name = name;
      const before = text.slice(drawn, position);
      drawn = position;
      return [before, caret];
    });
  // What is behind the last caret moves none of them.
  overlay.replaceChildren(...nodes);
}
