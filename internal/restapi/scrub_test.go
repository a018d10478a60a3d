package restapi

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// S69: a URL with a token in it goes no further than to an answer that does not
// repeat it.
func TestTokenInURL(t *testing.T) {
	a := New(Options{})
	token := "lkp_abc123" + strings.Repeat("Z", 32)
	for _, target := range []string{"/tokens/" + token, "/accounts/" + token, "/tokens?owner=" + token, "/tokens/" + strings.Replace(token, "_", "%5F", 1)} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", "/latchkey/api/v1"+target, nil))
		if got := w.Body.String(); w.Code != 400 || strings.Contains(got, "ZZZ") || !strings.Contains(got, "in the URL") {
			t.Errorf("GET %s = %d %s, want 400 and why", target, w.Code, got)
		}
	}
}
