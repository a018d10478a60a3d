package metrics

import (
	"fmt"
	"io"
	"strings"
)

const referenceHead = `# Metrics

<!-- Made from internal/metrics: go test ./internal/metrics -run Reference -update -->

What [the metrics' listener](../operations.md#metrics) shows at ` + "`/metrics`" + `, for Prometheus or anything that reads its format. All counters begin at 0
when the server starts. Labels have no values but the ones listed, and the names of the gateway's routes: never those of users,
tokens or addresses. Beside these there are those of the Go runtime (` + "`go_…`" + `) and of the process (` + "`process_…`" + `).

`

// Reference prints the reference of all metrics, in Markdown.
func Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, t := range table() {
		heading(&b, t.title)
		for _, f := range t.families {
			row(&b, f.name, f.kind, f.help, f.labels)
		}
		b.WriteString("\n")
	}
	heading(&b, "The program")
	row(&b, buildInfo, gauge, buildInfoHelp, []label{{"version", []string{}}, {"commit", []string{}}, {"go", []string{}}})
	_, err := io.WriteString(w, b.String())
	return err
}

func heading(b *strings.Builder, title string) {
	fmt.Fprintf(b, "## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", title)
}

func row(b *strings.Builder, name string, k kind, help string, labels []label) {
	var texts []string
	for _, l := range labels {
		text := "`" + l.name + "`"
		switch {
		case l.values == nil:
			text += ": the route's name"
		case len(l.values) > 0:
			text += ": " + strings.Join(l.values, ", ")
		}
		texts = append(texts, text)
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, k, strings.Join(texts, "<br>"), help)
}

// Names lists the names of all metrics of our own, for tests of what leans on
// them.
func Names() []string {
	names := []string{buildInfo}
	for _, t := range table() {
		for _, f := range t.families {
			names = append(names, f.name)
		}
	}
	return names
}
