package rotate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// A rotation killed before or after any step leaves a stored secret that works and
// at most one more secret. The next rotation succeeds and leaves none but those
// it cannot attribute.
func TestRun_KilledAtEveryStep(t *testing.T) {
	rotateOnce := func(t *testing.T, w *fakeWorld) { w.mustRotate(t, nil) }
	for name, start := range map[string]struct {
		others int
		before func(*testing.T, *fakeWorld)
		change func(*Rotation)
	}{
		"old unknown":   {others: 1},
		"old known":     {others: 1, before: rotateOnce},
		"old by option": {others: 1, change: func(r *Rotation) { r.DeleteID = "id-2" }},
		"old kept":      {before: rotateOnce, change: func(r *Rotation) { r.KeepOld = time.Hour }},
		"full with one scheduled": {others: 1, before: func(t *testing.T, w *fakeWorld) {
			w.mustRotate(t, nil)
			w.mustRotate(t, func(r *Rotation) { r.KeepOld = time.Minute })
			w.now = w.now.Add(time.Hour)
			for len(w.secrets) < exchange.MaxSecrets {
				w.add()
			}
		}},
		"login in between": {before: func(t *testing.T, w *fakeWorld) {
			w.mustRotate(t, nil)
			w.stored = w.values[w.add().ID]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := newFakeWorld(start.others)
				if start.before != nil {
					start.before(t, w)
				}
				count := len(w.secrets)
				w.killAt = n
				_, dead, err := w.rotate(t, start.change)
				if !dead {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				w.killAt = 0
				step := w.steps[n-1]
				at := fmt.Sprintf("killed at step %d, %s", n, step)
				if !w.works(w.stored) {
					t.Fatalf("%s: the stored secret does not work", at)
				}
				if len(w.secrets) > count+1 {
					t.Errorf("%s: got %d secrets, %d before", at, len(w.secrets), count)
				}
				// An ID is lost only between the response and its record.
				mayOrphan := w.state.Pending != nil && slices.Contains([]string{"create", "create done", "save"}, step)
				checkNextRun(t, w, at, count, mayOrphan)
			}
		})
	}
}

