// Prints user and password, each with a NUL at its end, of each file in the format of dotenv.
import dotenv from "dotenv";
import { readFileSync } from "node:fs";

for (const file of process.argv.slice(2)) {
  const e = dotenv.parse(readFileSync(file));
  process.stdout.write(`${e.PGUSER}\0${e.PGPASSWORD}\0`);
}
