package config

import "github.com/spf13/pflag"

// keyFlag is a command line flag that sets a key.
type keyFlag struct{ name, key, usage string }

func keyFlags() []keyFlag {
	return []keyFlag{
		{"listen", "listen", "listen at this `address`: host:port or unix:/path (default 127.0.0.1:8080)"},
		{"data", "data", "keep the server's files in this `folder` (default ./latchkey-data)"},
		{"database", "database", "keep everything else in this `database`: sqlite:/path or postgres://… (default SQLite in the data folder)"},
		{"public-url", "public_url", "the `URL` at which clients reach the server"},
		{"pulp", "pulp.api", "stand in front of the Pulp whose API server is at this `URL`"},
		{"pulp-content", "pulp.content", "the `URL` of that Pulp's content server"},
		{"log-format", "log.format", "log in this `form`: text or json (default text)"},
		{"log-level", "log.level", "log from this `level`: debug, info, warn or error (default info)"},
	}
}

// Flags is the flags of the commands that need the server's configuration.
type Flags struct {
	set  *pflag.FlagSet
	file *string
}

// RegisterFlags adds the flags for the most common keys to a set, and --config
// for the file that can have all. Give what it returns to [Load] once the
// command line has been parsed.
func RegisterFlags(set *pflag.FlagSet) *Flags {
	return register(set, func(keyFlag) bool { return true })
}

// RegisterDataFlags is RegisterFlags for commands that work on the data of a
// server without running one: only --config and where the data is.
func RegisterDataFlags(set *pflag.FlagSet) *Flags {
	return register(set, func(k keyFlag) bool { return k.key == "data" || k.key == "database" })
}

func register(set *pflag.FlagSet, wanted func(keyFlag) bool) *Flags {
	f := &Flags{set: set, file: set.String("config", "", "read this configuration `file` (LATCHKEY_CONFIG)")}
	for _, k := range keyFlags() {
		if wanted(k) {
			set.String(k.name, "", k.usage)
		}
	}
	return f
}

// values returns the flags that were given, by key.
func (f *Flags) values() map[string]given {
	values := map[string]given{}
	if f == nil {
		return values
	}
	for _, k := range keyFlags() {
		if f.set.Changed(k.name) {
			values[k.key] = given{f.set.Lookup(k.name).Value.String(), Origin{Layer: FromFlag, Name: "--" + k.name}}
		}
	}
	return values
}

// configFile returns the value of --config, or "".
func (f *Flags) configFile() string {
	if f == nil {
		return ""
	}
	return *f.file
}
