// Package doctest holds the tests that the documents are true: what README,
// SECURITY, CONTRIBUTING, CHANGELOG and docs/ name is there, and their examples
// parse and run. Each check is shown to find what it is for. It must never fetch
// a link of the web, and never repeat a document's text to compare with.
package doctest
