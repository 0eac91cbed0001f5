package config

import (
	"strconv"
	"strings"

	"piaohao/internal/channel"
)

// Account is what the settings say of one account of one driver.
type Account struct {
	channel.Account // ID "<channel>[-sandbox][-<merchant number>]-<app id>", without the number where Info.MerchantOptional

	Driver    channel.Driver
	Settings  channel.Settings  // filled
	Products  []channel.Product // offered, the first fitting one is used: the driver's, or those that <PREFIX>_PRODUCTS names
	NotifyURL string            // <PREFIX>_NOTIFY_URL, "" = PublicURL and the driver's own path
	ReturnURL string            // <PREFIX>_RETURN_URL: where payers end whose payment has no return_url; "" = our own page
	ReadOnly  bool              // its attempts are followed to their end, new ones go to another account of the method
}

// Problem is one setting at fault. It never holds content of a setting.
type Problem struct {
	File    string // where the setting was read: a file's name, "" = the environment
	Line    int    // in File, 1 = first; 0 without a file
	Setting string // the variable, "" = the settings as a whole
	Code    string // stable
	Text    string // what is wrong
	Cure    string // what to do
}

// String is one line for people.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":" + strconv.Itoa(p.Line) + ": ")
	}
	if p.Setting != "" {
		b.WriteString(p.Setting + ": ")
	}
	b.WriteString(p.Text)
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return b.String()
}

// Problems is the error of Load: everything that is wrong, at once.
type Problems []Problem

// Error is a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}
