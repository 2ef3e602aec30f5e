// Connects with nothing but the environment that lakebase-exec made, and prints
// who it is. node takes more roots from NODE_EXTRA_CA_CERTS alone; pg takes
// sslmode from PGSSLMODE, and verifies.
import pg from "pg";

const client = new pg.Client();
await client.connect();
const { rows } = await client.query("select current_user, count(*)::int as wares from wares");
console.log(`${rows[0].current_user} ${rows[0].wares}`);
await client.end();
