package live

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// databaseHost returns the host that the programs would use.
func (w *workspace) databaseHost() string {
	if w.conf.PGHostTrusted() {
		return w.conf.PGHost.Value
	}
	return w.host
}

func (w *workspace) tls(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: w.roots, MinVersion: tls.VersionTLS12}
}

// login is one connection to the database.
type login struct {
	host     string
	tls      *tls.Config // nil: none
	password credential.Secret
	binding  string // channel_binding; empty: prefer
}

// noPassword is sent where the server is to refuse before it asks for a password.
var noPassword = credential.NewSecret("not-a-token")

// login returns the current user. asked reports whether the server asked for the
// password in clear text. The error is what the server said.
func (w *workspace) login(ctx context.Context, l login) (user string, asked bool, err error) {
	w.secrets = append(w.secrets, l.password)
	cfg, err := pgconn.ParseConfig("host=x port=1 dbname=x user=x sslmode=require sslrootcert='' sslcert='' sslkey='' passfile='' channel_binding=" + cmp.Or(l.binding, "prefer"))
	if err != nil {
		return "", false, err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User = l.host, uint16(w.conf.PGPort.Value), w.conf.Database.Value, cmp.Or(w.conf.User.Value,
		w.conf.ClientID.Value)
	cfg.Password, cfg.Fallbacks, cfg.TLSConfig = l.password.Reveal(), nil, l.tls
	var received bytes.Buffer
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(io.TeeReader(r, &received), w)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	asked = bytes.HasPrefix(received.Bytes(), []byte("R\x00\x00\x00\x08\x00\x00\x00\x03")) // AuthenticationCleartextPassword
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		err = fmt.Errorf("%s %s: %s %s", pg.Severity, pg.Code, pg.Message, pg.Detail)
	}
	if err != nil {
		return "", asked, err
	}
	defer conn.Close(ctx)
	res := conn.ExecParams(ctx, "select current_user", nil, nil, nil, nil).Read()
	if res.Err != nil || len(res.Rows) != 1 {
		return "", asked, fmt.Errorf("the query failed: %w", res.Err)
	}
	return string(res.Rows[0][0]), asked, nil
}
