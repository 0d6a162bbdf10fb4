/**
 * A device with tabs, in virtual time: its locks, its channels, and the workers of its tabs, each of which may be killed, or
 * stopped for a while. The site echoes, and says how many connections it has.
 */
import type { Locks } from "@openclaw/browser/tabs/leadership.ts";
import { LeadingTabSite, type OwnConnection } from "@openclaw/browser/tabs/tab-site.ts";
import type { OpenChannel } from "@openclaw/browser/tabs/tab-stream.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { elapse, ProcessClock, VirtualClock } from "../../simulation/virtual-clock.ts";

type Frames = FrameConnection<Uint8Array, Uint8Array>;

interface Request {
  readonly clock: ProcessClock;
  readonly shared: boolean;
  readonly grant: () => void;
  readonly steal: () => void;
}

/** Of one origin, as the Web Locks specification has them. What is granted to a process that is stopped, it hears later. */
class DeviceLocks {
  readonly #held = new Map<string, Request[]>();
  readonly #queued = new Map<string, Request[]>();

  of(clock: ProcessClock): Locks {
    const request = (name: string, options: LockOptions, callback: (lock: Lock | null) => unknown): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const aborted = (): DOMException => new DOMException("aborted", "AbortError");
        const one: Request = {
          clock,
          shared: options.mode === "shared",
          grant: () =>
            clock.run(() => {
              const over = (): void => {
                this.#drop(this.#held, name, one);
                this.#next(name);
              };
              Promise.resolve(callback({ name, mode: options.mode ?? "exclusive" })).then((value) => {
                over();
                resolve(value);
              }, reject);
            }),
          steal: () => clock.run(() => reject(aborted())),
        };
        if (options.steal === true) {
          for (const holder of this.#held.get(name) ?? []) holder.steal();
          this.#held.set(name, [one]);
          one.grant();
          return;
        }
        this.#queued.set(name, [...(this.#queued.get(name) ?? []), one]);
        options.signal?.addEventListener("abort", () => {
          this.#drop(this.#queued, name, one);
          reject(aborted());
        });
        this.#next(name);
      });
    return { request: request as Locks["request"] };
  }

  /** A process is gone, and with it what it held and waited for. */
  release(clock: ProcessClock): void {
    for (const all of [this.#held, this.#queued])
      for (const [name, requests] of all)
        all.set(
          name,
          requests.filter((one) => one.clock !== clock),
        );
    for (const name of this.#queued.keys()) this.#next(name);
  }

  #next(name: string): void {
    const queue = this.#queued.get(name) ?? [];
    const held = this.#held.get(name) ?? [];
    const [first] = queue;
    if (first === undefined || (held.length > 0 && !(first.shared && held.every(({ shared }) => shared)))) return;
    queue.shift();
    this.#held.set(name, [...held, first]);
    first.grant();
    this.#next(name);
  }

  #drop(from: Map<string, Request[]>, name: string, one: Request): void {
    from.set(
      name,
      (from.get(name) ?? []).filter((other) => other !== one),
    );
  }
}

/** What is told on a channel comes in a later turn, to every other process that has it open; one that is stopped hears it later. */
class DeviceChannels {
  readonly #clock: VirtualClock;
  readonly #open = new Map<string, Set<{ readonly clock: ProcessClock; readonly receive: (data: unknown) => void }>>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  of(clock: ProcessClock): OpenChannel {
    return (name, receive) => {
      const own = { clock, receive };
      const all = this.#open.get(name) ?? new Set();
      this.#open.set(name, all.add(own));
      return {
        post: (message) => {
          if (!all.has(own)) throw new Error(`${name} is closed`);
          const data = structuredClone(message);
          for (const other of all) {
            if (other === own) continue;
            // Behind the timers of one that was stopped, which are due as soon as it runs.
            const deliver = (): void => other.clock.run(() => all.has(other) && other.receive(data));
            this.#clock.after(1, () =>
              other.clock.run(() => (other.clock.stopped ? deliver() : this.#clock.after(0, deliver))),
            );
          }
        },
        close: () => all.delete(own),
      };
    };
  }

