/**
 * Keeps the page itself on the device, WebAssembly included, so that it reloads with every gateway dead. It answers for
 * the files of the build and nothing else: data is the store's business.
 */
/// <reference lib="webworker" />
declare const self: ServiceWorkerGlobalScope;

/** Put in by precache.ts at the build: the files' paths, and a hash over their contents. */
declare const PRECACHE_FILES: readonly string[];
declare const PRECACHE_VERSION: string;

const CACHE_PREFIX = "openclaw-page-";
const CACHE = CACHE_PREFIX + PRECACHE_VERSION;
const FILES = new Set(PRECACHE_FILES);

self.addEventListener("install", (event) => {
  // `reload` passes the HTTP cache by: a file of an older build must not be taken for this one's.
  const requests = [...FILES].map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith(CACHE_PREFIX) && name !== CACHE) await caches.delete(name);
      }
      // The first visit, too, is then ready to go offline.
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "takeOver") event.waitUntil(self.skipWaiting());
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const path = event.request.mode === "navigate" && url.pathname === "/" ? "/index.html" : url.pathname;
  if (!FILES.has(path)) return;
  event.respondWith(caches.open(CACHE).then(async (cache) => (await cache.match(path)) ?? fetch(event.request)));
});
