package webhook

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// forms returns what a sender may have signed in place of a JSON text: without
// space and with the keys of all objects sorted, as JavaScript and Java sort them,
// by their UTF-16 code units. Of a key that is there twice, the last one counts.
// Senders differ in two things, so there are up to three forms:
//
//   - numbers as they are, keys sorted;
//   - numbers as JSON.stringify writes them (1.0 as 1), keys sorted;
//   - the same, and keys that are array indexes first: an object of JavaScript
//     keeps them in front, however it was filled.
//
// There is none of what is no JSON or no UTF-8. repeated reports that a key is
// there twice.
func forms(data []byte) (all [][]byte, repeated bool) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return
	}
	p := parser{rest: data}
	v := p.value()
	for _, s := range []style{{}, {shortNumbers: true}, {shortNumbers: true, indexesFirst: true}} {
		form := s.write(nil, v)
		if !slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(other, form) }) {
			all = append(all, form)
		}
	}
	return all, p.repeated
}

// Values are object, array, text, and literal for numbers, true, false and null.
type (
	object  []member // sorted
	array   []any
	text    []uint16 // code units, so that a lone surrogate stays what it is
	literal string
)

type member struct {
	name  text
	value any
}

// parser reads what json.Valid has accepted; it also bounds the depth.
type parser struct {
	rest     []byte
	repeated bool
}

func (p *parser) space() { p.rest = bytes.TrimLeft(p.rest, " \t\r\n") }

// punctuation skips one byte, and the space after it.
func (p *parser) punctuation() {
	p.rest = p.rest[1:]
	p.space()
}

func (p *parser) value() any {
	p.space()
	defer p.space()
	switch p.rest[0] {
	case '{':
		return p.object()
	case '[':
		var elements array
		for p.punctuation(); p.rest[0] != ']'; {
			elements = append(elements, p.value())
			if p.rest[0] == ',' {
				p.punctuation()
			}
		}
		p.rest = p.rest[1:]
		return elements
	case '"':
		return p.text()
	}
	end := bytes.IndexAny(p.rest, " \t\r\n,]}")
	if end < 0 {
		end = len(p.rest)
	}
	word := literal(p.rest[:end])
	p.rest = p.rest[end:]
	return word
}

func (p *parser) object() object {
	var members object
	for p.punctuation(); p.rest[0] != '}'; {
		name := p.text()
		p.space()
		p.punctuation() // the colon
		members = append(members, member{name, p.value()})
		if p.rest[0] == ',' {
			p.punctuation()
		}
	}
	p.rest = p.rest[1:]
	slices.SortStableFunc(members, func(a, b member) int { return slices.Compare(a.name, b.name) })
	last := members[:0]
	for i, m := range members {
		if i+1 < len(members) && slices.Equal(m.name, members[i+1].name) {
			p.repeated = true
			continue
		}
		last = append(last, m)
	}
	return last
}

func (p *parser) text() text {
	var units text
	for p.rest = p.rest[1:]; p.rest[0] != '"'; {
		if p.rest[0] != '\\' {
			r, size := utf8.DecodeRune(p.rest)
			units = utf16.AppendRune(units, r)
			p.rest = p.rest[size:]
			continue
		}
		switch escape := p.rest[1]; escape {
		case 'u':
			unit, _ := strconv.ParseUint(string(p.rest[2:6]), 16, 16) // json.Valid has seen it
			units = append(units, uint16(unit))                       // #nosec G115 -- 16 bits
			p.rest = p.rest[6:]
			continue
		case '"', '\\', '/':
			units = append(units, uint16(escape))
		default:
			units = append(units, uint16("\b\f\n\r\t"[strings.IndexByte("bfnrt", escape)]))
		}
		p.rest = p.rest[2:]
	}
	p.rest = p.rest[1:]
	return units
}

type style struct{ shortNumbers, indexesFirst bool }

func (s style) write(out []byte, value any) []byte {
	switch v := value.(type) {
	case object:
		if s.indexesFirst {
			v = withIndexesFirst(v)
		}
		out = append(out, '{')
		for i, m := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(writeText(out, m.name), ':')
			out = s.write(out, m.value)
		}
		return append(out, '}')
	case array:
		out = append(out, '[')
		for i, element := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = s.write(out, element)
		}
		return append(out, ']')
	case text:
		return writeText(out, v)
	case literal:
		if s.shortNumbers && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') {
			return writeNumber(out, string(v))
		}
		return append(out, v...)
	}
	return out
}

// withIndexesFirst moves the keys that are array indexes to the front, by size.
func withIndexesFirst(members object) object {
	var indexes, others object
	for _, m := range members {
		if isIndex(m.name) {
			indexes = append(indexes, m)
		} else {
			others = append(others, m)
		}
	}
	// Without leading zeros, the longer number is the larger one.
	slices.SortStableFunc(indexes, func(a, b member) int { return len(a.name) - len(b.name) })
	return append(indexes, others...)
}

// isIndex reports an array index of JavaScript: 0 to 2^32-2, without leading zeros.
func isIndex(name text) bool {
	if len(name) == 0 || len(name) > 10 || name[0] == '0' && len(name) > 1 {
		return false
	}
	n := uint64(0)
	for _, unit := range name {
		if unit < '0' || unit > '9' {
			return false
		}
		n = 10*n + uint64(unit-'0')
	}
	return n <= 1<<32-2
}

// writeNumber writes a number as JavaScript does: as the double that it is read
// as, in the shortest form that is read as the same.
func writeNumber(out []byte, number string) []byte {
	double, err := strconv.ParseFloat(number, 64)
	if err != nil { // too large: infinite, for which JSON has no number
		return append(out, "null"...)
	}
	if double == 0 { // -0 too
		return append(out, '0')
	}
	encoded, err := json.Marshal(double) // encoding/json takes its forms from JavaScript
	if err != nil {
		return append(out, "null"...)
	}
	return append(out, encoded...)
}

// writeText escapes what JSON.stringify escapes, and nothing else.
func writeText(out []byte, units text) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(units); i++ {
		unit := units[i]
		short := strings.IndexRune("\"\\\b\f\n\r\t", rune(unit))
		switch {
		case short >= 0:
			out = append(out, '\\', `"\bfnrt`[short])
		case unit < 0x20 || utf16.IsSurrogate(rune(unit)):
			if i+1 < len(units) {
				if r := utf16.DecodeRune(rune(unit), rune(units[i+1])); r != utf8.RuneError {
					out = utf8.AppendRune(out, r)
					i++
					continue
				}
			}
			out = append(out, '\\', 'u', hex[unit>>12], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
		default:
			out = utf8.AppendRune(out, rune(unit))
		}
	}
	return append(out, '"')
}
