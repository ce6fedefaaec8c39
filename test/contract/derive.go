package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Request is a request of any client. Path is a template of the description;
// Vars are the values of its parameters.
type Request struct {
	Method, Path string
	Vars         map[string]string
	Query        url.Values
	Header       http.Header
	Body         any    // encoded as JSON; nil is no body
	RawBody      []byte // sent in place of Body, if not nil
}

// HTTP is the request as a server gets it.
func (r Request) HTTP() *http.Request {
	var pairs []string
	for name, value := range r.Vars {
		pairs = append(pairs, "{"+name+"}", url.PathEscape(value))
	}
	target := strings.NewReplacer(pairs...).Replace(r.Path)
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	var body io.Reader
	switch {
	case r.RawBody != nil:
		body = bytes.NewReader(r.RawBody)
	case r.Body != nil:
		raw, err := json.Marshal(r.Body)
		if err != nil {
			panic(err) // the values are of JSON
		}
		body = bytes.NewReader(raw)
	}
	request := httptest.NewRequestWithContext(context.Background(), r.Method, target, body)
	maps.Copy(request.Header, r.Header)
	return request
}

// clone shares nothing with r that a breach changes.
func (r Request) clone() Request {
	r.Vars = maps.Clone(r.Vars)
	r.Header = r.Header.Clone()
	query := url.Values{}
	for name, values := range r.Query {
		query[name] = slices.Clone(values)
	}
	r.Query = query
	r.Body = cloneJSON(r.Body)
	return r
}

func cloneJSON(value any) any {
	switch value := value.(type) {
	case map[string]any:
		members := make(map[string]any, len(value))
		for name, member := range value {
			members[name] = cloneJSON(member)
		}
		return members
	case []any:
		items := make([]any, 0, len(value))
		for _, item := range value {
			items = append(items, cloneJSON(item))
		}
		return items
	default:
		return value
	}
}

// Breach is a request that differs from a valid one in one thing, which the
// description does not have or forbids.
type Breach struct {
	Kind    string // as "missing member"
	At      string // as "customerDetails.firstName"
	Request Request
}

// Content lists the media types of an operation's request body.
func (d *Document) Content(method, path string) []string {
	op := d.Find(method, path)
	if op == nil || op.RequestBody == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(op.RequestBody.Value.Content))
}

// Example is a request body that has every described member: those of values,
// by their way as "signup.password", and made up ones.
func (d *Document) Example(method, path, mediaType string, values map[string]any) any {
	return example(d.bodySchemas(method, path, mediaType), "", values)
}

func (d *Document) bodySchemas(method, path, mediaType string) []*openapi3.SchemaRef {
	return []*openapi3.SchemaRef{d.Find(method, path).RequestBody.Value.Content[mediaType].Schema}
}

func example(refs []*openapi3.SchemaRef, at string, values map[string]any) any {
	if value, given := values[at]; given {
		return value
	}
	s := shapeOf(refs)
	switch s.kind {
	case openapi3.TypeObject:
		object := map[string]any{}
		for name, member := range s.members {
			object[name] = example(member, way(at, name), values)
		}
		return object
	case openapi3.TypeArray:
		return []any{example(s.items, at+"[0]", values)}
	case openapi3.TypeBoolean:
		return true
	case openapi3.TypeInteger, openapi3.TypeNumber:
		return 1
	default:
		if len(s.enum) > 0 {
			return s.enum[0]
		}
		if s.max > 0 {
			return strings.Repeat("a", s.max)
		}
		return strings.Repeat("a", max(s.min, 4))
	}
}

// shape is what several schemas say together.
type shape struct {
	kind     string
	min, max int // of a text's length; 0 is none
	pattern  string
	enum     []any
	required []string
	nullable bool
	free     bool // has any members
	members  map[string][]*openapi3.SchemaRef
	items    []*openapi3.SchemaRef
}

func shapeOf(refs []*openapi3.SchemaRef) shape {
	s := shape{nullable: true}
	for _, ref := range refs {
		s.nullable = s.nullable && ref.Value.Nullable
	}
	s.members, s.free = members(refs)
	for _, schema := range flatten(refs) {
		if types := schema.Type.Slice(); len(types) > 0 {
			s.kind = types[0]
		}
		s.min = max(s.min, int(schema.MinLength)) // #nosec G115 -- a length of the description
		if schema.MaxLength != nil {
			s.max = int(*schema.MaxLength) // #nosec G115 -- likewise
		}
		if schema.Pattern != "" {
			s.pattern = schema.Pattern
		}
		s.enum = append(s.enum, schema.Enum...)
		s.required = append(s.required, schema.Required...)
		if schema.Items != nil {
			s.items = append(s.items, schema.Items)
		}
	}
	if s.kind == "" && (len(s.members) > 0 || s.free) {
		s.kind = openapi3.TypeObject
	}
	return s
}

func way(at, name string) string { return strings.TrimPrefix(at+"."+name, ".") }

// text lists texts that break the rules of s.
func (s shape) texts() map[string]string {
	broken := map[string]string{}
	if s.min > 0 {
		broken["too short"] = strings.Repeat("a", s.min-1)
	}
	if s.max > 0 {
		broken["too long"] = strings.Repeat("a", s.max+1)
	}
	if s.pattern != "" {
		broken["against its pattern"] = strings.Repeat("A", max(s.min, 3))
	}
	if len(s.enum) > 0 {
		broken["none of its values"] = "undeclared"
	}
	return broken
}

// Answers says whether the description has a status of an operation.
func (d *Document) Answers(method, path string, status int) bool {
	op := d.Find(method, path)
	return op != nil && op.Responses.Status(status) != nil
}

