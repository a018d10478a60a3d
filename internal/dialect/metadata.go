package dialect

import "net/http"

// metadata answers OPTIONS as the framework's SimpleMetadata does.
func (v *View) metadata(*Request) (Response, error) {
	renders := []string{JSON}
	if !v.JSONOnly {
		renders = append(renders, html)
	}
	body := object{
		{"name", v.Name},
		{"description", v.Description},
		{"renders", renders},
		{"parses", v.parses()},
	}
	if len(v.Fields) > 0 && v.Methods[http.MethodPost] != nil {
		var fields object
		for _, f := range v.Fields {
			fields = append(fields, member{f.Name, f.metadata()})
		}
		body = append(body, member{"actions", object{{http.MethodPost, fields}}})
	}
	return Response{Body: body}, nil
}

func (f Field) metadata() object {
	kind := f.Type
	if kind == "" {
		kind = "string"
	}
	o := object{
		{"type", kind},
		{"required", !f.Optional && !f.ReadOnly},
		{"read_only", f.ReadOnly},
		{"label", f.Label},
	}
	if f.Help != "" {
		o = append(o, member{"help_text", f.Help})
	}
	if f.MaxLength > 0 {
		o = append(o, member{"max_length", f.MaxLength})
	}
	return o
}
