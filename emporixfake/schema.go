package emporixfake

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// schema is as much of JSON Schema as the API's request bodies use. check allows
// members that it does not name, as the API's schemas do; undeclared lists them.
type schema struct {
	kind     string // "string", "boolean", "integer", "object", "array", "any object"
	min, max int    // length of a string; 0 is none
	members  map[string]*schema
	required []string
	items    *schema
	keep     bool // null is refused in a merge patch too
	nullable bool // null is allowed in plain JSON too
}

func text() *schema               { return &schema{kind: "string"} }
func textOf(min, max int) *schema { return &schema{kind: "string", min: min, max: max} }
func flag() *schema               { return &schema{kind: "boolean"} }
func freeObject() *schema         { return &schema{kind: "any object"} }

func objectOf(members map[string]*schema, required ...string) *schema {
	return &schema{kind: "object", members: members, required: required}
}

func with(base map[string]*schema, more map[string]*schema) map[string]*schema {
	all := make(map[string]*schema, len(base)+len(more))
	for name, s := range base {
		all[name] = s
	}
	for name, s := range more {
		all[name] = s
	}
	return all
}

// minPassword is the length that the API asks of a password at login.
const minPassword = 6

var (
	metadataSchema = objectOf(map[string]*schema{"mixins": freeObject(), "version": {kind: "integer"}})
	linksSchema    = objectOf(map[string]*schema{"mixins": freeObject()})

	profileMembers = map[string]*schema{
		"title": text(), "firstName": text(), "middleName": text(), "lastName": text(),
		"contactPhone": text(), "company": text(), "preferredLanguage": text(),
		"preferredCurrency": textOf(3, 3), "preferredSite": text(),
		"b2b":          objectOf(map[string]*schema{"companyRegistrationId": text()}),
		"metadata":     metadataSchema,
		"mixins":       freeObject(),
		"contactEmail": {kind: "string", keep: true},
	}
	profileSchema = objectOf(profileMembers)

	// What the tenant may change besides; active and onHold are no part of the
	// merge patch's schema, and can't be removed.
	employeeSchema = objectOf(with(profileMembers, map[string]*schema{
		"type": text(), "photoUrl": text(),
		"restriction": {kind: "string", nullable: true},
		"active":      {kind: "boolean", keep: true},
		"onHold":      {kind: "boolean", keep: true},
	}))

	addressMembers = map[string]*schema{
		"contactName": text(), "companyName": text(), "street": text(), "streetNumber": text(),
		"streetAppendix": text(), "extraLine1": text(), "extraLine2": text(), "extraLine3": text(),
		"extraLine4": text(), "zipCode": text(), "city": text(), "country": text(), "state": text(),
		"contactPhone": text(), "tags": {kind: "array", items: text()}, "mixins": freeObject(),
		"metadata": linksSchema,
	}
	addressSchema      = objectOf(addressMembers)
	addressPatchSchema = objectOf(with(addressMembers, map[string]*schema{
		"metadata": metadataSchema, "isDefault": flag(),
	}))
	signupAddressSchema = objectOf(with(addressMembers, map[string]*schema{
		"metadata": metadataSchema, "isDefault": flag(), "country": textOf(2, 2), "id": text(),
	}), "contactName")

	legalEntitySchema = objectOf(map[string]*schema{"id": textOf(1, 0), "name": text(), "contactAssignmentId": text()}, "id")
	// The vendor's tutorial signs up with b2b.legalEntities; the API's schema does
	// not name them.
	signupDetailsSchema = objectOf(with(profileMembers, map[string]*schema{
		"b2b": objectOf(map[string]*schema{
			"companyRegistrationId": text(), "legalEntities": {kind: "array", items: legalEntitySchema},
		}),
	}))

	credentialsSchema = objectOf(map[string]*schema{"email": textOf(1, 0), "password": textOf(minPassword, 0)}, "email", "password")
	signupSchema      = objectOf(map[string]*schema{
		"email": textOf(1, 0), "password": textOf(1, 0),
		"customerDetails": signupDetailsSchema, "customerAddress": signupAddressSchema, "signup": credentialsSchema,
	}, "email", "password")
	resendSchema         = objectOf(map[string]*schema{"email": text()}, "email")
	resetSchema          = objectOf(map[string]*schema{"email": text(), "site": text()}, "email")
	resetUpdateSchema    = objectOf(map[string]*schema{"token": text(), "password": text()}, "token", "password")
	passwordChangeSchema = objectOf(map[string]*schema{"currentPassword": text(), "newPassword": text()}, "currentPassword", "newPassword")
	// The API's schema requires nothing of these two; without these members the
	// request can't mean anything.
	emailChangeSchema  = objectOf(map[string]*schema{"email": text(), "password": text(), "newEmail": text(), "syncContactEmail": flag()}, "password", "newEmail")
	emailConfirmSchema = objectOf(map[string]*schema{"token": text()}, "token")
)

