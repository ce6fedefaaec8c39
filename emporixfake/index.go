package emporixfake

import (
	"encoding/json"
	"strings"
)

// index is what GET /__fake/ answers to programs.
func (s *Server) index() any {
	return object{"tenant": s.cfg.Tenant, "now": s.Now(), "endpoints": indexed()}
}

// indexed returns the endpoints with their whole paths.
func indexed() []endpoint {
	all := make([]endpoint, len(endpoints))
	for i, e := range endpoints {
		e.Path = controlPrefix + "/" + e.Path
		all[i] = e
	}
	return all
}

// openAPI describes the control interface.
func openAPI() object {
	jsonBody := func(example string) object {
		content := object{"schema": object{}}
		if example != "" {
			content["example"] = json.RawMessage(example)
		}
		return object{"application/json": content}
	}
	refused := object{"description": "refused; error says why", "content": object{"application/json": object{"schema": object{
		"type": "object", "required": []string{"error"}, "properties": object{"error": object{"type": "string"}},
	}}}}
	paths := object{}
	for _, e := range indexed() {
		operation := object{
			"summary": e.Does, "operationId": strings.ToLower(e.Method) + "-" + strings.TrimPrefix(e.Path, controlPrefix+"/"),
			"responses": object{
				"200": object{"description": "done", "content": jsonBody("")},
				"400": refused, "403": refused, "404": refused,
			},
		}
		if e.Query != "" {
			var parameters []object
			for name := range strings.SplitSeq(e.Query, ", ") {
				parameters = append(parameters, object{"name": name, "in": "query", "schema": object{"type": "string"}})
			}
			operation["parameters"] = parameters
		}
		if e.Example != "" {
			operation["requestBody"] = object{"required": true, "content": jsonBody(e.Example)}
		}
		methods, known := paths[e.Path].(object)
		if !known {
			methods = object{}
			paths[e.Path] = methods
		}
		methods[strings.ToLower(e.Method)] = operation
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Control interface of emporix-fake", "version": "1"},
		"paths":   paths,
	}
}
