// Package doctest checks the pages for users and contributors: paths, links, options,
// variables, exit codes and names of tests exist, and the examples parse and run. It
// fetches no link of the web.
package doctest
