/**
 * `npm test [-- FILTER …]`: installs what is missing, then types, lint, the page's build and every suite. Goes on after a
 * failure, so that one run shows all of them. With filters, only the test files whose path holds one.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { run, runQuietly } from "./child.mjs";
import { chromium } from "./chromium.mjs";
import { install, ROOT, script } from "./install.mjs";

/** Each has a tsconfig.json. */
const TYPED = ["core", "edge-runtime", "hub", "browser", "demo", "demo/page", "test"];

await script(async () => {
  const node = await install();
  const filters = process.argv.slice(2);
  const env = { ...process.env, CHROMIUM_PATH: await chromium() };
  const failed = [];
  const step = async (name, file, args) => {
    if (!(await runQuietly(name, node, [path.join(ROOT, file), ...args], () => "", { cwd: ROOT, env })))
      failed.push(name);
  };

  for (const project of TYPED) {
    if (fs.existsSync(path.join(ROOT, project, "tsconfig.json"))) {
      await step(`Types of ${project}`, "node_modules/typescript/bin/tsc", ["-p", project]);
    }
  }
  await step("Lint", "node_modules/@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "--colors=off"]);
  if (fs.existsSync(path.join(ROOT, "demo", "build-page.ts")))
    await step("Build of the page", "demo/build-page.ts", []);

  const tests = await suites(node, filters, env);
  if (tests.exitCode !== 0) failed.push("tests");
  for (const name of tests.broken) process.stdout.write(`not passed: ${name}\n`);
  for (const name of failed) process.stdout.write(`failed: ${name}\n`);
  process.stdout.write(`${tests.passed} passed, ${tests.failed} failed, ${tests.skipped} skipped\n`);
  return failed.length === 0 ? 0 : 1;
});

/** Named once more at the end: what a failure prints may be longer than what is kept of the output. */
function brokenIn({ name, status, assertionResults }) {
  const file = path.relative(ROOT, name);
  const broken = assertionResults.filter(({ status: its }) => its === "failed");
  if (broken.length === 0) return status === "failed" ? [file] : [];
  return broken.map(({ fullName }) => `${file}: ${fullName}`);
}

async function suites(node, filters, env) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "openclaw-test-"));
  const report = path.join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  try {
    const vitest = path.join(ROOT, "node_modules", "vitest", "vitest.mjs");
    const exitCode = await run(node, [vitest, "run", ...reporters, ...filters], { cwd: ROOT, env });
    const counts = fs.existsSync(report) ? JSON.parse(fs.readFileSync(report, "utf8")) : {};
    return {
      exitCode,
      broken: (counts.testResults ?? []).flatMap(brokenIn),
      passed: counts.numPassedTests ?? 0,
      failed: counts.numFailedTests ?? 0,
      skipped: (counts.numPendingTests ?? 0) + (counts.numTodoTests ?? 0),
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
