// Package live checks what these programs assume about Lakebase and no public
// document guarantees. scripts/verify-live runs the checks in a real workspace (build
// tag live), the ordinary test run against the emulator. They send a dozen small
// requests and as many logins, and change nothing.
package live
