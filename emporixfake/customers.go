package emporixfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func (t *tenant) duplicate(email string) answer {
	return problem(http.StatusConflict, fmt.Sprintf("Duplicate account '%s' for tenant '%s'.", email, t.cfg.Tenant))
}

func (t *tenant) signUp(c *call) answer {
	email, login, password := c.text("email"), c.text("email"), c.text("password")
	if credentials, given := c.body["signup"].(object); given {
		login, password = textIn(credentials, "email"), textIn(credentials, "password")
	}
	details, _ := c.body["customerDetails"].(object)
	if contact, given := details["contactEmail"]; given && contact != email {
		return badField("customerDetails.contactEmail", "invalid_value", "must be the same as email")
	}
	if missing := missingForCompany(details, "customerDetails."); missing != nil {
		return badRequest("The request is not valid.", missing...)
	}
	if t.byLogin(login) != nil {
		return t.duplicate(login)
	}
	if len(t.customers) >= maxCustomers {
		return problem(http.StatusInsufficientStorage, "The fake takes no more customers; reset it.")
	}
	entities := takeLegalEntities(details)
	if len(entities) > maxEntities {
		return badField("customerDetails.b2b.legalEntities", "invalid_length", fmt.Sprintf("must have at most %d items", maxEntities))
	}
	if t.cfg.Assumptions.SignUpAssignsLegalEntities && len(t.companies)+len(entities) > maxCompanies {
		return problem(http.StatusInsufficientStorage, "The fake takes no more companies; reset it.")
	}
	cu := t.newCustomer("", login)
	cu.password = password
	cu.active = !t.cfg.Assumptions.ActivationNeeded && !t.cfg.Assumptions.DoubleOptIn
	cu.profile["contactEmail"] = email
	cu.change(details)
	cu.version = 1
	if t.cfg.Assumptions.SignUpAssignsLegalEntities {
		t.assign(cu, entities)
	}
	if given, isObject := c.body["customerAddress"].(object); isObject {
		delete(given, "id")
		cu.addAddress(given)
	}
	if t.cfg.Assumptions.DoubleOptIn {
		t.send(c, &mail{Mail: Mail{Kind: MailOptIn, Email: login}, customer: cu})
	}
	return created(cu.number)
}

// takeLegalEntities removes the companies from the details of a sign-up.
func takeLegalEntities(details object) []any {
	b2b, _ := details["b2b"].(object)
	entities, _ := b2b["legalEntities"].([]any)
	delete(b2b, "legalEntities")
	return entities
}

// assign makes a new customer a contact of companies. An unknown company is made,
// and a known one keeps its name.
func (t *tenant) assign(cu *customer, entities []any) {
	for _, entity := range entities {
		given, _ := entity.(object)
		id, contactID := textIn(given, "id"), textIn(given, "contactAssignmentId")
		if cu.assigned(id) {
			continue
		}
		if t.companies[id] == nil {
			t.companies[id] = &company{id: id, name: textIn(given, "name")}
		}
		setDefault(&contactID, randomHex(6))
		cu.entities = append(cu.entities, assignment{t.companies[id], contactID})
	}
}

// missingForCompany lists what a profile with a registration number lacks.
func missingForCompany(profile object, prefix string) []errorDetail {
	b2b, _ := profile["b2b"].(object)
	if textIn(b2b, "companyRegistrationId") == "" {
		return nil
	}
	var missing []errorDetail
	for _, name := range []string{"firstName", "lastName", "company"} {
		if textIn(profile, name) == "" {
			missing = append(missing, errorDetail{prefix + name, "missing_value", "is required with b2b.companyRegistrationId"})
		}
	}
	return missing
}

// change merges a patch of the profile and raises the version.
func (cu *customer) change(patch object) {
	patch = without(patch, "metadata", "active", "onHold")
	merge(cu.profile, patch)
	cu.version++
}

