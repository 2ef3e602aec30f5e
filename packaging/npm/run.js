#!/usr/bin/env node
// Runs the program of this name from the package of this platform.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { basename } = require("node:path");

const name = basename(__filename, ".js");
const platform = `@lakebase-exec/${process.platform}-${process.arch}`;

function fail(problem, hint) {
  console.error(`${name}: error: ${problem}\n${name}: hint: ${hint}`);
  process.exit(125);
}

let program;
try {
  program = require.resolve(`${platform}/bin/${name}${process.platform === "win32" ? ".exe" : ""}`);
} catch {
  fail(`the npm package ${platform} is not installed`, "install lakebase-exec again, with its optional dependencies, on this platform");
}
const args = process.argv.slice(2);

// Node 22.15 and later can be replaced by the program; Windows has no such call.
if (process.execve && process.platform !== "win32") {
  process.execve(program, [name, ...args], process.env);
}

const child = spawn(program, args, { stdio: "inherit" });
// A terminal sends these to the whole process group, and so to the program too.
const fromTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
  if (signal in constants.signals) {
    process.on(signal, () => {
      if (!fromTerminal || !["SIGINT", "SIGQUIT"].includes(signal)) child.kill(signal);
    });
  }
}
child.on("error", (err) => fail(err.message, "install lakebase-exec again"));
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000); // a signal that does not end Node
});
