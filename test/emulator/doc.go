// Package emulator is a local Lakebase for tests, the quickstart and benchmarks,
// and for application developers who want to run offline: a workspace API over
// TLS that mints tokens, and a TLS gateway in front of a real Postgres that
// sleeps and wakes.
//
// It speaks the wire forms of the public clients (databricks-sdk-go
// service/postgres, databricks/cli libs/testserver, neondatabase/neon proxy);
// where a live workspace may differ, a setting selects.
//
// It must never be linked into a program of this project, and never hold a real
// credential: its secrets are random, and die with it.
package emulator
