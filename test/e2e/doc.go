// Package e2e holds the tests of both programs as users run them: built
// binaries, a real Postgres behind the local Lakebase, a real keychain, real
// clients. It must never skip a part that is absent: that is a failure.
package e2e
