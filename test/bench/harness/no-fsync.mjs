/** For `--import`: whoever asks for a disk to be synced is told at once that it was. What a figure without fsync is made of. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

fs.fsyncSync = () => undefined;
fs.fdatasyncSync = () => undefined;
syncBuiltinESMExports();
