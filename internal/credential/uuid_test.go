package credential

import "testing"

func TestIsUUID(t *testing.T) {
	for s, want := range map[string]bool{
		"181693c3-0c6d-40f7-99b0-95e07f337ab8": true, "181693C3-0C6D-40F7-99B0-95E07F337AB8": true, "": false, "181693c30c6d40f799b095e07f337ab8": false,
		"181693c3-0c6d-40f7-99b0-95e07f337ab": false, "181693c3-0c6d-40f7-99b0-95e07f337ab88": false, "181693c3-0c6d-40f7-99b0-95e07f337ab8\n": false,
		"181693c3-0c6d-40f7-99b0_95e07f337ab8": false, "181693c-30c6d-40f7-99b0-95e07f337ab8": false, "181693cg-0c6d-40f7-99b0-95e07f337ab8": false,
		"181693c3-0c6d-40f7-99b0-95e07f337a-8": false, "/81693c3-0c6d-40f7-99b0-95e07f337ab:": false,
	} {
		if IsUUID(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}
