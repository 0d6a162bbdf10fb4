/** Every fault there is, in the order of docs/nemesis.md; those that cannot be had here say why. */
import { succeeds } from "../command.ts";
import { fileLimit, fullDisk, oldDisk, slowDisk } from "./disks.ts";
import { fallBehind } from "./fall-behind.ts";
import type { Fault, MissingFault, Surroundings } from "./fault.ts";
import { linkFaults, linkNames } from "./links.ts";
import { rejoinMember, replaceMember } from "./membership.ts";
import { moveLeader } from "./move-leader.ts";
import { partitionFaults, partitionNames } from "./partitions.ts";
import { processFaults } from "./processes.ts";

export async function catalogue(surroundings: Surroundings): Promise<readonly (Fault | MissingFault)[]> {
  const { namespaces, withoutNamespaces: missing, smallDisk } = surroundings;
  const without = (names: readonly string[]): readonly MissingFault[] => names.map((name) => ({ name, missing }));
  return [
    ...processFaults,
    ...(namespaces === null ? without(partitionNames) : partitionFaults(namespaces)),
    ...(namespaces === null ? without(linkNames) : linkFaults(namespaces)),
    (await succeeds("strace", "-V")) ? slowDisk : { name: slowDisk.name, missing: "strace is missing" },
    smallDisk === null ? { name: "full-disk", missing } : fullDisk(smallDisk),
    (await succeeds("prlimit", "-V")) ? fileLimit : { name: fileLimit.name, missing: "prlimit is missing" },
    oldDisk,
    moveLeader,
    replaceMember(smallDisk),
    rejoinMember(smallDisk),
    fallBehind,
  ];
}