func without(o object, names ...string) object {
	rest := make(object, len(o))
	for name, value := range o {
		rest[name] = value
	}
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

// staleVersion refuses a metadata.version that is not the current one.
func (t *tenant) staleVersion(patch object, current int64) *answer {
	metadata, _ := patch["metadata"].(object)
	if number, given := metadata["version"].(json.Number); given {
		if version, _ := integer(number); version != current {
			refusal := problem(t.cfg.Assumptions.StaleVersionStatus,
				fmt.Sprintf("The version %d is not the current one.", version),
				errorDetail{"metadata.version", "optimistic_locking", fmt.Sprintf("is %d", current)})
			return &refusal
		}
	}
	return nil
}

// mergeLinks merges metadata.mixins of a patch.
func mergeLinks(links, patch object) {
	metadata, _ := patch["metadata"].(object)
	switch given := metadata["mixins"].(type) {
	case object:
		merge(links, given)
	case nil:
		if _, removed := metadata["mixins"]; removed {
			clear(links)
		}
	}
	if removed, given := patch["metadata"]; given && removed == nil {
		clear(links)
	}
}

func (t *tenant) confirmSignUp(c *call) answer {
	m := t.redeemMail(c, MailOptIn, c.vars["token"])
	if m == nil {
		return badField("token", "invalid_value", "is not valid or was used")
	}
	m.customer.active = true
	m.customer.version++
	if !t.cfg.Assumptions.OptInLogsIn || m.customer.onHold {
		return empty(http.StatusOK)
	}
	body, _ := t.startSession(c, m.customer, "")
	return ok(body)
}

// resendActivation answers the same whether the account exists or not, as the
// password reset does.
func (t *tenant) resendActivation(c *call) answer {
	if cu := t.byLogin(c.text("email")); cu != nil && !cu.active {
		t.send(c, &mail{Mail: Mail{Kind: MailOptIn, Email: cu.login}, customer: cu})
	}
	return empty(http.StatusAccepted)
}

func (t *tenant) getProfile(c *call) answer {
	if c.token.customer == nil {
		return ok(object{
			"firstName": "Anonymous", "lastName": "Anonymous", "preferredSite": "default",
			"customerNumber": "00000000", "id": "00000000", "accounts": []any{},
		})
	}
	return ok(t.profileOf(c.token.customer, strings.Split(c.query.Get("expand"), ",")))
}

func (t *tenant) profileOf(cu *customer, expand []string) object {
	profile := without(cu.profile, "mixins", "b2b", "type", "photoUrl", "restriction")
	account := object{"id": cu.login}
	if cu.providerID != "" {
		account["providerId"] = cu.providerID
	}
	profile["id"] = cu.number
	profile["customerNumber"] = cu.number
	profile["accounts"] = []any{account}
	profile["metadata"] = object{"mixins": cu.links, "version": cu.version}
	profile["lastLogin"] = nil
	if !cu.lastLogin.IsZero() {
		profile["lastLogin"] = cu.lastLogin.UTC().Format(time.RFC3339)
	}
	profile["businessModel"] = "B2C"
	b2b := object{}
	if given, isObject := cu.profile["b2b"].(object); isObject {
		merge(b2b, given)
	}
	if len(cu.entities) > 0 {
		profile["businessModel"] = "B2B"
		var entities []any
		for _, a := range cu.entities {
			entities = append(entities, object{"id": a.company.id, "name": a.company.name, "contactAssignmentId": a.contactID})
		}
		b2b["legalEntities"] = entities
	}
	if len(b2b) > 0 {
		profile["b2b"] = b2b
	}
	if mixins, wanted := cu.mixins(expand, !t.cfg.Assumptions.MixinsOnlyWhenExpanded); wanted {
		profile["mixins"] = mixins
	}
	for _, what := range expand {
		if what == "addresses" {
			cu.expandAddresses(profile)
		}
	}
	return profile
}

// mixins are those that expand names, "mixin:*" or "mixin:name".
func (cu *customer) mixins(expand []string, always bool) (object, bool) {
	all, _ := cu.profile["mixins"].(object)
	chosen, wanted := object{}, always
	for _, what := range expand {
		name, isMixin := strings.CutPrefix(what, "mixin:")
		if !isMixin {
			continue
		}
		wanted = true
		if value, exists := all[name]; exists {
			chosen[name] = value
		}
		always = always || name == "*"
	}
	if always && all != nil {
		chosen = all
	}
	return chosen, wanted
}

func (t *tenant) updateProfile(c *call) answer {
	return t.patchProfile(c, c.token.customer)
}

func (t *tenant) patchProfile(c *call, cu *customer) answer {
	if refusal := t.staleVersion(c.body, cu.version); refusal != nil {
		return *refusal
	}
	if email, given := c.body["contactEmail"]; given && email == "" {
		return badField("contactEmail", "invalid_length", "must not be empty")
	}
	after := object{}
	merge(after, without(cu.profile, "mixins"))
	merge(after, without(c.body, "mixins", "metadata"))
	if missing := missingForCompany(after, ""); missing != nil {
		return badRequest("The request is not valid.", missing...)
	}
	mergeLinks(cu.links, c.body)
	cu.change(c.body)
	return empty(http.StatusOK)
}

// employeeUpdate is the tenant's own change of a customer: activation, above
// all.
func (t *tenant) employeeUpdate(c *call) answer {
	number := c.vars["customerNumber"]
	cu := t.customers[number]
	if cu == nil {
		return answer{status: http.StatusNotFound, body: object{
			"status": http.StatusNotFound, "type": "application/json", "message": "Customer not Found",
			"details": []any{object{"message": fmt.Sprintf("Couldn't find a customer with customerNumber '%s'", cutTo(number, 64))}},
		}}
	}
	ans := t.patchProfile(c, cu)
	if ans.status != http.StatusOK {
		return ans
	}
	if active, given := c.body["active"].(bool); given {
		cu.active = active
	}
	if onHold, given := c.body["onHold"].(bool); given {
		cu.onHold = onHold
	}
	return ans
}