  release(clock: ProcessClock): void {
    for (const all of this.#open.values()) for (const one of all) if (one.clock === clock) all.delete(one);
  }
}

/** Tells each frame back, with the tab's connection before it. */
class EchoConnection implements OwnConnection {
  readonly #device: Device;
  readonly #clock: ProcessClock;
  readonly #streams = new Set<{ end(reason: Error): void }>();
  #drops = 0;
  readonly forgotten: string[] = [];

  constructor(device: Device, clock: ProcessClock) {
    this.#device = device;
    this.#clock = clock;
  }

  async connect(caller: string): Promise<Frames> {
    const drops = this.#drops;
    await new Promise<void>((resolve) => this.#clock.after(5, resolve));
    if (this.#drops > drops) throw new OpenClawError("UNAVAILABLE", "the connection was dropped");
    if (this.#device.isDown) throw new OpenClawError("UNAVAILABLE", "the site is down");
    this.#device.connected.add(this.#clock);
    let handlers: Parameters<Frames["receive"]>[0] | null = null;
    const stream = {
      end: (reason: Error | null): void => {
        if (!this.#streams.delete(stream)) return;
        handlers?.closed(reason);
      },
    };
    this.#streams.add(stream);
    this.#device.streams.push({ caller, tell: (frame) => handlers?.message(frame) });
    return {
      send: (frame) => {
        this.#device.clock.after(1, () => this.#clock.run(() => this.#streams.has(stream) && handlers?.message(frame)));
        return true;
      },
      receive: (own) => {
        handlers = own;
      },
      close: () => stream.end(null),
    };
  }

  /** Streams that are open on it. */
  get size(): number {
    return this.#streams.size;
  }

  async prepare(): Promise<void> {}
  setGateways(): void {}
  states(): readonly [] {
    return [];
  }
  forget(caller: string): void {
    this.forgotten.push(caller);
  }
  async drop(reason: OpenClawError): Promise<void> {
    this.#drops++;
    this.#device.connected.delete(this.#clock);
    for (const stream of [...this.#streams]) stream.end(reason);
  }
  close(): Promise<void> {
    return this.drop(new OpenClawError("STOPPED"));
  }
}

export interface Tab {
  readonly name: string;
  readonly site: LeadingTabSite;
  readonly connection: EchoConnection;
  /** Its page's streams: what came on each, and why it ended. */
  kill(): void;
  stop(): void;
  resume(): void;
}

export class Device {
  readonly clock: VirtualClock = new VirtualClock();
  readonly random: SeededRandom;
  /** Tabs that have a connection to the site. */
  readonly connected = new Set<ProcessClock>();
  readonly streams: { readonly caller: string; tell(frame: Uint8Array): void }[] = [];
  isDown = false;
  readonly #locks = new DeviceLocks();
  readonly #channels = new DeviceChannels(this.clock);

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
  }

  open(name: string): Tab {
    const clock = new ProcessClock(this.clock);
    const locks = this.#locks.of(clock);
    void locks.request(`openclaw:1:shop:tab:${name}`, {}, () => new Promise(() => undefined));
    const connection = new EchoConnection(this, clock);
    const random = this.random.stream(name);
    const open = this.#channels.of(clock);
    const site = new LeadingTabSite({ tab: name, store: "shop", connection, locks, open, clock, random });
    return {
      name,
      site,
      connection,
      kill: () => {
        clock.end();
        this.connected.delete(clock);
        this.#channels.release(clock);
        this.#locks.release(clock);
      },
      stop: () => clock.stop(),
      resume: () => clock.resume(),
    };
  }

  elapse(ms: number): Promise<void> {
    return elapse(this.clock, ms);
  }
}
