import type { Durability, Safety } from "@openclaw/core/client/durability.ts";
import { type ComponentProps, createElement, type ReactNode } from "react";
import { type Durable, useDurability } from "./use-durability.ts";

export interface DurabilityBadgeProps extends Omit<ComponentProps<"span">, "children"> {
  /** As `useDurability`. */
  readonly of: Durable | null;
  /** What to show in the place of the words; keep it readable without colours. */
  readonly children?: (durability: Durability) => ReactNode;
}

const WORDS: Readonly<Record<Safety, string>> = {
  unsaved: "Not saved",
  refused: "Refused by the site; on this device only",
  saving: "Saving",
  device: "Saved on this device",
  site: "Saved at the site",
  hub: "Saved at the hub",
};

/**
 * How far an edit, or a document, is safe: a `<span>` with words, and `data-rung` to style it by; empty, and with
 * `data-rung="none"`, where there is no edit. It is no live region: a reader would read out every rung of every edit.
 */
export function DurabilityBadge({ of, children, ...span }: DurabilityBadgeProps): ReactNode {
  const durability = useDurability(of);
  const { safety } = durability;
  const words = (): ReactNode => (safety === null ? null : WORDS[safety]);
  return createElement("span", { ...span, "data-rung": safety ?? "none" }, (children ?? words)(durability));
}
