package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
)

// Forms of a robot's login besides those of every command.
const (
	formatDocker     format = "docker"
	formatKubernetes format = "kubernetes"
)

// robotFormat is how 'robot create' prints: format with two more.
type robotFormat struct{ *format }

// Set reads a format's name.
func (f robotFormat) Set(text string) error {
	switch format(text) {
	case formatTable, formatJSON, formatDocker, formatKubernetes:
		*f.format = format(text)
		return nil
	}
	return fmt.Errorf("it is %s, %s, %s or %s", formatTable, formatJSON, formatDocker, formatKubernetes)
}

// pullSecret is what a robot's login is printed for.
type pullSecret struct {
	registries []string
	namespace  string
	name       string // of the Secret; "": the robot's
}

func (p *pullSecret) addFlags(env *environment, cmd *cobra.Command) {
	f := cmd.Flags()
	f.VarP(robotFormat{&env.flags.output}, "output", "o", "table, json, docker or kubernetes")
	completeFlag(cmd, "output", cobra.FixedCompletions(
		[]string{string(formatTable), string(formatJSON), string(formatDocker), string(formatKubernetes)}, cobra.ShellCompDirectiveNoFileComp))
	f.StringArrayVar(&p.registries, "registry", nil, "the registry that -o docker and -o kubernetes are for: `host` or host:port; can be repeated")
	f.StringVar(&p.namespace, "namespace", "", "the namespace of the secret that -o kubernetes prints (default: that of kubectl)")
	f.StringVar(&p.name, "secret-name", "", "its `name` (default: the robot's)")
}

// wanted reports whether a login is to be printed in a form of its own.
func (p pullSecret) wanted(f format) bool { return f == formatDocker || f == formatKubernetes }

// registryHost is a host with a port or without, as registries are named by in
// references to images.
var registryHost = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// kubernetesName is a DNS subdomain, as RFC 1123 has it, which the names of
// objects in Kubernetes are.
var kubernetesName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// check finds what is wrong before anything is made.
func (p *pullSecret) check(f format, robot string) error {
	if !p.wanted(f) {
		if len(p.registries) > 0 || p.namespace != "" || p.name != "" {
			return &usageError{text: "--registry, --namespace and --secret-name are for -o docker and -o kubernetes"}
		}
		return nil
	}
	if len(p.registries) == 0 {
		return &usageError{text: "the registry is missing", hint: "name it with --registry, as the names of images begin: registry.example.org or registry.example.org:5000"}
	}
	for _, host := range p.registries {
		if !registryHost.MatchString(host) {
			return &usageError{text: fmt.Sprintf("%q is not a registry", host), hint: "want a host or host:port, without https:// and without a path"}
		}
	}
	if f == formatDocker {
		if p.namespace != "" || p.name != "" {
			return &usageError{text: "--namespace and --secret-name are for -o kubernetes"}
		}
		return nil
	}
	if p.name == "" {
		p.name = robot
	}
	switch {
	case !kubernetesName.MatchString(p.name) || len(p.name) > 253:
		return &usageError{text: fmt.Sprintf("%q cannot be the name of a secret in Kubernetes", p.name), hint: "give one with --secret-name: lower-case letters, digits, - and ."}
	case p.namespace != "" && (!kubernetesName.MatchString(p.namespace) || strings.Contains(p.namespace, ".") || len(p.namespace) > 63):
		return &usageError{text: fmt.Sprintf("%q cannot be a namespace", p.namespace)}
	}
	return nil
}

// print prints the login in the form that was asked for.
func (p pullSecret) print(env *environment, token api.NewToken) error {
	config := p.dockerConfig(token.Owner, token.Secret)
	text := config + "\n"
	if env.flags.output == formatKubernetes {
		text = p.manifest(config)
	}
	if _, err := fmt.Fprint(env.stdout, text); err != nil {
		return err
	}
	env.say("robot %s is made with the token %s, ends: %s; what is printed has its secret in it, which will not be shown again",
		token.Owner, token.ID, relativeOr(token.ExpiresAt, env.now(), "never"))
	return nil
}

// dockerConfig is a file of logins as docker and podman have it: base64 of user
// name, colon and secret, for each registry (docker/cli,
// cli/config/configfile/file.go; containers-auth.json(5)).
func (p pullSecret) dockerConfig(user, secret string) string {
	type auth struct {
		Auth string `json:"auth"`
	}
	file := struct {
		Auths map[string]auth `json:"auths"`
	}{map[string]auth{}}
	for _, host := range p.registries {
		file.Auths[host] = auth{base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))}
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic(err) // maps of strings can always be encoded
	}
	return string(text)
}

// manifest is a Secret of the type kubernetes.io/dockerconfigjson. All that is
// put in was checked to need no quoting, but the words that YAML takes for
// something else than text.
func (p pullSecret) manifest(config string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata:\n  name: %q\n", p.name)
	if p.namespace != "" {
		fmt.Fprintf(&b, "  namespace: %q\n", p.namespace)
	}
	fmt.Fprintf(&b, "data:\n  .dockerconfigjson: %s\n", base64.StdEncoding.EncodeToString([]byte(config)))
	return b.String()
}
