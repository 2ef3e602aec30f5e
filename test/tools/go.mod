// Programs that only the tests run, in a module of their own: what they need is
// no business of the two programs' go.mod. Built by
//
//	go build -C test/tools -tags 'postgres pgx5' -o DIR/ github.com/golang-migrate/migrate/v4/cmd/migrate
//
// Not tidy on purpose: `go mod tidy` knows no tags, and would list what the
// twenty other databases of golang-migrate need.
module github.com/lakebase-exec/lakebase-exec/test/tools

go 1.26.0

require github.com/golang-migrate/migrate/v4 v4.20.1
