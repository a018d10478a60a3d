//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signedIn is a reader whose server runs, and who is its administrator. There
// is an account alice.
const signedIn = `latchkey serve
export LATCHKEY_SERVER="$ORIGIN"
echo '` + adminPassword + `' | latchkey login --user admin --password-stdin
echo '` + alicesPassword + `' | latchkey user create alice --password-stdin
`

// anotherOrigin is what pages have that do not take place on one machine.
var anotherOrigin = []string{"https://pulp.example.com", "$ORIGIN"}

// recipes are how the pages are followed.
var recipes = append([]recipe{
	{
		name: "tokens", page: "docs/tokens.md",
		places: with(anotherOrigin, " ID ", ` "$ID" `, `'{"token":"lkp_…"}'`, `"{\"token\":\"$FOUND\"}"`, "6f0c…", `"$REQUEST"`),
		first:  signedIn + "latchkey group create contractors",
		before: map[string]string{
			"latchkey token list":         `ID=$(latchkey token create laptop --scope 'path:/pulp/*:read' -o json | jq -r .id)`,
			"curl --json":                 `FOUND=$(latchkey token create found)`,
			"latchkey token revoke --all": `echo '` + adminPassword + `' | latchkey login --user admin --password-stdin`,
			"latchkey explain ID POST":    `ID=$(latchkey token create pull --owner ci --scope 'path:/pulp/content/prod/*:read' --expires 30d -o json | tee token.json | jq -r .id)`,
			"latchkey explain - GET": `jq -r .token token.json > token.txt
REQUEST=$(curl -s -D - -o /dev/null -H "Authorization: Bearer $(cat token.txt)" "$ORIGIN/latchkey/api/v1/tokens" | tr -d '\r' | sed -n 's/^Latchkey-Request-Id: //p')`,
		},
		keys: []typed{
			{"Enter host password for user 'alice':", alicesPassword},
			{"Password of alice:", alicesPassword},
			{"End all tokens of user alice?", "y"},
		},
	},
	{
		name: "keys", page: "docs/keys.md",
		places: []string{" ID ", ` "$ID" `, "--source django", "--source local"},
		first:  signedIn,
		before: map[string]string{
			"latchkey keys import": `head -c 48 /dev/urandom | base64 > secret_key`,
			"latchkey keys revoke": `ID=$(latchkey keys list -q | sed -n 1p)`,
		},
		keys: []typed{{"and all that is signed by it?", "y"}},
	},
	{
		name: "audit", page: "docs/audit.md",
		places: []string{"tok_…", `"$ID"`, "5f0c…", `"$REQUEST"`},
		first: signedIn + `ID=$(latchkey token create laptop --scope 'path:/x:read' -o json | tee token.json | jq -r .id)
REQUEST=$(curl -s -D - -o /dev/null -H "Authorization: Bearer $(jq -r .token token.json)" "$ORIGIN/latchkey/api/v1/tokens" | tr -d '\r' | sed -n 's/^Latchkey-Request-Id: //p')`,
	},
	{
		name: "api", page: "docs/api.md",
		places: []string{`{"token":"lkp_…"`, `{"token":"$TOKEN"`, "<<'END'", "<<END", "printf %s lkp_…", `printf %s "$TOKEN"`},
		first:  signedIn,
		before: map[string]string{
			"CHECKER=": `TOKEN=$(latchkey token create reports --user alice --scope 'path:/reports/*:read')`,
		},
		keys: []typed{{"Password of alice:", alicesPassword}},
	},
	{
		name: "registry", page: "docs/registry.md",
		places: []string{
			"'https://latchkey.example.com/token/", "\"$ORIGIN/token/", "service=registry.example.com", "service=${ORIGIN#http://}",
			"pull,push' | jq", `pull,push" | jq`,
		},
		first: "mkdir -p etc/docker/registry\n" + signedIn,
		keys:  []typed{{"Enter host password for user 'alice':", alicesPassword}},
		last: `curl -s "$ORIGIN/token/?service=${ORIGIN#http://}&scope=repository:public/app:pull" | jq -r .token | latchkey token inspect -o json | grep -q public/app
latchkey token inspect -o json < token.txt | grep -q prod/app`,
	},
	{name: "go", page: "docs/go.md", first: signedIn},
	registryToolsRecipe,
	{name: "django", page: "docs/django.md", places: anotherOrigin, first: signedIn},
	{
		name: "doors", page: "docs/doors.md",
		prepare: func(t *testing.T, f *follower) {
			text := f.here(blocks(t, "docs/doors.md", "yaml")[0].text)
			must(t, os.WriteFile(filepath.Join(f.home, "latchkey.yaml"), []byte(text), 0o600))
		},
		last: `test "$(curl -s -o /dev/null -w '%{http_code}' "$ORIGIN/files/x")" = 401`,
	},
	{
		name: "operations", page: "docs/operations.md",
		places: []string{" postgres://latchkey@db.example.org/latchkey ", ` "$DSN" `},
		first: `cat > etc/latchkey/latchkey.yaml <<END
log: {level: info}
END
latchkey serve --config etc/latchkey/latchkey.yaml
` + signedIn[len("latchkey serve\n"):] + `TOKEN=$(latchkey token create laptop)
echo 'log: {level: debug}' > etc/latchkey/latchkey.yaml`,
		before: map[string]string{
			"latchkey restore --end-tokens": "stop_server; rm latchkey-data/latchkey.db*",
			"latchkey doctor":               "chmod 0600 etc/latchkey/latchkey.yaml",
			"latchkey backup move.backup":   "latchkey serve; test $(curl -s -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer $TOKEN\" $ORIGIN/latchkey/api/v1/tokens) = 401; stop_server",
		},
		prepare: func(t *testing.T, f *follower) {
			for _, folder := range []string{"etc/latchkey", "var/backups"} {
				must(t, os.MkdirAll(filepath.Join(f.home, folder), 0o700))
			}
			f.add("DSN='" + newDatabase(t).dsn + "'\nssh() { shift; bash -c \"$1\"; }")
		},
		last: "grep -q 'the configuration was reloaded' server.log; LATCHKEY_DATABASE=$DSN latchkey serve",
	},
}, proxyRecipes...)

