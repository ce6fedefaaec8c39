package emporixfake

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

type address struct {
	id        string
	isDefault bool
	members   object // of addressSchema but metadata
	links     object // metadata.mixins
	version   int64
}

// addAddress takes the members of a request. The first address is the default.
func (cu *customer) addAddress(given object) *address {
	id, _ := given["id"].(string)
	if id == "" {
		id = randomHex(5)
	}
	// The API requires no contactName here, and does in a profile's addresses.
	a := &address{id: id, members: object{"contactName": ""}, links: object{}, version: 1}
	merge(a.members, without(given, "metadata", "isDefault", "id"))
	if tags, isList := a.members["tags"].([]any); isList {
		a.members["tags"] = unique(tags)
	}
	mergeLinks(a.links, given)
	cu.addresses = append(cu.addresses, a)
	if wanted, _ := given["isDefault"].(bool); wanted || len(cu.addresses) == 1 {
		cu.makeDefault(a)
	}
	return a
}

func (cu *customer) makeDefault(chosen *address) {
	for _, a := range cu.addresses {
		a.isDefault = a == chosen
	}
}

func (a *address) object() object {
	o := without(a.members)
	o["id"] = a.id
	o["isDefault"] = a.isDefault
	o["metadata"] = object{"mixins": a.links, "version": a.version}
	return o
}

func (cu *customer) expandAddresses(profile object) {
	list := []any{}
	for _, a := range cu.addresses {
		o := a.object()
		// An added address may have any country, one in a profile has two letters.
		if len([]rune(textIn(o, "country"))) != 2 {
			delete(o, "country")
		}
		list = append(list, o)
		if a.isDefault {
			profile["defaultAddress"] = o
		}
	}
	profile["addresses"] = list
}

// addressOf finds the address that the path names, or the answer that there is
// none.
func addressOf(c *call) (*address, answer) {
	cu, id := c.token.customer, c.vars["addressId"]
	for _, a := range cu.addresses {
		if a.id == id {
			return a, answer{}
		}
	}
	return nil, notFound(fmt.Sprintf("Address %s of customer %s not found.", cutTo(id, 64), cu.number))
}

func (t *tenant) listAddresses(c *call) answer {
	list := []any{}
	for _, a := range c.token.customer.addresses {
		list = append(list, a.object())
	}
	return ok(list)
}

func (t *tenant) getAddress(c *call) answer {
	a, missing := addressOf(c)
	if a == nil {
		return missing
	}
	return ok(a.object())
}

func (t *tenant) addAddress(c *call) answer {
	cu := c.token.customer
	if len(cu.addresses) >= maxAddresses {
		return badRequest(fmt.Sprintf("The fake takes at most %d addresses of a customer.", maxAddresses))
	}
	return created(cu.addAddress(c.body).id)
}

func (t *tenant) updateAddress(c *call) answer {
	a, missing := addressOf(c)
	if a == nil {
		return missing
	}
	if refusal := t.staleVersion(c.body, a.version); refusal != nil {
		return *refusal
	}
	merge(a.members, without(c.body, "metadata", "isDefault"))
	if tags, isList := a.members["tags"].([]any); isList {
		a.members["tags"] = unique(tags)
	}
	mergeLinks(a.links, c.body)
	switch wanted, given := c.body["isDefault"].(bool); {
	case wanted:
		c.token.customer.makeDefault(a)
	case given:
		a.isDefault = false
	}
	a.version++
	return empty(http.StatusOK)
}

func (t *tenant) deleteAddress(c *call) answer {
	a, missing := addressOf(c)
	if a == nil {
		return missing
	}
	cu := c.token.customer
	cu.addresses = slices.DeleteFunc(cu.addresses, func(other *address) bool { return other == a })
	if a.isDefault && len(cu.addresses) > 0 && t.cfg.Assumptions.DeletedDefaultAddressIsReplaced {
		cu.makeDefault(cu.addresses[0])
	}
	return empty(http.StatusNoContent)
}

func (t *tenant) addTags(c *call) answer {
	return changeTags(c, func(old, given []any) []any { return unique(append(slices.Clone(old), given...)) })
}

func (t *tenant) removeTags(c *call) answer {
	return changeTags(c, func(old, given []any) []any {
		return slices.DeleteFunc(slices.Clone(old), func(tag any) bool { return slices.Contains(given, tag) })
	})
}

func changeTags(c *call, change func(old, given []any) []any) answer {
	a, missing := addressOf(c)
	if a == nil {
		return missing
	}
	var given []any
	for _, tag := range strings.Split(c.query.Get("tags"), ",") {
		if strings.TrimSpace(tag) == "" {
			return badField("tags", "invalid_value", "must be tags separated by commas, none of them empty")
		}
		given = append(given, tag)
	}
	old, _ := a.members["tags"].([]any)
	a.members["tags"] = change(old, given)
	a.version++
	return empty(http.StatusNoContent)
}

func unique(tags []any) []any {
	kept := make([]any, 0, len(tags))
	seen := make(map[any]bool, len(tags))
	for _, tag := range tags {
		if !seen[tag] {
			seen[tag] = true
			kept = append(kept, tag)
		}
	}
	return kept
}
