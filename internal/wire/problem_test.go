package wire_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/wire"
)

func TestDecodeProblem(t *testing.T) {
	tests := map[string]struct {
		contentType, body string
		want              wire.Problem
	}{
		"A, customer service": {
			"application/json", `{"status":409,"type":"conflict_resource","message":"Duplicate account","moreInfo":"https://x.example/y","details":[{"field":"email","type":"duplicate","message":"taken","moreInfo":"m"},{}]}`,
			wire.Problem{Code: "conflict_resource", Message: "Duplicate account", MoreInfo: "https://x.example/y",
				Details: []wire.Detail{{Field: "email", Type: "duplicate", Message: "taken", MoreInfo: "m"}}},
		},
		"A with a media type for a type": {
			"application/json", `{"status":404,"type":"application/json","message":"Customer not Found","details":[{"message":"none"}]}`,
			wire.Problem{Message: "Customer not Found", Details: []wire.Detail{{Message: "none"}}},
		},
		"B, gateway": {
			"application/json", `{"fault":{"faultstring":"Access Token expired","detail":{"errorcode":"keymanagement.service.access_token_expired"}}}`,
			wire.Problem{Fault: true, Code: "keymanagement.service.access_token_expired", Message: "Access Token expired"},
		},
		"B without detail":  {"", `{"fault":{"faultstring":"Invalid ApiKey"}}`, wire.Problem{Fault: true, Message: "Invalid ApiKey"}},
		"B as a string":     {"", `{"fault":"no"}`, wire.Problem{Fault: true, Message: "no"}},
		"B of another type": {"", `{"fault":[1],"message":"m"}`, wire.Problem{Fault: true}},
		"B with an odd detail": {
			"", `{"fault":{"faultstring":7,"detail":"x"}}`, wire.Problem{Fault: true, Message: "7"},
		},
		"B null is no fault":           {"", `{"fault":null,"message":"m"}`, wire.Problem{Message: "m"}},
		"B empty beside a message":     {"", `{"fault":{},"message":"m"}`, wire.Problem{Message: "m"}},
		"B an empty text beside one":   {"", `{"fault":"","message":"m"}`, wire.Problem{Message: "m"}},
		"B an empty list beside one":   {"", `{"fault":[],"message":"m"}`, wire.Problem{Message: "m"}},
		"B false beside one":           {"", `{"fault":false,"message":"m"}`, wire.Problem{Message: "m"}},
		"B empty, and nothing else":    {"", `{"fault":{}}`, wire.Problem{Fault: true}},
		"B with numbers":               {"", `{"fault":{"faultstring":"no","detail":{"errorcode":4711}}}`, wire.Problem{Fault: true, Code: "4711", Message: "no"}},
		"B with a status for a code":   {"", `{"fault":{"faultstring":"no","code":401}}`, wire.Problem{Fault: true, Message: "no"}},
		"C with a number for a code":   {"", `{"code":400,"message":"bad","errorCode":4711}`, wire.Problem{Code: "4711", Message: "bad"}},
		"C with its own code":          {"", `{"code":40013,"message":"bad"}`, wire.Problem{Code: "40013", Message: "bad"}},
		"C with the first status":      {"", `{"code":100,"message":"bad"}`, wire.Problem{Message: "bad"}},
		"C with the last status":       {"", `{"code":599,"message":"bad"}`, wire.Problem{Message: "bad", Down: true}},
		"C with less than a status":    {"", `{"code":99,"message":"bad"}`, wire.Problem{Code: "99", Message: "bad"}},
		"C with more than a status":    {"", `{"code":600,"message":"bad"}`, wire.Problem{Code: "600", Message: "bad"}},
		"C with a number for a text":   {"", `{"code":"E-7","message":17}`, wire.Problem{Code: "E-7", Message: "17"}},
		"C with a number for a detail": {"", `{"message":"bad","details":[{"field":"f","message":3}]}`, wire.Problem{Message: "bad", Details: []wire.Detail{{Field: "f", Message: "3"}}}},
		"C, other services": {
			"application/json", `{"code":400,"status":"Bad Request","message":"bad","errorCode":"E-7","details":["missing scope: x","",null]}`,
			wire.Problem{Code: "E-7", Message: "bad", Details: []wire.Detail{{Message: "missing scope: x"}}},
		},
		"C with details as a string": {"", `{"message":"bad","details":"why"}`, wire.Problem{Message: "bad", Details: []wire.Detail{{Message: "why"}}}},
		"C with details as an object": {
			"", `{"message":"bad","details":{"field":"f"}}`, wire.Problem{Message: "bad", Details: []wire.Detail{{Field: "f"}}},
		},
		"C with details null":            {"", `{"message":"bad","details":null}`, wire.Problem{Message: "bad"}},
		"D, OAuth":                       {"", `{"error":"invalid_client","error_description":"no such client"}`, wire.Problem{Code: "invalid_client", Message: "no such client"}},
		"D short":                        {"", `{"error":"invalid_client"}`, wire.Problem{Code: "invalid_client"}},
		"JSON called HTML":               {"text/html", `{"message":"m"}`, wire.Problem{Message: "m"}},
		"breaks off":                     {"", `{"status":400,"message":"bad","details":[{"fie`, wire.Problem{Message: "bad"}},
		"E, page":                        {"text/html; charset=utf-8", "<html>\n<p>token=abc</p>", wire.Problem{HTML: true}},
		"E, page unannounced":            {"application/json", "<!DOCTYPE html>", wire.Problem{HTML: true}},
		"E, page without tag":            {"Text/HTML", "oops", wire.Problem{HTML: true}},
		"E, text":                        {"text/plain", "upstream connect error", wire.Problem{Other: true}},
		"E, nothing":                     {"application/json", "", wire.Problem{Empty: true}},
		"E, space":                       {"text/html", " \r\n", wire.Problem{Empty: true}},
		"null":                           {"", "null", wire.Problem{Other: true}},
		"array":                          {"", "[]", wire.Problem{Other: true}},
		"empty object":                   {"", "{}", wire.Problem{Other: true}},
		"other object":                   {"", `{"Message":"case counts","x":1}`, wire.Problem{Other: true}},
		"nested, a code and a message":   {"", `{"error":{"code":"quota_exceeded","message":" Try  later "}}`, wire.Problem{Other: true, Code: "quota_exceeded", Message: "Try later"}},
		"nested, a status in two places": {"", `{"error":{"code":503,"status":"UNAVAILABLE","detail":"down"}}`, wire.Problem{Other: true, Code: "UNAVAILABLE", Message: "down"}},
		"nested, a type":                 {"", `{"error":{"type":"overloaded","description":"too much","x":1}}`, wire.Problem{Other: true, Code: "overloaded", Message: "too much"}},
		"nested, about a token":          {"", `{"error":{"message":"the refresh token has expired"}}`, wire.Problem{Other: true, Message: "the refresh token has expired"}},
		"RFC 9457":                       {"application/problem+json", `{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"no upstream"}`, wire.Problem{Other: true, Message: "no upstream"}},
		"RFC 9457, a title":              {"application/problem+json", `{"type":"about:blank","title":"refresh token expired","detail":" "}`, wire.Problem{Other: true, Message: "refresh token expired"}},
		"a framework, a sentence":        {"", `{"timestamp":1,"status":500,"error":"Internal Server Error","path":"/"}`, wire.Problem{Other: true, Message: "Internal Server Error"}},
		"description, reason":            {"", `{"reason":"r"}`, wire.Problem{Other: true, Message: "r"}},
		"members of odd type":            {"", `{"message":{"a":1},"type":7,"error":["x"]}`, wire.Problem{Other: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := wire.DecodeProblem([]byte(tt.body), tt.contentType)
			got.About = wire.SubjectUnknown // see TestWhatAnErrorIsAbout
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDecodeProblemCleansTexts(t *testing.T) {
	p := wire.DecodeProblem([]byte(`{"message":"a\r\nb\u0000\u001b[31mc\u202ed\u2028e \t f","type":"bad\nrequest"}`), "")
	assert.Equal(t, "a b [31mc d e f", p.Message)
	assert.Empty(t, p.Code)

	p = wire.DecodeProblem([]byte(`{"message":"`+strings.Repeat("é", 10_000)+`"}`), "")
	assert.Equal(t, strings.Repeat("é", 256), p.Message)

	p = wire.DecodeProblem([]byte(`{"message":"x`+strings.Repeat("é", 10_000)+`"}`), "")
	assert.Equal(t, "x"+strings.Repeat("é", 255), p.Message, "cut between runes")

	for text, kept := range map[string]string{
		strings.Repeat("e", 512):             strings.Repeat("e", 512),
		"a" + strings.Repeat(" ", 512) + "b": "a b",
	} {
		assert.Equal(t, kept, wire.DecodeProblem([]byte(`{"message":"`+text+`"}`), "").Message)
	}

	assert.Equal(t, "azAZ09._-", wire.DecodeProblem([]byte(`{"type":"azAZ09._-"}`), "").Code)
	code := strings.Repeat("a", 128)
	assert.Equal(t, code, wire.DecodeProblem([]byte(`{"type":"`+code+`"}`), "").Code)
	assert.Empty(t, wire.DecodeProblem([]byte(`{"type":"`+code+`a"}`), "").Code)

	p = wire.DecodeProblem([]byte("{\"message\":\"a\xff\xfeb\"}"), "")
	assert.True(t, utf8.ValidString(p.Message))
}

func TestDecodeProblemCapsDetails(t *testing.T) {
	p := wire.DecodeProblem([]byte(`{"message":"m","details":[`+strings.Repeat(`"d",`, 10_000)+`"d"]}`), "")
	assert.Len(t, p.Details, 20)
}

func FuzzDecodeProblem(f *testing.F) {
	for _, seed := range []string{
		`{"fault":{"faultstring":"x","detail":{"errorcode":"y"}}}`, `{"message":"m","details":["a",{"field":"b"}]}`,
		`{"error":"e"}`, `<html>`, `{`, ``, "\xff",
	} {
		f.Add([]byte(seed), "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		p := wire.DecodeProblem(body, contentType)
		assert.LessOrEqual(t, len(p.Details), 20)
		texts := []string{p.Code, p.Message, p.MoreInfo}
		for _, d := range p.Details {
			texts = append(texts, d.Field, d.Type, d.Message, d.MoreInfo)
		}
		for _, text := range texts {
			assert.LessOrEqual(t, len(text), 512)
			assert.True(t, utf8.ValidString(text))
			assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }))
		}
	})
}
