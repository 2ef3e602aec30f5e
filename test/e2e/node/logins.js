// Makes a new login for each line on its input, and prints the answer to one
// question, or what went wrong. It connects with nothing but its environment.
//
//	node logins.js pg|postgres|postgres-url QUESTION
import fs from "node:fs";
import readline from "node:readline";
import pg from "pg";
import postgres from "postgres";

const [driver, question] = process.argv.slice(2);

// Made once: the password is the one of the start. What is idle for a moment is
// closed, so that the next question has a login of its own.
const options = { idle_timeout: 0.2, connect_timeout: 30, connection: { application_name: process.env.PGAPPNAME } };
let sql;
if (driver === "postgres") { // reads neither PGSSLMODE nor PGSSLROOTCERT
  const ssl = process.env.PGSSLMODE === "verify-full" && { ca: fs.readFileSync(process.env.PGSSLROOTCERT), servername: process.env.PGHOST };
  sql = postgres({ ssl, ...options });
} else if (driver === "postgres-url") {
  sql = postgres(process.env.NODE_URL, options);
}

async function ask() {
  if (sql) return (await sql.unsafe(question))[0].answer;
  const client = new pg.Client();
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query(question);
  await client.end();
  return rows[0].answer;
}

for await (const _ of readline.createInterface({ input: process.stdin })) {
  try {
    console.log(await ask());
  } catch (e) {
    console.log(`failed: ${e}`.replaceAll("\n", " "));
  }
}
if (sql) await sql.end();