// Breaches lists every request that breaks the description of the operation in
// one place. Bearers are not among them: which are wrong is a matter of state.
func (d *Document) Breaches(valid Request) []Breach {
	var all []Breach
	add := func(kind, at string, change func(*Request)) {
		broken := valid.clone()
		change(&broken)
		all = append(all, Breach{kind, at, broken})
	}
	addRoute := func(kind, at string, change func(*Request)) {
		broken := valid.clone()
		change(&broken)
		if _, _, _, err := d.route(broken.HTTP()); err != nil { // else it is another operation's
			all = append(all, Breach{kind, at, broken})
		}
	}
	breakRoute(addRoute)
	d.breakParameters(valid, add)
	op := d.Find(valid.Method, valid.Path)
	if op.RequestBody == nil {
		for kind, body := range map[string]string{"undeclared body": `{"undeclared":1}`, "undeclared empty body": `{}`} {
			add(kind, "", func(r *Request) {
				r.Header.Set("Content-Type", "application/json")
				r.RawBody = []byte(body)
			})
		}
		return all
	}
	for kind, body := range map[string]string{
		"no body": "", "a body that is no JSON": "{", "a body of two values": "{} {}", "a body that is an array": "[]",
		"a body that is a text": `"a"`, "a body that is null": "null", "a body that is a number": "1",
	} {
		add(kind, "", func(r *Request) { r.RawBody = []byte(body) })
	}
	add("another content type", "", func(r *Request) { r.Header.Set("Content-Type", "text/plain") })
	add("no content type", "", func(r *Request) { r.Header.Del("Content-Type") })
	schemas := d.bodySchemas(valid.Method, valid.Path, valid.Header.Get("Content-Type"))
	breakValue(schemas, valid.Body, "", func(kind, at string, change func(any) any) {
		add(kind, at, func(r *Request) { r.Body = change(r.Body) })
	})
	return all
}

func breakRoute(add func(kind, at string, change func(*Request))) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead} {
		add("undeclared method", method, func(r *Request) { r.Method = method })
	}
	for _, end := range []string{"/", "/undeclared"} {
		add("undeclared path", "…"+end, func(r *Request) { r.Path += end })
	}
	add("undeclared path", "in capitals", func(r *Request) {
		first, rest, _ := strings.Cut(r.Path[1:], "/")
		r.Path = "/" + strings.ToUpper(first) + "/" + rest
	})
}

func (d *Document) breakParameters(valid Request, add func(kind, at string, change func(*Request))) {
	op := d.Find(valid.Method, valid.Path)
	add("undeclared query parameter", "undeclared", func(r *Request) { r.Query.Set("undeclared", "1") })
	seen := map[string]bool{}
	for _, ref := range slices.Concat(op.Parameters, d.spec.Paths.Value(valid.Path).Parameters) {
		p := ref.Value
		texts := shapeOf([]*openapi3.SchemaRef{p.Schema}).texts()
		if seen[p.In+p.Name] {
			continue
		}
		seen[p.In+p.Name] = true
		switch p.In {
		case openapi3.ParameterInPath:
			for kind, text := range texts {
				add("path parameter "+kind, p.Name, func(r *Request) { r.Vars[p.Name] = text })
			}
		case openapi3.ParameterInQuery:
			for kind, text := range texts {
				add("query parameter "+kind, p.Name, func(r *Request) { r.Query.Set(p.Name, text) })
			}
			add("doubled query parameter", p.Name, func(r *Request) {
				if !r.Query.Has(p.Name) {
					r.Query.Set(p.Name, "a")
				}
				r.Query.Add(p.Name, r.Query.Get(p.Name))
			})
			if p.Required {
				add("missing query parameter", p.Name, func(r *Request) { r.Query.Del(p.Name) })
				add("empty query parameter", p.Name, func(r *Request) { r.Query.Set(p.Name, "") })
			}
		}
	}
}

// breakValue lists the breaches of a value and of what is in it. change makes the
// whole body from a valid one.
func breakValue(refs []*openapi3.SchemaRef, value any, at string, add func(kind, at string, change func(any) any)) {
	s := shapeOf(refs)
	replace := func(with any) func(any) any { return func(any) any { return with } }
	if at != "" {
		add("member of another type", at, replace(anotherType(s.kind)))
		if !s.nullable {
			add("member that is null", at, replace(nil))
		}
	}
	switch value := value.(type) {
	case string:
		for kind, text := range s.texts() {
			add("member "+kind, at, replace(text))
		}
	case []any:
		breakValue(s.items, value[0], at+"[0]", func(kind, at string, change func(any) any) {
			add(kind, at, func(whole any) any { return []any{change(whole.([]any)[0])} })
		})
	case map[string]any:
		breakMembers(s, value, at, add)
	}
}

func breakMembers(s shape, value map[string]any, at string, add func(kind, at string, change func(any) any)) {
	set := func(whole any, name string, member any) any {
		whole.(map[string]any)[name] = member
		return whole
	}
	if !s.free {
		add("undeclared member", way(at, "undeclared"), func(whole any) any { return set(whole, "undeclared", "a") })
	}
	for _, name := range s.required {
		add("missing member", way(at, name), func(whole any) any {
			delete(whole.(map[string]any), name)
			return whole
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		breakValue(s.members[name], value[name], way(at, name), func(kind, at string, change func(any) any) {
			add(kind, at, func(whole any) any { return set(whole, name, change(whole.(map[string]any)[name])) })
		})
	}
}

func anotherType(kind string) any {
	switch kind {
	case openapi3.TypeString:
		return 7
	case openapi3.TypeObject, openapi3.TypeArray:
		return "a text"
	default:
		return "true"
	}
}

// String names a breach.
func (b Breach) String() string { return strings.TrimSpace(fmt.Sprintf("%s %s", b.Kind, b.At)) }
