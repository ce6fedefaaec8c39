package main

import (
	"net/mail"
	"strings"
	"unicode"
)

// invisible reports characters that nobody sees: an address or a name with one is
// another one that looks the same.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800' // a Braille cell without dots
}

// untyped reports invisible characters that no text needs. Others are part of
// names and addresses: spaces of other widths, and what joins letters or chooses
// between their forms.
func untyped(r rune) bool {
	switch {
	case unicode.Is(unicode.Zs, r), r == '\u200c', r == '\u200d', unicode.Is(unicode.Variation_Selector, r):
		return false
	}
	return invisible(r)
}

// blank reports a text in which nothing can be seen.
func blank(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !invisible(r) && r != ' ' })
}

const unseen = "This contains characters that can't be seen. Please type it by hand, without copying it."

// isEmail reports whether a new address can be one.
func isEmail(value string) bool {
	parsed, err := mail.ParseAddress(value)
	return err == nil && parsed.Address == value && !strings.ContainsFunc(value, invisible) && strings.Contains(value[strings.LastIndex(value, "@"):], ".")
}
