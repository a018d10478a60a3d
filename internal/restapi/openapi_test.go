package restapi_test

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
)

const descriptionFile = "openapi.json"

// TestOpenAPIReference keeps the description in step with the table of routes and the
// types of package api.
func TestOpenAPIReference(t *testing.T) {
	want := describe(t)
	if *update {
		if err := os.WriteFile(descriptionFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(descriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the code says; run the test with -update and build again (-want +got):\n%s", descriptionFile, diff)
	}
}

// object is a JSON object; its members are written in the order of their names.
type object = map[string]any

// describer makes the description.
type describer struct {
	t       testing.TB
	schemas object
	texts   map[string]string // of types, and of fields as "Type.Field"
}

func describe(t testing.TB) []byte {
	t.Helper()
	d := &describer{t: t, schemas: object{}, texts: commentsOfAPI(t)}
	described := map[string]describedRoute{}
	for _, o := range describedRoutes {
		described[o.route] = o
	}
	paths := object{}
	for _, r := range restapi.Routes() {
		name := r.Method + " " + r.Path
		o, ok := described[name]
		if !ok {
			t.Fatalf("the route %s has no entry in describedRoutes", name)
		}
		delete(described, name)
		item, _ := paths[r.Path].(object)
		if item == nil {
			item = object{}
			paths[r.Path] = item
		}
		item[strings.ToLower(r.Method)] = d.operation(r, o)
	}
	for name := range described {
		t.Fatalf("the operation %s is no route", name)
	}
	d.schemas["Problem"] = d.object(reflect.TypeFor[api.Problem](), false)
	document := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Latchkey", "version": "1",
			"description": "The native API: tokens, accounts, groups, grants and the audit log. Times are RFC 3339 in UTC, durations whole seconds. " +
				"Fields and parameters that are not listed are refused. Errors are problems (RFC 9457).",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{object{"url": api.Prefix}},
		"security": []any{object{"token": []any{}}, object{"password": []any{}}},
		"paths":    paths,
		"components": object{
			"schemas":   d.schemas,
			"responses": d.problems(),
			"securitySchemes": object{
				"token":    object{"type": "http", "scheme": "bearer", "description": "A token; with the scheme Token too."},
				"password": object{"type": "http", "scheme": "basic", "description": "A user name and a password, or any user name and a token as the password."},
			},
		},
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// statusesOf lists what a route can answer with, what all answer with left out:
// 405, and 500 for what nobody foresaw.
func statusesOf(r restapi.Route, o describedRoute) []int {
	success := 204
	switch {
	case o.out != nil && strings.HasPrefix(o.id, "create"):
		success = 201
	case o.out != nil || o.media != "":
		success = 200
	}
	all := []int{success, 400}
	if !r.Needs.Public() {
		all = append(all, 401, 403, 429, 503)
	} else if o.in != nil {
		all = append(all, 403, 503)
	}
	if o.refuses {
		all = append(all, 401)
	}
	if o.missing || inBraces.MatchString(r.Path) {
		all = append(all, 404)
	}
	if o.conflicts {
		all = append(all, 409)
	}
	if o.in != nil {
		all = append(all, 413, 415)
	}
	slices.Sort(all)
	return all
}

func (d *describer) operation(r restapi.Route, o describedRoute) object {
	op := object{"operationId": o.id, "summary": o.summary}
	if r.Needs.Public() {
		op["security"] = []any{}
		op["description"] = "Needs no credential."
	} else {
		op["description"] = "Needs the scope " + strings.Join(r.Needs.Scopes(), " or ") + "."
	}
	var params []any
	for _, name := range inBraces.FindAllStringSubmatch(r.Path, -1) {
		params = append(params, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, name := range r.Query {
		p, ok := parameters[name]
		if !ok {
			d.t.Fatalf("the parameter %q of %s %s is not described", name, r.Method, r.Path)
		}
		params = append(params, object{"name": name, "in": "query", "description": p.about, "schema": schemaOfKind(p.kind)})
	}
	if params != nil {
		op["parameters"] = params
	}
	if o.in != nil {
		op["requestBody"] = object{"required": !o.optional, "content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.in), true)}}}
	}
	answers := object{"default": object{"$ref": "#/components/responses/Problem"}}
	for _, status := range statusesOf(r, o) {
		if status >= 300 {
			answers[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + strconv.Itoa(status)}
			continue
		}
		answers[strconv.Itoa(status)] = d.success(o)
	}
	op["responses"] = answers
	return op
}

func (d *describer) success(o describedRoute) object {
	answer := object{"description": "Done."}
	switch {
	case o.media != "":
		answer["content"] = object{o.media: object{}}
	case o.out != nil:
		answer["content"] = object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.out), false)}}
	}
	return answer
}

// problems are the answers of errors, which all routes share.
func (d *describer) problems() object {
	all := object{}
	for name, text := range map[string]string{
		"400": "A field, a parameter or the whole request is not as it has to be.",
		"401": "There is no credential, or not a good one.",
		"403": "The credential is good, but does not reach this.",
		"404": "There is no such thing, or none that the caller may know of.",
		"409": "It does not fit what is there, or a limit is reached.",
		"413": "The body is too long.",
		"415": "The body is not application/json.",
		"429": "Too many wrong passwords: Retry-After says how many seconds to wait.",
		"503": "The database does not answer.",
	} {
		all[name] = problem(text)
	}
	all["Problem"] = problem("Any other error.")
	return all
}

func problem(text string) object {
	return object{"description": text, "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
}

func schemaOfKind(kind string) object {
	switch kind {
	case "":
		return object{"type": "string"}
	case "date-time":
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": kind}
}

// schema returns what a type looks like in JSON; in a request nothing else may
// be there.
func (d *describer) schema(t reflect.Type, request bool) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return schemaOfKind("date-time")
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		inner := maps.Clone(d.schema(t.Elem(), request))
		if kind, ok := inner["type"].(string); ok {
			inner["type"] = []string{kind, "null"}
			return inner
		}
		return object{"anyOf": []any{inner, object{"type": "null"}}}
	case reflect.String:
		return schemaOfKind("")
	case reflect.Bool:
		return schemaOfKind("boolean")
	case reflect.Int, reflect.Int64:
		return schemaOfKind("integer")
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem(), request)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem(), request)}
	case reflect.Struct:
		name := nameOf(t)
		if _, known := d.schemas[name]; !known {
			d.schemas[name] = object{} // for types that contain themselves
			d.schemas[name] = d.object(t, request)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	d.t.Fatalf("no schema for %v", t)
	return nil
}

// nameOf names a type: Page[api.Token] is TokenPage.
func nameOf(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return outer
	}
	return inner[strings.LastIndexByte(inner, '.')+1:len(inner)-1] + outer
}

