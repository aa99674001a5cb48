package app

import (
	"time"

	"artesian/internal/faas"
)

// An instance's credentials outlast it: none is lent to a call once it is maxInstanceAge old, a call that begins before
// ends within the function's timeout, and afterwards the instance may take sessionMargin to see its end.
const (
	maxInstanceAge = 6 * time.Hour
	sessionMargin  = 15 * time.Minute
)

// functionSession is the environment by which the SDKs in one instance of v sign: temporary credentials of the
// function's role, under the function's name. Without the role, or the role's trust, there are none.
func (a *App) functionSession(v *faas.Version) []string {
	t, err := a.sessions.Service(v.ID.Account, v.Role, "lambda.amazonaws.com", v.ID.Name, maxInstanceAge+v.Timeout+sessionMargin)
	if err != nil {
		a.cfg.Logger.Warn("a function starts without credentials", "function", v.ID.ARN(), "error", err)
		return nil
	}
	return []string{"AWS_ACCESS_KEY_ID=" + t.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + t.SecretAccessKey, "AWS_SESSION_TOKEN=" + t.Token}
}
