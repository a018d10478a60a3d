// Package registryconfig writes what container registries need so that they
// believe Latchkey's tokens: their settings, and the files of keys that these
// name. It is text alone: it reads no configuration and asks no server.
package registryconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Registry is a program that serves a registry.
type Registry string

// Registries.
const (
	Distribution2 Registry = "distribution2" // docker-registry 2
	Distribution3 Registry = "distribution3" // CNCF Distribution 3
	Pulp          Registry = "pulp"          // pulp_container
)

// Registries lists those that there are settings for.
func Registries() []Registry { return []Registry{Distribution2, Distribution3, Pulp} }

// Key is a public key of the server.
type Key struct {
	State       string // active, published, retired; others do not count
	Algorithm   string // as JSON Web Tokens name it
	PublicKey   string // in PEM
	Certificate string // in PEM, signed by the key itself
}

// Options say what stands where. All are needed but Hint and Relayed.
type Options struct {
	Registry Registry
	Realm    string // where clients get tokens: a URL
	Issuer   string // the iss of tokens
	Service  string // what the registry calls itself; the aud of tokens

	// Hint is how tokens name their key for this registry, as the server's
	// setting registry.services[].key has it; default libtrust.
	Hint string

	// Relayed says that the registry has a token server of its own, to which the
	// realm relays. Pulp alone has one.
	Relayed bool

	Folder string          // where the registry finds the files
	Keys   []Key           // all that the server has
	JWKS   json.RawMessage // the keys as the server publishes them
}

// Errors about options, for the person who gave them.
var (
	ErrRegistry = errors.New("want distribution2, distribution3 or pulp")
	ErrKeys     = errors.New("there is no key that signs")
	ErrHint     = errors.New("the registry does not find keys in this way")
	ErrRelay    = errors.New("only Pulp has a token server of its own")
	ErrText     = errors.New("it has characters that cannot stand in settings")

	// ErrIssuer says that Pulp has one setting for where the realm is and for the
	// iss of its tokens.
	ErrIssuer = errors.New("for Pulp the issuer must be the realm: leave registry.issuer away")

	// ErrAlgorithm says that the registry does not know the algorithm of the key
	// that signs.
	ErrAlgorithm = errors.New("the registry does not verify this algorithm")
)

// File is a file that the settings name, or the settings themselves.
type File struct {
	Name string
	Text string
}

// Output is what a registry needs. Nothing in it is secret.
type Output struct {
	Settings File
	Keys     File // no name: there is none

	// Rotation is what to do when the server's keys rotate, in full sentences.
	Rotation string
}

// Names of the files.
const (
	bundleName = "latchkey.pem"
	jwksName   = "latchkey-jwks.json"
	pulpName   = "latchkey-public-key.pem"
)

// New returns what a registry needs. What is wrong with the options is an
// error.
func New(o Options) (Output, error) {
	for _, text := range []string{o.Realm, o.Issuer, o.Service, o.Folder} {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("\"\\", r) }) {
			return Output{}, fmt.Errorf("%q: %w", text, ErrText)
		}
	}
	if !slices.Contains(Registries(), o.Registry) {
		return Output{}, ErrRegistry
	}
	if o.Relayed && o.Registry != Pulp {
		return Output{}, ErrRelay
	}
	if o.Relayed {
		return relayed(o), nil
	}
	signer := slices.IndexFunc(o.Keys, func(k Key) bool { return k.State == "active" })
	if signer < 0 {
		return Output{}, ErrKeys
	}
	switch o.Registry {
	case Pulp:
		if o.Issuer != o.Realm {
			return Output{}, ErrIssuer
		}
		return pulp(o, o.Keys[signer]), nil
	case Distribution2:
		return distribution2(o)
	}
	return distribution3(o)
}

// counting returns the keys by which tokens may be signed, the one that signs
// first.
func counting(keys []Key) []Key {
	var found []Key
	for _, state := range []string{"active", "published", "retired"} {
		for _, k := range keys {
			if k.State == state {
				found = append(found, k)
			}
		}
	}
	return found
}

func bundle(keys []Key) File {
	var b strings.Builder
	for _, k := range counting(keys) {
		b.WriteString(k.Certificate)
	}
	return File{bundleName, b.String()}
}

