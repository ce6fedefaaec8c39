// Package contract holds the SDK and the fake against the vendor's description
// of the API. It is a module of its own, so that the validating library stays
// out of everybody else's.
package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// Document is the description of the API, ready to judge by.
type Document struct {
	spec   *openapi3.T
	router routers.Router
	names  map[string]string // "GET /customer/{tenant}/me" to "Customers.Get"
}

// Load reads the description from a file.
func Load(path string) (*Document, error) {
	spec, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("load the API description: %w", err)
	}
	if err := spec.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("the API description is not valid: %w", err)
	}
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("route by the API description: %w", err)
	}
	d := &Document{spec: spec, router: router, names: map[string]string{}}
	for _, op := range operation.All() {
		d.names[op.Method+" "+op.Path] = op.Name
	}
	return d, nil
}

// Operations lists method and path of everything described, sorted.
func (d *Document) Operations() []string {
	var all []string
	for path, item := range d.spec.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Find returns what is described for a method and a path template, nil if
// nothing is.
func (d *Document) Find(method, path string) *openapi3.Operation {
	item := d.spec.Paths.Value(path)
	if item == nil {
		return nil
	}
	return item.GetOperation(method)
}

// Security lists the names of the schemes that an operation accepts.
func (d *Document) Security(op *openapi3.Operation) []string {
	requirements := d.spec.Security
	if op.Security != nil {
		requirements = *op.Security
	}
	var schemes []string
	for _, requirement := range requirements {
		for name := range requirement {
			schemes = append(schemes, name)
		}
	}
	slices.Sort(schemes)
	return schemes
}

// Inputs lists what a request can carry, as place and name: "query:code",
// "body:signup.password".
func (d *Document) Inputs(method, path string) []string {
	op := d.Find(method, path)
	if op == nil {
		return nil
	}
	var inputs []string
	for _, parameter := range slices.Concat(d.spec.Paths.Value(path).Parameters, op.Parameters) {
		inputs = append(inputs, parameter.Value.In+":"+parameter.Value.Name)
	}
	if op.RequestBody == nil {
		return inputs
	}
	for _, member := range paths("", contentSchemas(op.RequestBody.Value.Content)) {
		inputs = append(inputs, "body:"+member)
	}
	return inputs
}

// Members lists what the answer with a status can hold, as "b2b.legalEntities.id"; of
// a list, what its items can.
func (d *Document) Members(method, path string, status int) []string {
	op := d.Find(method, path)
	if op == nil || op.Responses.Status(status) == nil {
		return nil
	}
	return paths("", contentSchemas(op.Responses.Status(status).Value.Content))
}

// paths are the members of schemas and of what is in them.
func paths(prefix string, schemas []*openapi3.SchemaRef) []string {
	for _, schema := range flatten(schemas) {
		if schema.Items != nil {
			schemas = append(schemas, schema.Items)
		}
	}
	declared, _ := members(schemas)
	var all []string
	for name, within := range declared {
		all = append(all, prefix+name)
		all = append(all, paths(prefix+name+".", within)...)
	}
	slices.Sort(all)
	return all
}

// route finds the operation of a request and the SDK's name for it.
func (d *Document) route(r *http.Request) (route *routers.Route, vars map[string]string, name string, err error) {
	route, vars, err = d.router.FindRoute(r)
	if err != nil {
		return nil, nil, "", err
	}
	key := route.Method + " " + route.Path
	name = d.names[key]
	if name == "" {
		return nil, nil, "", fmt.Errorf("the SDK's table has no operation %s", key)
	}
	return route, vars, name, nil
}

// parameters are those of an operation and of its path together.
func parameters(route *routers.Route) openapi3.Parameters {
	return slices.Concat(route.PathItem.Parameters, route.Operation.Parameters)
}

// undeclared lists the members of a value that no schema declares. The library
// lets them pass, as the description does; but what the SDK and the fake write
// is spelt as described, or it is a mistake.
func undeclared(value any, at string, schemas ...*openapi3.SchemaRef) []string {
	switch value := value.(type) {
	case map[string]any:
		declared, free := members(schemas)
		if free {
			return nil
		}
		var found []string
		for name, member := range value {
			of, known := declared[name]
			if !known {
				found = append(found, fmt.Sprintf("%s/%s is not described", at, name))
				continue
			}
			found = append(found, undeclared(member, at+"/"+name, of...)...)
		}
		slices.Sort(found)
		return found
	case []any:
		var items []*openapi3.SchemaRef
		for _, schema := range flatten(schemas) {
			if schema.Items != nil {
				items = append(items, schema.Items)
			}
		}
		var found []string
		for i, item := range value {
			found = append(found, undeclared(item, fmt.Sprintf("%s/%d", at, i), items...)...)
		}
		return found
	default:
		return nil
	}
}

// members are the properties that schemas declare together; free is set where
// any other is welcome too.
func members(schemas []*openapi3.SchemaRef) (declared map[string][]*openapi3.SchemaRef, free bool) {
	declared = map[string][]*openapi3.SchemaRef{}
	for _, schema := range flatten(schemas) {
		for name, property := range schema.Properties {
			declared[name] = append(declared[name], property)
		}
		extra := schema.AdditionalProperties
		free = free || extra.Schema != nil || extra.Has != nil && *extra.Has
	}
	return declared, free
}

// flatten resolves allOf, oneOf and anyOf.
func flatten(refs []*openapi3.SchemaRef) []*openapi3.Schema {
	var schemas []*openapi3.Schema
	for _, ref := range refs {
		if ref == nil || ref.Value == nil {
			continue
		}
		schemas = append(schemas, ref.Value)
		for _, parts := range []openapi3.SchemaRefs{ref.Value.AllOf, ref.Value.OneOf, ref.Value.AnyOf} {
			schemas = append(schemas, flatten(parts)...)
		}
	}
	return schemas
}

func contentSchemas(content openapi3.Content) []*openapi3.SchemaRef {
	var schemas []*openapi3.SchemaRef
	for _, media := range content {
		schemas = append(schemas, media.Schema)
	}
	return schemas
}

func describe(err *openapi3.SchemaError) string {
	return fmt.Sprintf("at /%s: %s", strings.Join(err.JSONPointer(), "/"), err.Reason)
}
