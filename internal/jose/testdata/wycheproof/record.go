// Command record makes signatures.json.gz out of the files of Wycheproof: of
// each, what a verifier of one of our algorithms has to know.
//
//	go run ./internal/jose/testdata/wycheproof/record.go FOLDER > signatures.json.gz
//
// FOLDER holds the files that README.md names.
package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

// files are the vectors that concern a verifier of each algorithm. Signatures
// with another hash or another length of salt are all wrong to it.
var files = []struct {
	name, algorithm string
	foreign         bool
}{
	{"ecdsa_secp256r1_sha256_p1363_test.json", "ES256", false},
	{"ecdsa_secp256r1_sha512_p1363_test.json", "ES256", true},
	{"ed25519_test.json", "EdDSA", false},
	{"rsa_signature_2048_sha256_test.json", "RS256", false},
	{"rsa_pss_2048_sha256_mgf1_32_test.json", "PS256", false},
	{"rsa_pss_2048_sha256_mgf1_0_test.json", "PS256", true},
}

type source struct {
	Groups []struct {
		Key   string `json:"publicKeyDer"`
		Tests []struct {
			ID      int    `json:"tcId"`
			Comment string `json:"comment"`
			Message string `json:"msg"`
			Sig     string `json:"sig"`
			Result  string `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: record FOLDER > signatures.json.gz")
	}
	zipped, err := gzip.NewWriterLevel(os.Stdout, gzip.BestCompression)
	if err != nil {
		log.Fatal(err)
	}
	out := json.NewEncoder(zipped)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(os.Args[1], f.name))
		if err != nil {
			log.Fatal(err)
		}
		var s source
		if err := json.Unmarshal(text, &s); err != nil {
			log.Fatal(fmt.Errorf("%s: %w", f.name, err))
		}
		for _, g := range s.Groups {
			for _, t := range g.Tests {
				if f.foreign && t.Result == "valid" {
					t.Result, t.Comment = "invalid", "another hash or salt: "+t.Comment
				}
				if err := out.Encode([]any{f.algorithm, f.name, t.ID, t.Comment, g.Key, t.Message, t.Sig, t.Result}); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	if err := zipped.Close(); err != nil {
		log.Fatal(err)
	}
}
