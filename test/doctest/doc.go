// Package doctest checks the pages for users and contributors: paths, links, options,
// exit codes and names of tests exist, and the examples run. It fetches no link of the web.
package doctest
