"use client";
/**
 * React hooks over a client: what they return is the same object until something changed, nothing is opened while
 * rendering, and on a server, where there is no device to read, everything is `opening`. Hooks read, and
 * `usePresence` also says where this page is; the client, and the handles of its documents, write.
 */

export type { Durability, Safety } from "@openclaw/core/client/durability.ts";
export type { Stale } from "@openclaw/core/client/mirror-level.ts";
export type { Other } from "@openclaw/core/client/presence-handle.ts";
export type { DocumentView, TypedDocumentView } from "./document-source.ts";
export { DurabilityBadge, type DurabilityBadgeProps } from "./durability-badge.ts";
export type { KeyOptions, TypedKeyOptions } from "./key-views.ts";
export { OpenClawProvider, type OpenClawProviderProps, useClient } from "./provider.ts";
export { type DocumentOptions, type TypedDocumentOptions, useDocument } from "./use-document.ts";
export { type Durable, useDurability } from "./use-durability.ts";
export { type KvView, useKv } from "./use-kv.ts";
export { type PresenceView, usePresence } from "./use-presence.ts";
export { type RangeView, useRange } from "./use-range.ts";
export { useSyncStatus } from "./use-sync-status.ts";
