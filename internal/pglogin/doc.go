// Package pglogin proves a login: one authenticated login over TLS, with the very
// values that the child will get, tried until the compute is up. It owns the
// schedule of the attempts and the meaning of what a server answers. It must
// never run a query, never send a password before TLS stands as the target asks
// for it, never fall back to plain text, and never put a password in an error.
//
// The connection is pgx's pgconn. Its ParseConfig reads PG* variables from the
// process by itself. Every value that they could bring is given here, so they
// decide nothing; but PGSERVICE names a file that is read before anything else,
// and a login fails if that file or service is absent. The program must have
// cleared PG* from its own process before it calls this package.
package pglogin
