// Package pulpsettings writes what Pulp's settings need so that Pulp believes
// the gateway in front of it. It is text alone: it reads no configuration and
// asks no Pulp.
package pulpsettings

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// Options say what stands where. The zero value fits a gateway with its
// defaults on the machine of its only user.
type Options struct {
	// Header is the request header in which the gateway names the user; default
	// Latchkeyuser.
	Header string

	// Origin is where clients reach Pulp, which is where the gateway is: scheme,
	// host and, if it is not the usual one, port. Default http://127.0.0.1:8080.
	Origin string

	// Plugins are those of Pulp's plugins that want to be told, too: container,
	// ansible and python.
	Plugins []string
}

// Errors about options, for the person who gave them.
var (
	ErrHeader = errors.New("want a header of letters and digits, such as Latchkeyuser: a hyphen or an underscore means different things to Pulp's two servers")
	ErrOrigin = errors.New("want where clients reach Pulp: https://host or https://host:port, without a path")
	ErrPlugin = errors.New("want container, ansible or python")
)

// Environ returns Pulp's name for a request header, which is the value of its
// setting REMOTE_USER_ENVIRON_NAME.
func Environ(header string) string { return "HTTP_" + strings.ToUpper(header) }

// Names of Pulp's settings that findings and texts speak of.
const (
	Classes = "REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES"
	Backend = "pulpcore.app.authentication.PulpNoCreateRemoteUserBackend"
)

// trust is the settings that do not depend on anything but the header's name.
const trust = `# Who is asking: a password if there is one, or else the user whom Latchkey names.
# Someone whom Pulp does not know stays a stranger; RemoteUserBackend in place of
# PulpNoCreateRemoteUserBackend would make a user for each new name.
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "pulpcore.app.authentication.PulpNoCreateRemoteUserBackend",
    "pulpcore.backends.ObjectRolePermissionBackend",
]
# The first one decides how a refusal looks: with BasicAuthentication, clients get the
# 401 that they wait for. Latchkey itself checks passwords by it.
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = (
    "pulpcore.app.authentication.BasicAuthentication",
    "pulpcore.app.authentication.PulpRemoteUserAuthentication",
    "rest_framework.authentication.SessionAuthentication",
)
# The request header %s. Whoever can send it to Pulp is any user, so nobody but
# Latchkey may reach Pulp's two servers: bind them to 127.0.0.1.
REMOTE_USER_ENVIRON_NAME = %s
`

// Write writes the settings, as lines to add to the end of Pulp's settings
// file. What is wrong with the options is an error, and nothing is written
// then.
func Write(w io.Writer, o Options) error {
	if o.Header == "" {
		o.Header = "Latchkeyuser"
	}
	if o.Origin == "" {
		o.Origin = "http://127.0.0.1:8080"
	}
	if !plainName(o.Header) {
		return ErrHeader
	}
	if !isOrigin(o.Origin) {
		return ErrOrigin
	}
	for _, p := range o.Plugins {
		if !slices.Contains([]string{"container", "ansible", "python"}, p) {
			return fmt.Errorf("there is nothing to set for the plugin %q: %w", p, ErrPlugin)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, trust, o.Header, python(Environ(o.Header)))
	b.WriteString("# Where clients find what Pulp serves. They send no credential to another host or port.\n")
	fmt.Fprintf(&b, "CONTENT_ORIGIN = %s\n", python(o.Origin))
	if slices.Contains(o.Plugins, "container") {
		b.WriteString("# Where clients of the container registry get its tokens; the slash at the end counts.\n")
		fmt.Fprintf(&b, "TOKEN_SERVER = %s\n", python(o.Origin+"/token/"))
	}
	if slices.Contains(o.Plugins, "ansible") {
		b.WriteString("# What the links of the Galaxy API begin with.\n")
		fmt.Fprintf(&b, "ANSIBLE_API_HOSTNAME = %s\n", python(o.Origin))
	}
	if slices.Contains(o.Plugins, "python") {
		b.WriteString("# What the links of the Python index begin with.\n")
		fmt.Fprintf(&b, "PYPI_API_HOSTNAME = %s\n", python(o.Origin))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// python writes a text that was checked already.
func python(text string) string { return `"` + text + `"` }

func plainName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// isOrigin accepts a scheme and a host, in characters that need no quoting.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		text == u.Scheme+"://"+u.Host && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\%#?`, r) })
}
