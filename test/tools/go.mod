// Programs that only the tests run, in a module of their own: what they need is
// no business of the two programs' go.mod. Built by
//
//	go build -C test/tools -tags 'postgres pgx5' -o DIR/ github.com/golang-migrate/migrate/v4/cmd/migrate
//	go build -C test/tools -o DIR/ honnef.co/go/tools/cmd/staticcheck
//
// Not tidy on purpose: `go mod tidy` knows no tags, and would list what the
// twenty other databases of golang-migrate need.
module github.com/lakebase-exec/lakebase-exec/test/tools

go 1.26.0

require (
	github.com/golang-migrate/migrate/v4 v4.20.1
	honnef.co/go/tools v0.8.2
)

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
)
