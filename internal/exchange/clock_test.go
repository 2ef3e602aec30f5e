package exchange

import (
	"net/http"
	"testing"
	"time"
)

func TestServerTime(t *testing.T) {
	const took = 4 * time.Second
	for name, tc := range map[string]struct {
		status int
		ahead  time.Duration
	}{
		"ahead":                     {200, 10 * time.Minute},
		"behind":                    {200, -10 * time.Minute},
		"a host without a document": {404, 10 * time.Minute},
		"a redirect":                {302, -time.Hour},
		"a server in trouble":       {503, 0},
	} {
		t.Run(name, func(t *testing.T) {
			// The clock stands still but for the request, which takes four seconds.
			now := ours
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				date := now.Add(took / 2).Add(tc.ahead).UTC()
				now = now.Add(took)
				says(tc.status, `{}`, "Date", date.Format(http.TimeFormat), "Location", "https://untrusted.example/")(rw, r)
			})
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return now } })
			skew, err := c.ServerTime(soon(t))
			if err != nil || (skew-tc.ahead).Abs() > time.Second {
				t.Errorf("skew is %v, %v", skew, err)
			}
			if r := w.seen[0]; r.URL.Path != configDocument || r.Header.Get("Authorization") != "" || len(w.seen) != 1 {
				t.Errorf("%s %v", r.URL, r.Header)
			}
		})
	}
	real := newWorkspace(t, true, says(404, `{}`))
	begun := time.Now()
	skew, err := real.client(t).ServerTime(soon(t))
	if took := time.Since(begun); err != nil || skew.Abs() > took/2+time.Second { // a date has whole seconds
		t.Errorf("of the same machine: %v after %v, %v", skew, took, err)
	}
}

func TestServerTime_Errors(t *testing.T) {
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Date"] = nil
		says(200, `{}`)(rw, r)
	})
	_, err := w.client(t).ServerTime(soon(t))
	if e := wants(t, err, KindBadReply, false); e.Call != CallClock {
		t.Errorf("%+v", e)
	}
	lost := newWorkspace(t, false, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = lost.client(t).ServerTime(soon(t))
	wants(t, err, KindBroken, true)
}
