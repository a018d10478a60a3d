package pgtest

import "github.com/latchkey-auth/latchkey/internal/pgtest/proctest"

// Files returns the folder with all that the server keeps, and in it the file
// of its log; both are "" for a server that was not started here.
func (c *Cluster) Files() (folder, log string) {
	if c.folder == nil {
		return "", ""
	}
	return c.folder.Path, logPath(c.folder)
}

func logPath(folder *proctest.Folder) string { return folder.Join("postgres.log") }
