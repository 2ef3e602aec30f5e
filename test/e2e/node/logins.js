// Makes a new login for each line on its input, and prints the answer to one
// question, or what went wrong. It connects with nothing but its environment.
//
//	node logins.js pg|postgres QUESTION
import readline from "node:readline";
import pg from "pg";
import postgres from "postgres";

const [driver, question] = process.argv.slice(2);

// Made once: the password is the one of the start. What is idle for a moment is
// closed, so that the next question has a login of its own.
const sql = driver === "postgres" && postgres({
  idle_timeout: 0.2, connect_timeout: 30, connection: { application_name: process.env.PGAPPNAME },
});

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