// proxyRecipes are one for each proxy.
var proxyRecipes = []recipe{
	behindProxy("nginx", "", `mkdir -p etc/nginx/conf.d; cat > etc/nginx/nginx.conf <<END
$([ $(id -u) = 0 ] && echo 'user root;')
pid $HOME/nginx.pid;
error_log $HOME/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path $HOME/b; proxy_temp_path $HOME/p; fastcgi_temp_path $HOME/f; uwsgi_temp_path $HOME/u; scgi_temp_path $HOME/s;
  include $HOME/etc/nginx/conf.d/*.conf;
}
END
nginx() { command nginx -c "$HOME/etc/nginx/nginx.conf" -e "$HOME/nginx.log" "$@"; }
nginx`, "nginx -s stop"),
	behindProxy("Caddy", "", `mkdir -p etc/caddy; ADMIN="127.0.0.1:$((RANDOM % 10000 + 20000))"
printf '{\n\tadmin %s\n}\n' "$ADMIN" > etc/caddy/Caddyfile
caddy run --config etc/caddy/Caddyfile >caddy.log 2>&1 & PROXY=$!
until curl -fs "http://$ADMIN/config/" >/dev/null; do sleep 0.1; done
with_admin() { sed "s/^\tauto_https off/&\n\tadmin $ADMIN/"; }`, "kill $PROXY; wait $PROXY || true"),
	behindProxy("HAProxy", " --file $HOME/etc/haproxy/latchkey.lua", `mkdir -p etc/haproxy
systemctl() { haproxy -db -f etc/haproxy/haproxy.cfg >haproxy.log 2>&1 & PROXY=$!; }`, "kill $PROXY; wait $PROXY || true"),
	behindProxy("Traefik", " --file $HOME/etc/traefik/latchkey.yaml", `mkdir -p etc/traefik
traefik() { command traefik "$@" >traefik.log 2>&1 & PROXY=$!; }`, "kill $PROXY; wait $PROXY || true"),
	behindProxy("Envoy", " --grpc 127.0.0.1:$GRPC", `mkdir -p etc/envoy; GRPC=$((RANDOM % 10000 + 20000))
envoy() { command envoy "$@" --use-dynamic-base-id --concurrency 2 >envoy.log 2>&1 & PROXY=$!; }`, "kill $PROXY; wait $PROXY || true"),
}

// behindProxy follows what the page says for one proxy; flags say of its
// configuration what a test on a shared machine needs besides.
func behindProxy(section, flags, first, last string) recipe {
	const page = "docs/proxies.md"
	kind := strings.ToLower(section)
	var behind *service
	return recipe{
		name: page + " " + kind, page: page, sections: []string{"Latchkey", section, "Try it"},
		first: first, last: last,
		prepare: func(t *testing.T, f *follower) {
			path := frontProgram(t, kind)
			f.install(kind, path)
			behind = newService(t)
			listen := reserve(t)
			listen.release()
			f.means(
				"latchkey proxy "+kind, "latchkey proxy "+kind+" --latchkey http://"+f.on.address+" --listen "+listen.address+flags,
				"http://127.0.0.1:9000", behind.URL, "http://127.0.0.1:8081", "http://"+listen.address,
				" > /etc/caddy/Caddyfile", " | with_admin > $HOME/etc/caddy/Caddyfile", "listen: 127.0.0.1:9191", "listen: 127.0.0.1:$GRPC", "<<'END'", "<<END",
			)
		},
		before: map[string]string{"curl -i http": `tries=0
until [ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8081/)" = 401 ]; do
  sleep 0.1; tries=$((tries + 1)); test $tries -lt 200
done`},
		keys: []typed{{"Password of admin:", adminPassword}},
		look: func(t *testing.T, _ *follower) {
			got := behind.take()
			if len(got) != 2 || got[0].header.Get("Latchkeyuser") != "admin" || got[1].header.Get("Latchkeyuser") != "admin" {
				t.Errorf("the service got %+v, want two requests of admin", got)
			}
		},
	}
}