// checkNextRun rotates once more and checks what remains.
func checkNextRun(t *testing.T, w *fakeWorld, at string, count int, mayOrphan bool) {
	t.Helper()
	w.now = w.now.Add(2 * time.Hour)
	result, dead, err := w.rotate(t, nil)
	if mayOrphan && exchange.IsKind(err, exchange.KindTooManySecrets) && len(result.Orphans) == 1 {
		return // the fifth secret is an orphan, which only the user can delete
	}
	if err != nil || dead {
		t.Fatalf("%s: the next run: got error %v, killed %v", at, err, dead)
	}
	if !w.works(w.stored) || w.stored != w.values[result.New.ID] {
		t.Errorf("%s, after the next run: got %q stored, want the secret of %s", at, w.stored, result.New.ID)
	}
	want := State{Version: stateVersion, Current: &Secret{ID: result.New.ID}, Orphans: result.Orphans}
	if diff := cmp.Diff(want, w.state, cmpopts.IgnoreFields(Secret{}, "Fingerprint", "CreatedAt", "ExpiresAt"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: the state after the next run (-want +got):\n%s", at, diff)
	}
	// At most the new secret beside an unknown old one, and one reported orphan.
	if most := count + 1 + len(result.Orphans); len(w.secrets) > most || len(result.Orphans) > 1 {
		t.Errorf("%s: got %d secrets after the next run, %d before, orphans %v", at, len(w.secrets), count, result.Orphans)
	}
	if len(result.Orphans) > 0 && !mayOrphan {
		t.Errorf("%s: got orphans %v, want none", at, result.Orphans)
	}
}

// A manager creates the first secret. After a kill at any step the next run stores one
// that works, and leaves no other but an orphan.
func TestRun_FirstSecret(t *testing.T) {
	byManager := func(r *Rotation) { r.Manager, r.Principal = credential.NewSecret("manager"), "41" }
	for n, dead := 1, true; dead; n++ {
		w := newFakeWorld(0)
		w.secrets, w.stored, w.killAt = nil, "", n
		var err error
		if _, dead, err = w.rotate(t, byManager); err != nil || w.stored != "" && !w.works(w.stored) {
			t.Fatalf("killed at step %d: got error %v, %q stored", n, err, w.stored)
		}
		w.killAt = 0
		result := w.mustRotate(t, byManager)
		if !w.works(w.stored) || len(w.secrets) != 1+len(result.Orphans) || len(result.Orphans) > 1 || len(w.warnings) > 0 {
			t.Errorf("killed at step %d: got %q stored, secrets %v, orphans %v, warnings %q", n, w.stored, w.secrets, result.Orphans, w.warnings)
		}
	}
	w := newFakeWorld(0)
	w.secrets, w.stored, w.fail["set"] = nil, "", errors.New("the store is gone")
	if _, _, err := w.rotate(t, byManager); err == nil || w.stored != "" || !strings.Contains(strings.Join(w.warnings, ""), "the next run deletes it") {
		t.Errorf("without a store: got error %v, %q stored, warnings %q", err, w.stored, w.warnings)
	}
}

func TestRun_DeletesOnlyWhatItCreated(t *testing.T) {
	w := newFakeWorld(2) // id-3 is stored
	if got := w.mustRotate(t, nil); !got.OldUnknown || len(got.Unknown) != 3 || len(w.secrets) != 4 {
		t.Errorf("first rotation: got %+v", got)
	}
	if got := w.mustRotate(t, nil); got.OldUnknown || len(w.secrets) != 4 || w.works("secret-4") {
		t.Errorf("second rotation: got %+v", got)
	}
	w.stored = "secret-1" // a login
	if got := w.mustRotate(t, nil); !got.OldUnknown || len(w.secrets) != 5 || !w.works("secret-5") || !w.works("secret-1") {
		t.Errorf("after a login: got %+v", got)
	}
	w.mustRotate(t, func(r *Rotation) { r.DeleteOnly, r.DeleteID = true, "id-5" })
	if len(w.secrets) != 4 || w.works("secret-5") {
		t.Errorf("after --delete-only: got secrets %v, want id-5 deleted", w.secrets)
	}
}

func TestRun_KeepsScheduledSecretThatIsStoredAgain(t *testing.T) {
	w := newFakeWorld(0)
	w.mustRotate(t, nil)
	first := w.stored
	w.mustRotate(t, func(r *Rotation) { r.KeepOld = time.Hour })
	w.stored, w.now = first, w.now.Add(2*time.Hour) // a login
	w.mustRotate(t, func(r *Rotation) { r.DeleteOnly = true })
	if !w.works(first) {
		t.Fatal("the stored secret was deleted")
	}
	w.mustRotate(t, nil)
	if w.works(first) || !w.works(w.stored) {
		t.Error("the old secret still exists, or the new one does not")
	}
}

func TestRun_Failures(t *testing.T) {
	lost := &exchange.Error{Call: exchange.CallCreateSecret, Kind: exchange.KindNoReply}
	denied := &exchange.Error{Call: exchange.CallCreateSecret, Kind: exchange.KindPermissionDenied, Status: 403}
	storeFailed := errors.New("the store is gone")
	for _, tt := range []struct {
		step          string // that fails
		err           error
		warning       string
		secrets       int
		pending, next bool // what is left in the state
	}{
		{"create done", lost, "may have been created", 2, true, false},
		{"create", lost, "may have been created", 1, true, false},
		{"create", denied, "", 1, false, false},
		{"save", storeFailed, "", 1, false, false},
		{"set", storeFailed, "the old one stays", 2, false, true},
	} {
		w := newFakeWorld(0)
		w.fail[tt.step] = tt.err
		_, _, err := w.rotate(t, nil)
		if got := strings.Join(w.warnings, "; "); !errors.Is(err, tt.err) || !strings.Contains(got, tt.warning) || tt.warning == "" && got != "" {
			t.Errorf("%s: got error %v, warnings %q; want %v, %q", tt.step, err, got, tt.err, tt.warning)
		}
		if !w.works(w.stored) || len(w.secrets) != tt.secrets || (w.state.Pending != nil) != tt.pending || (w.state.Next != nil) != tt.next {
			t.Errorf("%s: got %q stored, secrets %v, state %+v", tt.step, w.stored, w.secrets, w.state)
		}
		delete(w.fail, tt.step)
		w.mustRotate(t, nil)
	}
	w := newFakeWorld(0)
	w.setTo = "something else"
	if _, _, err := w.rotate(t, nil); err == nil || !strings.Contains(strings.Join(w.warnings, " "), "store the old one again with login") || len(w.secrets) != 2 {
		t.Errorf("the store holds neither: got error %v, warnings %q, secrets %v", err, w.warnings, w.secrets)
	}
}

// Errors that change nothing: the store holds the new secret, and the old one is gone.
func TestRun_HarmlessErrors(t *testing.T) {
	w := newFakeWorld(0)
	w.mustRotate(t, nil)
	w.fail["set done"] = errors.New("a late error")
	w.fail["delete"] = &exchange.Error{Call: exchange.CallDeleteSecret, Kind: exchange.KindSecretNotFound, Status: 404}
	result := w.mustRotate(t, nil)
	if w.stored != w.values[result.New.ID] || len(w.state.Scheduled) != 0 || len(w.warnings) != 0 {
		t.Errorf("got %q stored, %+v, warnings %q", w.stored, w.state, w.warnings)
	}
}

func TestRun_WaitsUntilANewSecretSignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(0)
		w.refuse = 2
		w.mustRotate(t, nil)
		if w.refuse != 0 || !w.works(w.stored) {
			t.Errorf("got %d refusals left, want 0", w.refuse)
		}
		w = newFakeWorld(0)
		w.refuse = 1000
		_, _, err := w.rotate(t, nil)
		if !exchange.IsKind(err, exchange.KindInvalidClient) || len(w.secrets) != 1 || w.state.Next != nil {
			t.Errorf("never accepted: got error %v, secrets %v, state %+v", err, w.secrets, w.state)
		}
	})
}
