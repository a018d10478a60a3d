package doctor

import (
	"os"
	"path/filepath"
	"testing"
)

// S76: a file with secrets is its owner's alone.
func TestFiles(t *testing.T) {
	tests := []struct {
		name string
		file string
		mode os.FileMode
		want []string
		fix  string
	}{
		{"private secret", "server.key", 0o600, nil, ""},
		{"open secret", "server.key", 0o644, []string{"problem: the server's secret"}, "chmod 600 "},
		{"secret for the group", "server.key", 0o640, []string{"problem: the server's secret"}, ""},
		{"private database", "latchkey.db", 0o600, nil, ""},
		{"open database", "latchkey.db", 0o604, []string{"problem: the database"}, "chmod 600 "},
		{"open log of the database", "latchkey.db-wal", 0o660, []string{"problem: the database"}, ""},
		{"open counts", "throttle.state", 0o644, []string{"problem: the counts"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := privateFolder(t)
			write(t, filepath.Join(folder, tt.file), tt.mode)
			found := files(t.Context(), examining(loadConfig(t, "data: "+folder), nil))
			want(t, found, tt.want...)
			if tt.fix != "" {
				wantFix(t, found, tt.fix+filepath.Join(folder, tt.file))
			}
		})
	}
}

// privateFolder is below a folder that others cannot enter.
func privateFolder(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFolders(t *testing.T) {
	folder := privateFolder(t)
	x := examining(loadConfig(t, "data: "+folder), nil)
	for _, tt := range []struct {
		mode os.FileMode
		want []string
	}{
		{0o700, nil},
		{0o755, []string{"warning: the data folder"}},
		{0o777, []string{"problem: the data folder"}},
	} {
		if err := os.Chmod(folder, tt.mode); err != nil {
			t.Fatal(err)
		}
		want(t, files(t.Context(), x), tt.want...)
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	// A folder above that everybody may write to.
	if err := os.Chmod(filepath.Dir(folder), 0o777); err != nil {
		t.Fatal(err)
	}
	want(t, files(t.Context(), x), "problem: everybody can rename")
}

func TestConfigurationFile(t *testing.T) {
	file := filepath.Join(privateFolder(t), "latchkey.yaml")
	write(t, file, 0o644)
	x := examining(loadConfig(t, "data: "+privateFolder(t)), func(o *Options) { o.ConfigFile = file })
	want(t, files(t.Context(), x))
	write(t, file, 0o664)
	want(t, files(t.Context(), x), "problem: the configuration "+file+" has mode 0664")
}

func TestRoom(t *testing.T) {
	d, known := diskOf(t.TempDir())
	if !known {
		t.Skip("on this system nothing is known about disks")
	}
	if d.total == 0 || d.free > d.total || d.readOnly {
		t.Errorf("diskOf() = %+v, want a disk with room", d)
	}
	want(t, []Finding{lowDisk(Problem, "/x", 3)}, "problem: 3 MiB are free")
}