// object returns the schema of a struct. What a request may leave out and an
// answer can be without is not required.
func (d *describer) object(t reflect.Type, request bool) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" || name == "" {
			continue
		}
		schema := maps.Clone(d.schema(f.Type, request))
		owner := t
		if len(f.Index) > 1 {
			owner = t.FieldByIndex(f.Index[:len(f.Index)-1]).Type
		}
		base, _, _ := strings.Cut(owner.Name(), "[")
		if text := d.texts[base+"."+f.Name]; text != "" {
			schema["description"] = text
		}
		properties[name] = schema
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if base, _, _ := strings.Cut(t.Name(), "["); d.texts[base] != "" {
		schema["description"] = d.texts[base]
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	if request {
		schema["additionalProperties"] = false
	}
	return schema
}

// commentsOfAPI reads what package api says of its types and their fields.
func commentsOfAPI(t testing.TB) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	names, err := os.ReadDir("../../api")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".go") && !strings.HasSuffix(n.Name(), "_test.go") {
			f, err := parser.ParseFile(files, "../../api/"+n.Name(), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
	}
	p, err := doc.NewFromFiles(files, parsed, "api", doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, typ := range p.Types {
		texts[typ.Name] = oneLine(typ.Doc)
		for _, spec := range typ.Decl.Specs {
			s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range s.Fields.List {
				text := oneLine(f.Doc.Text() + " " + f.Comment.Text())
				for _, name := range f.Names {
					texts[typ.Name+"."+name.Name] = text
				}
			}
		}
	}
	if len(texts) < 50 {
		t.Fatalf("package api has %d comments, which cannot be all", len(texts))
	}
	return texts
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