// check lists what is wrong with a decoded JSON value.
func (s *schema) check(at string, value any, mergePatch bool) []errorDetail {
	wrong := func(kind, message string) []errorDetail { return []errorDetail{{at, kind, message}} }
	switch s.kind {
	case "string":
		v, isString := value.(string)
		n := utf8.RuneCountInString(v)
		switch {
		case !isString:
			return wrong("invalid_type", "must be a string")
		case n < s.min:
			return wrong("invalid_length", fmt.Sprintf("must have at least %d characters", s.min))
		case s.max > 0 && n > s.max:
			return wrong("invalid_length", fmt.Sprintf("must have at most %d characters", s.max))
		}
	case "boolean":
		if _, isBool := value.(bool); !isBool {
			return wrong("invalid_type", "must be true or false")
		}
	case "integer":
		number, _ := value.(json.Number) // empty for another type, which is no integer
		if _, isInt := integer(number); !isInt {
			return wrong("invalid_type", "must be an integer")
		}
	case "any object":
		if _, isObject := value.(object); !isObject {
			return wrong("invalid_type", "must be an object")
		}
	case "array":
		list, isList := value.([]any)
		if !isList {
			return wrong("invalid_type", "must be an array")
		}
		var all []errorDetail
		for i, item := range list {
			all = append(all, s.items.check(fmt.Sprintf("%s[%d]", at, i), item, mergePatch)...)
		}
		return all
	case "object":
		v, isObject := value.(object)
		if !isObject {
			return wrong("invalid_type", "must be an object")
		}
		return s.checkMembers(at, v, mergePatch)
	}
	return nil
}

func (s *schema) checkMembers(at string, value object, mergePatch bool) []errorDetail {
	var all []errorDetail
	prefix := at
	if prefix != "" {
		prefix += "."
	}
	for _, name := range s.required {
		if _, given := value[name]; !given {
			all = append(all, errorDetail{prefix + name, "missing_value", "is required"})
		}
	}
	names := make([]string, 0, len(s.members))
	for name := range s.members {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		member, given := value[name]
		if !given {
			continue
		}
		sub := s.members[name]
		if member == nil {
			if !sub.nullable && (sub.keep || !mergePatch) {
				all = append(all, errorDetail{prefix + name, "invalid_value", "must not be null"})
			}
			continue
		}
		all = append(all, sub.check(prefix+name, member, mergePatch)...)
	}
	return all
}

// undeclared lists the members that the schema does not name.
func (s *schema) undeclared(at string, value any) []errorDetail {
	var all []errorDetail
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			if s.items != nil {
				all = append(all, s.items.undeclared(fmt.Sprintf("%s[%d]", at, i), item)...)
			}
		}
	case object:
		if s.kind != "object" {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			way := strings.TrimPrefix(at+"."+name, ".")
			if sub := s.members[name]; sub == nil {
				all = append(all, errorDetail{cutTo(way, 200), "invalid_value", "is not a member of this request"})
			} else {
				all = append(all, sub.undeclared(way, value[name])...)
			}
		}
	}
	return all
}

// pick keeps the members that the schema names.
func (s *schema) pick(value object) object {
	kept := object{}
	for name, sub := range s.members {
		member, given := value[name]
		if !given {
			continue
		}
		if inner, isObject := member.(object); isObject && sub.kind == "object" {
			member = sub.pick(inner)
		}
		kept[name] = member
	}
	return kept
}

// merge applies an RFC 7396 patch to target, in place.
func merge(target, patch object) {
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case object:
			inner, isObject := target[name].(object)
			if !isObject {
				inner = object{}
			}
			merge(inner, value)
			target[name] = inner
		default:
			target[name] = value
		}
	}
}

func integer(number json.Number) (int64, bool) {
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return n, true
	}
	f, err := number.Float64()
	if err != nil || f != float64(int64(f)) || strings.ContainsAny(fmt.Sprint(f), "IN") {
		return 0, false
	}
	return int64(f), true
}
