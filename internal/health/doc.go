// Package health shows people and orchestrators how a supervisor fares: by a
// status file, and by three HTTP paths. It owns the form of both. It must never
// hold a secret, never end the run as it cannot write, and never let a client
// that is slow, greedy or one of many cost more than a bounded amount of memory.
package health
