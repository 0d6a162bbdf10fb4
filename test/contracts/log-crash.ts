/** R4, R5, R8: the power is cut after every write, sync and rename of a log's life, and the disk keeps of it what it likes. */
import { expect, test } from "vitest";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { afterStep, EMPTY, HISTORY, nextStep, openLog, run, type Shown, type Step, shown } from "./log-history.ts";
import { bytewise, type DiskImage, KEPT, LOST, PowerCut, PowerCutDisk, sectors } from "./power-cut-disk.ts";

/** Where a life ended: what was acknowledged, and what was under way. */
interface Ending {
  readonly disk: PowerCutDisk;
  readonly acknowledged: Shown;
  readonly underWay: Shown;
}

/** Lives through the steps until the power is cut. */
export function live(disk: PowerCutDisk, steps: readonly Step[]): Ending {
  let acknowledged = EMPTY;
  let underWay = EMPTY;
  try {
    const { log } = openLog(disk);
    for (const step of steps) {
      underWay = afterStep(acknowledged, step);
      run(log, step);
      acknowledged = underWay;
    }
    log.close();
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error;
  }
  return { disk, acknowledged, underWay };
}

/** Images of each torn kind for each cut. */
const TORN = 4;

/** What a disk may hold after a cut, by name. */
function leftovers({ disk }: Ending, cut: number): ReadonlyMap<string, DiskImage> {
  const random = new SeededRandom(cut);
  const images = new Map<string, DiskImage>([
    ["nothing that was not synced", disk.image(LOST, "lost")],
    ["the names, not the writes", disk.image(LOST, "kept")],
    ["the writes, not the names", disk.image(KEPT, "lost")],
    ["everything", disk.image(KEPT, "kept")],
  ]);
  for (let i = 0; i < TORN; i++) images.set(`some sectors (${i})`, disk.image(sectors(random), "kept"));
  for (let i = 0; i < TORN; i++) images.set(`some bytes (${i})`, disk.image(bytewise(random), "kept"));
  return images;
}

/** What was found is what was acknowledged, or that and what was under way: nothing else. */
function expectOneOf(found: Shown, { acknowledged, underWay }: Ending, where: string): void {
  try {
    expect(found).toEqual(acknowledged);
  } catch {
    expect(found, where).toEqual(underWay);
  }
}

/**
 * @param openedOn opens the log that a cut left, in a store's own place
 * @param each `all`: everything that each cut may leave; `one`: one of it, in turn
 */
export function logCrashContract(name: string, openedOn: (image: DiskImage) => Shown, each: "all" | "one"): void {
  test(`R4, R5, R8: ${name} keeps what it acknowledged, and invents nothing, whichever write or sync the power is cut after`, () => {
    const undisturbed = live(new PowerCutDisk(), HISTORY);
    const { calls } = undisturbed.disk;
    expect(calls).toBeGreaterThan(250);
    for (let cut = 0; cut < calls; cut++) {
      const ending = live(new PowerCutDisk(new Map(), cut), HISTORY);
      const images = [...leftovers(ending, cut)];
      for (const [left, image] of each === "all" ? images : images.slice(cut % images.length).slice(0, 1)) {
        expectOneOf(openedOn(image), ending, `cut after call ${cut}, ${left}`);
      }
    }
    expect(openedOn(undisturbed.disk.image(LOST, "lost"))).toEqual(HISTORY.reduce(afterStep, EMPTY));
  });
}

/** Opens, writes one more step, and gives what the next start finds. */
function goneOn(image: DiskImage): { readonly expected: Shown; readonly found: Shown } {
  const disk = new PowerCutDisk(image);
  const first = openLog(disk);
  const before = shown(first.opened);
  const step = nextStep(first.opened);
  first.log.commit(step);
  first.log.close();
  const again = openLog(disk);
  again.log.close();
  return { expected: afterStep(before, step), found: shown(again.opened) };
}

export function recoveryCrashContract(): void {
  test("R5: a log whose power is cut again while it recovers, after any call, is none the worse", () => {
    const { calls } = live(new PowerCutDisk(), HISTORY).disk;
    for (let cut = 0; cut < calls; cut += 3) {
      const ending = live(new PowerCutDisk(new Map(), cut), HISTORY);
      const random = new SeededRandom(cut);
      const image = ending.disk.image(cut % 2 === 0 ? KEPT : sectors(random));
      const found = shown(openLog(new PowerCutDisk(image)).opened);
      for (let again = 0, done = false; !done; again++) {
        const disk = new PowerCutDisk(image, again);
        done = survives(disk);
        for (const survival of [LOST, KEPT, sectors(random)]) {
          const left = disk.image(survival);
          const where = `cut after call ${cut} and after call ${again} of the recovery`;
          // The first recovery may have seen a batch that was never synced, and the second one need not.
          const next = shown(openLog(new PowerCutDisk(left)).opened);
          if (done) expect(next, where).toEqual(found);
          else expectOneOf(next, ending, where);
        }
      }
      const { expected, found: later } = goneOn(image);
      expect(later, `cut after call ${cut}, and gone on`).toEqual(expected);
    }
  });
}

function survives(disk: PowerCutDisk): boolean {
  try {
    openLog(disk);
    return true;
  } catch (error) {
    if (error instanceof PowerCut) return false;
    throw error;
  }
}
