/** A page with one root, in React's test mode and twice as strict as in production. */
import { act, createElement, type ReactNode, StrictMode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { onTestFinished } from "vitest";
import type { World } from "../sync/world.ts";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

export class Stage {
  readonly element: HTMLElement = document.createElement("div");
  readonly errors: unknown[] = [];
  #root: Root | null = null;

  constructor() {
    document.body.append(this.element);
    onTestFinished(() => this.clear());
  }

  async show(node: ReactNode): Promise<void> {
    await act(async () => {
      this.#root ??= createRoot(this.element, this.#told());
      this.#root.render(createElement(StrictMode, null, node));
    });
  }

  /** Takes over what a server rendered. */
  async hydrate(html: string, node: ReactNode): Promise<void> {
    this.element.innerHTML = html;
    await act(async () => {
      this.#root = hydrateRoot(this.element, createElement(StrictMode, null, node), this.#told());
    });
  }

  async clear(): Promise<void> {
    await act(async () => this.#root?.unmount());
    this.#root = null;
    this.element.remove();
  }

  get text(): string {
    return this.element.textContent;
  }

  /** What React tells of without throwing it: a boundary's error, or a page that is not what the server made. */
  #told() {
    const tell = (error: unknown): void => void this.errors.push(error);
    return { onCaughtError: tell, onUncaughtError: tell, onRecoverableError: tell };
  }
}

/** Lets a world go on, and React show what became of it. */
export const flushed = (world: World): Promise<void> => act(() => world.flush());
export const elapsed = (world: World, ms: number): Promise<void> => act(() => world.elapse(ms));
export const acted = (run: () => void): Promise<void> => act(async () => run());
