package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// callTime bounds how long a request may take, so that none hangs on a database.
const callTime = 30 * time.Second

// Introspection answers services about the tokens of their callers (RFC 7662).
type Introspection struct {
	opts   Options
	origin *http.CrossOriginProtection
}

// NewIntrospection returns the endpoint.
func NewIntrospection(o Options) *Introspection {
	return &Introspection{opts: o, origin: http.NewCrossOriginProtection()}
}

// introspected is the answer. Of a token that does not count it has Active
// alone (RFC 7662 section 2.2).
type introspected struct {
	Active    bool     `json:"active"`
	Scope     *string  `json:"scope,omitempty"` // empty: the token may do nothing, which is not the same as not said
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"` // not there: never
	Issued    int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

// ServeHTTP answers a request, whatever its path is.
func (i *Introspection) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	answer, err := i.answer(w, r.WithContext(ctx))
	if err != nil {
		i.opts.fail(w, err)
		return
	}
	web.WriteJSON(w, http.StatusOK, answer)
}

// answer asks the core, which writes down what was asked and refused. Whoever
// asks is known before anything of the form is looked at (S41).
func (i *Introspection) answer(w http.ResponseWriter, r *http.Request) (introspected, error) {
	if r.Method != http.MethodPost {
		return introspected{}, errMethod
	}
	if i.origin.Check(r) != nil { // a page elsewhere, with credentials that the browser added (S20)
		return introspected{}, errOrigin
	}
	caller, err := i.opts.Check.Request(r)
	if err != nil {
		return introspected{}, err
	}
	var presented tokens.Presented
	if caller != nil {
		if presented, err = read(w, r); err != nil {
			return introspected{}, err
		}
	}
	a, err := i.opts.Tokens.CheckFor(r.Context(), caller, presented, nil)
	if err != nil || a.Identity == nil {
		return introspected{}, err
	}
	return i.about(a, presented.Token), nil
}

// read reads the form. What kind of token the caller takes it for changes
// nothing (S44).
func read(w http.ResponseWriter, r *http.Request) (tokens.Presented, error) {
	form, err := readForm(w, r)
	if err != nil {
		return tokens.Presented{}, err
	}
	if form["token"] == "" { // S71
		return tokens.Presented{}, fault.Invalidf("", "the parameter token is needed")
	}
	p := tokens.Presented{Token: secret.New(form["token"]), Agent: form["agent"]}
	if text := form["addr"]; text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return tokens.Presented{}, fault.Invalidf("", "the parameter addr is not an address")
		}
		p.Addr = addr.Unmap().WithZone("")
	}
	return p, nil
}

// about says what there is to say of a good token. What a signed one says
// itself has been verified by the check; what it may do is what its owner may
// now.
func (i *Introspection) about(a tokens.Answer, text secret.Text) introspected {
	id := a.Identity
	rules := id.EffectiveText
	out := introspected{
		Active: true, Scope: &rules, Username: id.Name, TokenType: "Bearer",
		Subject: id.AccountID, Issuer: i.opts.Issuer, Expires: unix(a.Ends()), Issued: unix(id.IssuedAt), ID: id.TokenID,
	}
	if isSigned(id) {
		if said, err := jose.Decode(text.Reveal()); err == nil {
			out.ClientID, out.ID, out.Audience = said.Claims.Text("client_id"), said.Claims.Text("jti"), said.Claims.Texts("aud")
			out.NotBefore = date(said.Claims, "nbf")
			if ends := date(said.Claims, "exp"); ends != 0 && ends < out.Expires { // the clocks of nodes may differ, which is nobody else's business
				out.Expires = ends
			}
		}
	}
	return out
}

func isSigned(id *identity.Identity) bool { return id.Class == string(tokens.Access) }

// date returns a claim that was verified, 0 where there is none.
func date(claims jose.Claims, name string) int64 {
	at, err := claims.Date(name)
	if err != nil {
		return 0
	}
	return unix(at)
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
