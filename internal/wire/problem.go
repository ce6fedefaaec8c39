package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is what an error answer says, whichever of the API's shapes it has:
//
//	the customer service  {"status":400,"type":"bad_request","message":"…","details":[{…}]}
//	the gateway           {"fault":{"faultstring":"…","detail":{"errorcode":"…"}}}
//	other services        {"code":400,"status":"Bad Request","message":"…","errorCode":"…","details":["…"]}
//	OAuth                 {"error":"invalid_client","error_description":"…"}
//	a proxy               HTML, plain text or nothing
//
// All texts are cleaned and cut. Nothing of a proxy's page is kept.
type Problem struct {
	// Code is the machine-readable kind, such as "conflict_resource" or
	// "oauth.v2.InvalidAccessToken".
	Code     string
	Message  string
	MoreInfo string
	Details  []Detail
	// About is what the response is about, as far as it says.
	About Subject
	// Down marks an error of the API's or of OAuth that speaks of trouble of the
	// server's own, or states a status of that.
	Down bool
	// Inactive marks an error of the API's that says that an account is not active, is
	// on hold or is blocked.
	Inactive bool
	// Fault marks the gateway's shape.
	Fault bool
	// Empty marks a body without content, HTML a page, and Other anything that
	// is none of the shapes; it may still have a code and a message to show.
	Empty bool
	HTML  bool
	Other bool
}

// Detail is one cause of a problem.
type Detail struct {
	Field    string
	Type     string
	Message  string
	MoreInfo string
}

// inactive is how an account is refused that exists and may not be used. The API
// documents no text for it.
var inactive = regexp.MustCompile(`(?i)\b(account|customer|user)\b.*\b(inactive|deactivated|disabled|blocked|suspended|on hold|not (yet )?(been )?(active|activated|enabled|confirmed|verified))\b|` +
	`\b(inactive|deactivated|disabled|blocked|suspended) (customer |user )?(account|customer|user)\b|` +
	`(account|customer|user)_(inactive|disabled|blocked|suspended|not_active|on_hold)`)

const (
	maxTextLen = 512
	maxCodeLen = 128
	maxDetails = 20
)

// DecodeProblem reads the body of an error answer. It never fails.
func DecodeProblem(body []byte, contentType string) Problem {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return Problem{Empty: true}
	case body[0] == '{':
		return decodeProblemObject(body)
	case body[0] == '<', strings.Contains(strings.ToLower(contentType), "html"):
		return Problem{HTML: true}
	default:
		return Problem{Other: true}
	}
}

func decodeProblemObject(body []byte) Problem {
	// A response that breaks off may still have said what is wrong.
	members, broken := readObject(body, "fault", "type", "errorCode", "code", "error", "status",
		"message", "error_description", "moreInfo", "details", "errors", "title", "detail", "description", "reason")
	if fault := members.get("fault"); fault != nil && says(fault) && (len(members) == 1 || !isEmptyObject(fault)) {
		p := decodeFault(fault)
		p.About = p.aboutFault()
		return p
	}
	p := Problem{
		Code: cmp.Or(cleanCode(members.text("type")), members.code("errorCode"), cleanCode(members.text("error")),
			members.code("code")),
		Message:  firstOf(cleanText, members, "message", "error_description"),
		MoreInfo: cleanText(members.text("moreInfo")),
		Details:  append(decodeDetails(members["details"]), decodeDetails(members["errors"])...),
	}
	if broken == nil { // what breaks off may have gone on about something else
		p.About = p.aboutError(members)
	}
	p.Down = p.isDown(members)
	p.Inactive = inactive.MatchString(strings.Join([]string{p.Code, p.Message}, " "))
	if p.Code == "" && p.Message == "" && len(p.Details) == 0 {
		p = Problem{Other: true}
		p.Code, p.Message = foreignWords(members)
	}
	return p
}

// foreignWords reads the code and the message of error shapes that are not the
// API's, for people only: {"error":{"code":…,"message":…}} and RFC 9457.
func foreignWords(members object) (code, message string) {
	nested, _ := readObject(members["error"], "code", "status", "type", "message", "detail", "description")
	code = cmp.Or(nested.code("code"), cleanCode(nested.text("status")), cleanCode(nested.text("type")))
	message = cmp.Or(firstOf(cleanText, nested, "message", "detail", "description"),
		firstOf(cleanText, members, "detail", "title", "description", "reason", "error"))
	return code, message
}

// code returns a member that is a code of the service's own. A number there may be
// the HTTP status, which is none.
func (o object) code(name string) string {
	if _, isStatus := o.statusIn(name); isStatus {
		return ""
	}
	return cleanCode(o.words(name))
}

// words returns a string or a number as text, else "".
func (o object) words(name string) string {
	if text, ok := stringOf(o[name]); ok {
		return text
	}
	digits, _ := numberOf(o[name])
	return digits
}

