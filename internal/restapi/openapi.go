package restapi

import (
	_ "embed"
	"encoding/json"
)

// description is the OpenAPI 3.1 document of the API. It is made from the table
// of routes and the types of package api by a test, run with -update; the same
// test holds the API to it.
//
//go:embed openapi.json
var description []byte

// describe answers with the description. It says nothing of this server, so
// everybody may read it.
func (c *call) describe() (answer, error) { return ok(json.RawMessage(description)) }
