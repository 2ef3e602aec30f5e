// Package pgproxy is the local door in front of one Lakebase endpoint. It owns the
// listeners, the start-up half of the Postgres protocol on the client's side, the
// local password, the limits, and the joining of two connections whose logins are
// done. It must never print, never read a byte of what follows a login, never
// touch the upstream before the local password was right, and never tell a client
// more than an error meant for it.
//
// How a login upstream is made is the business of an Upstream.
package pgproxy
