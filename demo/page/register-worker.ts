/** Installs the service worker, and offers a newer build of the page when one is ready. */

/** Resolves when the page would reload offline; rejects where the browser has no service workers here. */
export async function registerWorker(onNewBuild: (takeOver: () => void) => void): Promise<void> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (workers === undefined) throw new Error("service workers need https or localhost");
  const registration = await workers.register("/service-worker.js", { type: "module" });
  const offer = (worker: ServiceWorker): void =>
    onNewBuild(() => {
      workers.addEventListener("controllerchange", () => location.reload(), { once: true });
      worker.postMessage("takeOver");
    });
  if (registration.waiting !== null && workers.controller !== null) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && workers.controller !== null) offer(worker);
    });
  });
  await workers.ready;
}
