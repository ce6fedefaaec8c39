package emporixfake

import (
	"net/http"
	"strings"
)

func wrongPassword() answer {
	return problem(http.StatusUnauthorized, "The current password is wrong.")
}

// requestPasswordReset answers the same for every address, so that a stranger does not learn
// who has an account.
func (t *tenant) requestPasswordReset(c *call) answer {
	if cu := t.byLogin(c.text("email")); cu != nil {
		t.send(c, &mail{Mail: Mail{Kind: MailPasswordReset, Email: cu.login, Site: c.text("site")}, customer: cu})
	}
	return empty(http.StatusNoContent)
}

func (t *tenant) resetPassword(c *call) answer {
	if c.text("password") == "" {
		return badField("password", "invalid_length", "must not be empty")
	}
	m := t.redeemMail(c, MailPasswordReset, c.text("token"))
	if m == nil {
		return badField("token", "invalid_value", "is not valid or was used")
	}
	t.setPassword(m.customer, c.text("password"), nil)
	return empty(http.StatusNoContent)
}

func (t *tenant) changePassword(c *call) answer {
	cu := c.token.customer
	if c.text("newPassword") == "" {
		return badField("newPassword", "invalid_length", "must not be empty")
	}
	if cu.password == "" || c.text("currentPassword") != cu.password {
		return wrongPassword()
	}
	t.setPassword(cu, c.text("newPassword"), c.token.family)
	return empty(http.StatusNoContent)
}

func (t *tenant) setPassword(cu *customer, password string, keep *family) {
	cu.password = password
	cu.initialPassword = false
	if t.cfg.Assumptions.PasswordChangeEndsSessions {
		t.endSessions(cu, keep)
	}
}

func (t *tenant) requestEmailChange(c *call) answer {
	cu := c.token.customer
	newEmail := c.text("newEmail")
	if newEmail == "" {
		return badField("newEmail", "invalid_length", "must not be empty")
	}
	if email, given := c.body["email"].(string); given && !strings.EqualFold(email, cu.login) {
		return badField("email", "invalid_value", "is not the current e-mail address")
	}
	if cu.password == "" || c.text("password") != cu.password {
		return wrongPassword()
	}
	if other := t.byLogin(newEmail); other != nil {
		return badField("newEmail", "invalid_value", "is in use")
	}
	sync, _ := c.body["syncContactEmail"].(bool)
	t.send(c, &mail{Mail: Mail{Kind: MailEmailChange, Email: cu.login, NewEmail: newEmail}, customer: cu, syncContactEmail: sync})
	return empty(http.StatusNoContent)
}

func (t *tenant) confirmEmailChange(c *call) answer {
	m := t.redeemMail(c, MailEmailChange, c.text("token"))
	if m == nil {
		return badField("token", "invalid_value", "is not valid or was used")
	}
	if other := t.byLogin(m.NewEmail); other != nil && other != m.customer {
		return badField("newEmail", "invalid_value", "is in use")
	}
	t.changeLogin(m.customer, m.NewEmail)
	if m.syncContactEmail {
		m.customer.profile["contactEmail"] = m.NewEmail
	}
	m.customer.version++
	return empty(http.StatusNoContent)
}
