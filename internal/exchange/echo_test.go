package exchange

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// speaks answers with raw bytes in place of a reply.
func speaks(t *testing.T, raw string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		w := bufio.NewWriter(conn)
		_, _ = fmt.Fprint(w, raw)
		_ = w.Flush()
	}
}

// net/http puts what it cannot read into its own errors.
func TestErrors_EchoesBelowHTTPAreRedacted(t *testing.T) {
	for name, raw := range map[string]string{
		"status":            "HTTP/1.1 %s\r\n\r\n",
		"protocol":          "%s\r\n\r\n",
		"header":            "HTTP/1.1 200 OK\r\nyou sent %s\r\n\r\n",
		"transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: you sent %s\r\n\r\n",
		"content length":    "HTTP/1.1 200 OK\r\nContent-Length: you sent %s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, false, speaks(t, fmt.Sprintf(raw, clientSecret)))
			err := calls[CallWorkspaceToken](soon(t), w.client(t))
			if err == nil || !strings.Contains(err.Error(), credential.Redacted) {
				t.Fatalf("nothing was hidden in %v: does the server's text still reach it?", err)
			}
			for i := 0; i+8 <= len(clientSecret); i++ {
				if strings.Contains(err.Error(), clientSecret[i:i+8]) {
					t.Fatalf("shows %q: %v", clientSecret[i:i+8], err)
				}
			}
		})
	}
}