const bundleRotation = `The file has the key that signs next, too, so that one rotation of keys needs nothing. Write it anew before the
rotation after that, and when keys are revoked, and restart the registry, which reads it when it starts.`

// distribution2 is for the libtrust verifier (registry/auth/token/accesscontroller.go
// and vendored docker/libtrust at v2.8).
func distribution2(o Options) (Output, error) {
	for _, k := range counting(o.Keys) {
		if k.Algorithm != "ES256" && k.Algorithm != "RS256" {
			return Output{}, fmt.Errorf("%s: %w: it knows ES256 and RS256, see keys.algorithm", k.Algorithm, ErrAlgorithm)
		}
	}
	if o.Hint == "thumbprint" {
		return Output{}, fmt.Errorf("%w: registry.services[].key must be libtrust or certificate", ErrHint)
	}
	return Output{
		Settings: File{"latchkey-auth.yml", token(o) + fmt.Sprintf("    rootcertbundle: %q\n", path.Join(o.Folder, bundleName))},
		Keys:     bundle(o.Keys),
		Rotation: bundleRotation,
	}, nil
}

// distribution3 is for go-jose's verifier (registry/auth/token/accesscontroller.go
// at v3). It takes a certificate that comes with a token only against a bundle,
// and other keys by the ids that the set of keys has.
func distribution3(o Options) (Output, error) {
	algorithms := map[string]bool{}
	for _, k := range counting(o.Keys) {
		algorithms[k.Algorithm] = true
	}
	var b strings.Builder
	b.WriteString(token(o))
	out := Output{Rotation: bundleRotation}
	if o.Hint == "certificate" {
		out.Keys = bundle(o.Keys)
		fmt.Fprintf(&b, "    rootcertbundle: %q\n", path.Join(o.Folder, bundleName))
	} else {
		out.Keys = File{jwksName, string(o.JWKS) + "\n"}
		fmt.Fprintf(&b, "    jwks: %q\n", path.Join(o.Folder, jwksName))
	}
	b.WriteString("    signingalgorithms:\n")
	for _, a := range []string{"ES256", "EdDSA", "RS256", "PS256"} {
		if algorithms[a] {
			fmt.Fprintf(&b, "      - %s\n", a)
		}
	}
	out.Settings = File{"latchkey-auth.yml", b.String()}
	return out, nil
}

// token writes what both generations have in common.
func token(o Options) string {
	return fmt.Sprintf("auth:\n  token:\n    realm: %q\n    service: %q\n    issuer: %q\n", o.Realm, o.Service, o.Issuer)
}

const pulpRotation = `Pulp knows one key, and reads the file at each request. So let keys rotate only when you say so (keys.rotate_every: 0),
and write the file anew right after 'latchkey keys rotate', when keys list shows the next key as active: in between, Pulp
refuses the new key's tokens. Clients that ask again a moment later get through.`

// pulp is for Pulp with its tokens made here (pulp_container,
// app/token_verification.py).
func pulp(o Options, signer Key) Output {
	return Output{
		Settings: File{"latchkey-registry.py", fmt.Sprintf(`# Where clients of the container registry get tokens, and the iss of these: byte for byte.
TOKEN_SERVER = %q
TOKEN_AUTH_DISABLED = False
# The one algorithm and the one key that Pulp takes.
TOKEN_SIGNATURE_ALGORITHM = %q
PUBLIC_KEY_PATH = %q
# PRIVATE_KEY_PATH has to be set, too, and is not used: any other key of Pulp's own will do.
`, o.Issuer, signer.Algorithm, path.Join(o.Folder, pulpName))},
		Keys:     File{pulpName, signer.PublicKey},
		Rotation: pulpRotation,
	}
}

// relayed is for Pulp with its tokens made by itself, for those whom the realm
// names.
func relayed(o Options) Output {
	return Output{
		Settings: File{"latchkey-registry.py", fmt.Sprintf(`# Where clients of the container registry get tokens: here they are narrowed, and Pulp makes them.
TOKEN_SERVER = %q
TOKEN_AUTH_DISABLED = False
# PUBLIC_KEY_PATH, PRIVATE_KEY_PATH and TOKEN_SIGNATURE_ALGORITHM stay Pulp's own.
`, o.Realm)},
		Rotation: "Latchkey's keys do not matter to Pulp then.",
	}
}
