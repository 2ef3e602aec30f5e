// Package archtest holds the tests of what the project's packages may import and
// touch. It owns no code of its own, and must never be imported.
package archtest
