package extauthz

import (
	"encoding/binary"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// Method is the path of the one method of gRPC that is served.
const Method = "/envoy.service.auth.v3.Authorization/Check"

// maxMessage bounds a request's message, in bytes. Envoy sends no more headers
// than it takes itself, 60 KiB unless it is told otherwise, and no body unless
// it is told to.
const maxMessage = 256 << 10

// Status codes of gRPC (google/rpc/code.proto).
const (
	grpcOK                = 0
	grpcInvalidArgument   = 3
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
)

// failure is why a call has no answer. Envoy takes it for an error of this
// server, which lets nobody in unless failure_mode_allow says so.
type failure struct {
	code int
	text string
}

// Error implements error.
func (f *failure) Error() string { return f.text }

// GRPC answers Envoy's filter where it is set to grpc_service. It wants HTTP/2.
func GRPC(answers Answerer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/grpc" && media != "application/grpc+proto" || r.ProtoMajor != 2 || r.Method != http.MethodPost {
			http.Error(w, "this listener speaks gRPC, to Envoy", http.StatusUnsupportedMediaType)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		answer, err := call(answers, r)
		code, text := grpcOK, ""
		var failed *failure
		if errors.As(err, &failed) {
			code, text = failed.code, failed.text
		}
		if code == grpcOK {
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write(framed(answer)) //nolint:gosec // a message, not a page; Envoy may be gone
		}
		h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
		if text != "" {
			h.Set(http.TrailerPrefix+"Grpc-Message", text)
		}
	})
}

func call(answers Answerer, r *http.Request) ([]byte, error) {
	if r.URL.Path != Method {
		return nil, &failure{grpcUnimplemented, "the only method here is " + Method}
	}
	message, err := readFrame(r.Body)
	if err != nil {
		return nil, err
	}
	a, err := readCheck(message)
	if err != nil {
		return nil, &failure{grpcInvalidArgument, err.Error()}
	}
	q := gateway.Question{Peer: peerOf(r), Method: a.method, Target: a.path, Host: a.host, Header: a.header}
	if q.Target == "" {
		q.Target = notPath
	}
	from := audit.FromContext(r.Context())
	from.Addr, from.Agent = a.source, a.header.Get("User-Agent")
	ctx := audit.NewContext(r.Context(), from)
	audit.Ask(ctx, q.Method, pathOf(q.Target))
	h := http.Header{}
	status, text := answers.Answer(ctx, q, h)
	h.Del("Cache-Control") // of an answer over HTTP; it is no business of the service
	return writeAnswer(status, text, h, toRemove(a.header, h)), nil
}

// readFrame reads the one message of a call: a flag, a length and that many
// bytes.
func readFrame(body io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return nil, &failure{grpcInvalidArgument, "there is no message"}
	}
	if head[0] != 0 {
		return nil, &failure{grpcUnimplemented, "compressed messages are not read here"}
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxMessage {
		return nil, &failure{grpcResourceExhausted, "the message is longer than " + strconv.Itoa(maxMessage) + " bytes"}
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(body, message); err != nil {
		return nil, &failure{grpcInvalidArgument, "the message ends before its end"}
	}
	if n, _ := io.ReadFull(body, head[:1]); n != 0 {
		return nil, &failure{grpcInvalidArgument, "there is more than one message"}
	}
	return message, nil
}

func framed(message []byte) []byte {
	out := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(out[1:], uint32(len(message)))
	return append(out, message...)
}

// identityNames are the names by which a service learns who somebody is, or
// takes from a client that it is told, as [plainName] has them.
var identityNames = []string{"latchkeyuser", "latchkeytoken", "latchkeyscope", "latchkeystale", "authorization"}

// toRemove lists what of a client's headers must not reach the service: the
// credential, and every spelling of a header that names somebody, except those
// whose values the answer replaces (S86).
func toRemove(sent, set http.Header) []string {
	names := identityNames
	for name := range set {
		names = append(slices.Clip(names), plainName(name))
	}
	var remove []string
	for name := range sent {
		if _, replaced := set[name]; !replaced && slices.Contains(names, plainName(name)) {
			remove = append(remove, strings.ToLower(name))
		}
	}
	slices.Sort(remove)
	return remove
}

// plainName is a header's name as the servers see it that make no difference
// between - and _, or drop them.
func plainName(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}
