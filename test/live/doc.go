// Package live checks what these programs assume about Lakebase and no public
// document guarantees. scripts/verify-live runs the checks in a real workspace (build
// tag live), the ordinary test run against the emulator. They send some 20 small
// requests and a dozen logins, and change nothing.
package live
