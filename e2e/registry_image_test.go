//go:build e2e && linux

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// image is a small container image in a folder of the OCI layout, version 1.
type image struct {
	folder string
	digest string // of the manifest
	layer  string // its digest
}

// newImage writes an image of one layer, which holds one file with the content.
// Images of the same content share the layer.
func newImage(t *testing.T, content, label string) image {
	t.Helper()
	im := image{folder: shortFolder(t)} // podman makes a name of the path
	var packed, plain bytes.Buffer
	files := tar.NewWriter(&plain)
	if err := files.WriteHeader(&tar.Header{Name: "content", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	_, _ = files.Write([]byte(content)) // into memory
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	gz := gzip.NewWriter(&packed)
	_, _ = gz.Write(plain.Bytes())
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	const prefix = "application/vnd.oci.image."
	layer := im.blob(t, prefix+"layer.v1.tar+gzip", packed.Bytes())
	config := im.blob(t, prefix+"config.v1+json", im.json(t, map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Labels": map[string]string{"label": label}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{sha256Of(plain.Bytes())}},
	}))
	manifest := im.blob(t, prefix+"manifest.v1+json", im.json(t, map[string]any{
		"schemaVersion": 2, "mediaType": prefix + "manifest.v1+json", "config": config, "layers": []any{layer},
	}))
	im.digest, im.layer = manifest["digest"].(string), layer["digest"].(string)
	manifest["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "latest"}
	im.file(t, "index.json", im.json(t, map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}))
	im.file(t, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return im
}

// blob writes content under its digest, and returns its descriptor.
func (im image) blob(t *testing.T, media string, content []byte) map[string]any {
	t.Helper()
	digest := sha256Of(content)
	im.file(t, filepath.Join("blobs", "sha256", digest[len("sha256:"):]), content)
	return map[string]any{"mediaType": media, "digest": digest, "size": len(content)}
}

func (im image) file(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(im.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (im image) json(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
