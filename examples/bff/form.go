package main

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	emporix "github.com/emporix-community/emporix-go"
)

// form is a form as a page shows it: what to ask for, what was typed, and what
// is wrong with it.
type form struct {
	Action, Submit string
	Error          string // about the form as a whole
	Changed        []difference
	Cancel         string // where "Cancel" leads
	Danger         bool   // the button destroys something
	Fields         []*field
}

// field is one input. Its name is the API's name for it, so that an answer of
// the API that complains about a field finds its place.
type field struct {
	Name, Label, Kind  string // Kind is the input's type, or "select"
	Value, Hint, Error string
	Autocomplete       string
	Required           bool
	Half               bool // half of the width, where there is room
	Known              bool // names an account that exists: its form is the API's business
	Min, Max           int  // characters
	Options            []option
	Stored             *string // what is stored now, if something is: it is accepted as it is
}

type option struct{ Value, Label string }

// difference is a value that somebody else changed meanwhile.
type difference struct{ Label, Theirs, Yours string }

func (f *form) field(name string) *field {
	for _, field := range f.Fields {
		if field.Name == name {
			return field
		}
	}
	return nil
}

// value is what was typed into the field of that name.
func (f *form) value(name string) string {
	if field := f.field(name); field != nil {
		return field.Value
	}
	return ""
}

// Wrong lists the fields that have an error, for the summary above the form.
func (f *form) Wrong() []*field {
	var wrong []*field
	for _, field := range f.Fields {
		if field.Error != "" {
			wrong = append(wrong, field)
		}
	}
	return wrong
}

// Failed reports whether there is anything to tell.
func (f *form) Failed() bool { return f.Error != "" || len(f.Wrong()) > 0 }

// organisation is what HTML calls a company in autocomplete.
const organisation = "organization" //nolint:misspell // as HTML spells it

const longest = 200 // characters of an input that names no other limit

// read takes what was typed and reports whether it can be sent as it is.
func (f *form) read(r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		f.Error = "We could not read what you sent. Please try again."
		return false
	}
	for _, in := range f.Fields {
		in.Value = r.PostForm.Get(in.Name)
		if in.untouched() {
			in.Value, in.Error = *in.Stored, ""
			continue
		}
		if in.Kind != "password" {
			in.Value = strings.TrimSpace(in.Value)
		}
		in.Error = in.complaint()
		if in.Kind == "hidden" && in.Error != "" { // nobody typed it
			in.Value, in.Error = "", ""
			if in.Required {
				f.Error = "Something is missing in what you sent. Please open the page again."
			}
		}
	}
	return !f.Failed()
}

// untouched reports that the field came back as it was shown. A browser shows one
// line: line breaks are left out.
func (in *field) untouched() bool {
	if in.Stored == nil || in.Kind == "hidden" {
		return false
	}
	line := strings.NewReplacer("\r", "", "\n", "").Replace
	return line(in.Value) == line(*in.Stored)
}

func (in *field) complaint() string {
	limit := in.Max
	if limit == 0 {
		limit = longest
	}
	length := utf8.RuneCountInString(in.Value)
	switch {
	case in.Kind != "password" && in.Kind != "hidden" && in.Required && blank(in.Value):
		return "Please fill in this field."
	case in.Value == "" && in.Required && in.Kind == "password":
		return "Please enter your " + strings.TrimPrefix(strings.ToLower(in.Label), "your ") + "."
	case in.Value == "" && in.Required:
		return "Please fill in this field."
	case in.Value == "":
		return ""
	case !utf8.ValidString(in.Value) || strings.ContainsFunc(in.Value, func(c rune) bool { return c < ' ' }):
		return "This contains characters that we can't use."
	case in.Kind == "email" && strings.ContainsFunc(in.Value, invisible), in.Kind != "password" && strings.ContainsFunc(in.Value, untyped):
		return unseen
	case length > limit:
		return "This is too long."
	case length < in.Min && in.Kind == "password":
		return "Please choose a longer password."
	case length < in.Min:
		return "This is too short."
	case in.Kind == "email" && !in.Known && !isEmail(in.Value):
		return "This does not look like an e-mail address. An example is name@example.com."
	case in.Kind == "select" && !in.offers(in.Value):
		return "Please choose one of the list."
	}
	return ""
}

func (in *field) offers(value string) bool {
	for _, o := range in.Options {
		if o.Value == value {
			return true
		}
	}
	return false
}

// fail takes the error of a call: into the field that it is about, or else into
// the form. It answers the status of the page.
func (f *form) fail(err error) int {
	var fields []emporix.ErrorDetail
	var apiErr *emporix.APIError
	if errors.As(err, &apiErr) {
		fields = apiErr.Details
	}
	var argument *emporix.ArgumentError
	if errors.As(err, &argument) {
		fields = append(fields, emporix.ErrorDetail{Field: argument.Field, Message: argument.Reason})
	}
	placed := false
	if errors.Is(err, emporix.ErrInvalidRequest) {
		for _, detail := range fields {
			name := detail.Field[strings.LastIndex(detail.Field, ".")+1:]
			if in := f.field(name); in != nil && in.Kind != "hidden" {
				in.Error = in.Label + " " + strings.TrimSuffix(detail.Message, ".") + "."
				placed = true
			}
		}
	}
	what := explain(err)
	if !placed {
		f.Error = what.Text
	}
	return what.Status
}