func decodeFault(raw json.RawMessage) Problem {
	p := Problem{Fault: true}
	fault, err := readObject(raw, "faultstring", "faultString", "message", "detail", "code")
	if err != nil {
		text, _ := stringOf(raw)
		p.Message = cleanText(text)
		return p
	}
	p.Message = firstOf(cleanText, fault, "faultstring", "faultString", "message")
	detail, _ := readObject(fault["detail"], "errorcode", "errorCode", "code")
	if p.Code = firstOf(cleanCode, detail, "errorcode", "errorCode", "code"); p.Code == "" {
		p.Code = fault.code("code")
	}
	return p
}

// decodeDetails takes a list of objects or strings, or a single one of them.
func decodeDetails(raw json.RawMessage) []Detail {
	if len(raw) == 0 {
		return nil
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		list = nil
		dec := json.NewDecoder(bytes.NewReader(raw))
		_, _ = dec.Token() // the opening bracket, seen above
		for len(list) < maxDetails && dec.More() {
			var item json.RawMessage
			_ = dec.Decode(&item) // it is valid
			list = append(list, item)
		}
	}
	var details []Detail
	for _, item := range list {
		d, ok := decodeDetail(item)
		if ok {
			details = append(details, d)
		}
	}
	return details
}

func decodeDetail(raw json.RawMessage) (Detail, bool) {
	if text, ok := stringOf(raw); ok {
		d := Detail{Message: cleanText(text)}
		return d, d.Message != ""
	}
	members, err := readObject(raw, "field", "type", "message", "moreInfo")
	if err != nil {
		return Detail{}, false
	}
	d := Detail{
		Field:    cleanText(members.text("field")),
		Type:     cleanCode(members.text("type")),
		Message:  cleanText(members.words("message")),
		MoreInfo: cleanText(members.text("moreInfo")),
	}
	return d, d != Detail{}
}

// firstOf returns the first member that still says something once it is clean.
func firstOf(clean func(string) string, members object, names ...string) string {
	for _, name := range names {
		if text := clean(members.words(name)); text != "" {
			return text
		}
	}
	return ""
}

// cleanCode lets only what looks like a code pass; some answers put a media
// type or a sentence there.
func cleanCode(s string) string {
	if len(s) > maxCodeLen {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return ""
		}
	}
	return s
}

// cleanText makes one printable line of at most 512 bytes, cut between runes.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return cut(strings.Join(strings.Fields(s), " "), maxTextLen)
}

// cut shortens s to at most n bytes, between runes.
func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(n, len(s))], "")
}

// IsFault reports whether a body is an error of the gateway. It need not be
// whole. A "fault" deeper inside is data.
func IsFault(body []byte) bool {
	return bytes.Contains(body, []byte(`"fault"`)) && anyMember(body, func(name string, value json.RawMessage) bool {
		return name == "fault" && says(value)
	})
}

// IsError reports whether a body in the place of none says that something
// failed: a fault, an OAuth error, or a status that is no success. It need not
// be whole.
func IsError(body []byte) bool {
	return anyMember(body, func(name string, value json.RawMessage) bool {
		switch name {
		case "fault", "error":
			return says(value)
		case "status", "code":
			digits, _ := numberOf(value)
			status, err := strconv.ParseFloat(digits, 64)
			return err == nil && status >= 400
		}
		return false
	})
}

// says reports whether the value of a member "fault" or "error" tells of one.
// Some servers send the member with a success too: as null, false, 0, or empty,
// however these are written. A value that breaks off is not absent.
func says(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || value[0] == '{' {
		return true
	}
	var elements []json.RawMessage
	if value[0] == '[' && json.Unmarshal(value, &elements) == nil {
		return slices.ContainsFunc(elements, says)
	}
	if string(value) == "null" {
		return false
	}
	if is, ok := boolOf(value); ok {
		return is
	}
	text, isText := stringOf(value)
	if !isText {
		text = string(value)
	}
	text = strings.TrimSpace(text)
	if number, err := strconv.ParseFloat(text, 64); err == nil && number == 0 {
		return false
	}
	return text != ""
}

// isEmptyObject reports {}, however it is written.
func isEmptyObject(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	return len(value) > 0 && value[0] == '{' && string(bytes.TrimSpace(value[1:])) == "}"
}

// anyMember looks at the members of an object until one satisfies; a member
// whose value breaks off comes without the value.
func anyMember(body []byte, satisfies func(name string, value json.RawMessage) bool) bool {
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, _ := dec.Token(); start != json.Delim('{') {
		return false
	}
	for {
		key, _ := dec.Token()
		name, ok := key.(string)
		if !ok {
			return false
		}
		var value json.RawMessage
		broken := dec.Decode(&value)
		if satisfies(name, value) {
			return true
		}
		if broken != nil {
			return false
		}
	}
}
