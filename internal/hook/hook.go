// Package hook turns a token into the bytes that another tool's credential hook
// expects. It is made of pure functions. It must never read, write or log.
package hook

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Margin is how much earlier than it does a token is said to expire: some
// callers keep it to the very second that they were told.
const Margin = time.Minute

// Answer is a token and all that a caller needs beside it.
type Answer struct {
	Host      string
	Port      int
	Database  string
	User      string
	SSLMode   string
	Password  credential.Secret
	ExpiresAt time.Time // the real one
}

// JSON is the format of our own: one line, with whole seconds in UTC.
func JSON(a Answer) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Version   int    `json:"version"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Database  string `json:"dbname"`
		User      string `json:"user"`
		Password  string `json:"password"`
		SSLMode   string `json:"sslmode"`
		ExpiresAt string `json:"expires_at"`
	}{1, a.Host, a.Port, a.Database, a.User, a.Password.Reveal(), a.SSLMode, expiry(a.ExpiresAt)})
	return b.Bytes(), err
}

// expiry is RFC 3339 in UTC with whole seconds and a Z, which every caller reads.
func expiry(t time.Time) string {
	return t.Add(-Margin).UTC().Truncate(time.Second).Format(time.RFC3339)
}
