package node

import (
	"io"
	"net/url"
	"reflect"

	"piaohao/internal/config"
	"piaohao/internal/logs"
	"piaohao/internal/secret"
)

// The files in LOG_DIR. Two processes never rotate the same one.
const (
	gatewayLog   = "app.log"
	simulatorLog = "sim.log" // of piaohao sim
)

// openLogs opens the process's log, which writes none of the secrets in its settings.
func openLogs(c config.Config, terminal io.Writer, file string) (*logs.Logs, error) {
	dir := c.LogDir
	if dir == config.Off {
		dir = ""
	}
	l, err := logs.Open(logs.Options{Terminal: terminal, Dir: dir, Name: file, Level: c.LogLevel})
	if err != nil {
		return nil, err
	}
	l.Hide(c.Database, password(c.Database), c.WebhookSecret)
	for _, accounts := range [][]config.Account{c.Accounts, c.Shelved} {
		for _, a := range accounts {
			l.Hide(secretsOf(a.Settings)...)
		}
	}
	return l, nil
}

// password is the part of a database's URL that must not be seen alone either.
func password(dsn secret.Text) secret.Text {
	u, err := url.Parse(dsn.Reveal())
	if err != nil || u.User == nil {
		return secret.Text{}
	}
	p, _ := u.User.Password()
	return secret.New(p)
}

// secretsOf are the secret fields of a driver's settings, a pointer to a struct.
func secretsOf(settings any) []secret.Text {
	v := reflect.Indirect(reflect.ValueOf(settings))
	if v.Kind() != reflect.Struct {
		return nil
	}
	var found []secret.Text
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		if s, ok := v.Field(i).Interface().(secret.Text); ok {
			found = append(found, s)
		}
	}
	return found
}
