package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker, to what git describes. It is a variable of
// the package because the linker can set nothing else.
var version string

// build is what this program was made from.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the commit is not all that is in it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild reads what the Go tool noted in the program.
func thisBuild() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if v := version; v != "" {
		b.Version = v
	} else if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func newVersionCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Long:    "Show the version of this program, and what it was built from.",
		Example: "  latchkey version\n  latchkey version -q",
		Args:    arguments(),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if env.flags.quiet && env.flags.output != formatJSON {
				return env.printName(b.Version)
			}
			commit := b.Commit
			if b.Modified {
				commit += " (modified)"
			}
			return env.printOne(b, []detail{{"Version", b.Version}, {"Commit", commit}, {"Go", b.Go}, {"Platform", b.Platform}})
		},
	}
	addOutputFlags(env, cmd)
	return cmd
}
