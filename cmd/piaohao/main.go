// Command piaohao is the gateway, and its simulator alone.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

// verbs are the program's verbs, one file each; bare piaohao is serve.
type verbs struct {
	Serve   serve   `cmd:"" default:"1" help:"Run the gateway; in test mode with simulator and demo shop (default)."`
	Sim     sim     `cmd:"" help:"Run the simulator of both platforms alone, for any program."`
	Version version `cmd:"" help:"Print the version."`

	Doctor    doctorVerb `cmd:"" help:"Find out what is wrong with the settings, and what mends it."`
	Payment   payment    `cmd:"" help:"Look a payment up by any number, ask about it, close it."`
	Refund    refund     `cmd:"" help:"Send money back, and see to refunds that wait."`
	Incidents incidents  `cmd:"" help:"List refused notices and what needs a person, with what to do."`
	Keys      keys       `cmd:"" help:"Make, list and revoke the API keys of shops."`

	Migrate migrate `cmd:"" help:"Bring the tables of the database up to date, as every start does, and tell their version."`
	DB      db      `cmd:"" name:"db" help:"Copy the database from SQLite to PostgreSQL."`

	Bench      benchVerb  `cmd:"" help:"Measure this program on this machine, beside what its parts cost bare."`
	BenchChild benchChild `cmd:"" hidden:""`
}

func main() {
	var v verbs
	k := kong.Parse(&v, kong.Name("piaohao"),
		kong.Description("A payment gateway for WeChat Pay and Alipay. Settings come from the environment; see README.md."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "piaohao:", err)
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// settings reads the environment and the .env file; what is odd about them goes to standard error.
func settings() (config.Config, error) {
	src, err := config.FromOS(os.Environ())
	if err != nil {
		return config.Config{}, err
	}
	c, err := config.Load(src, all.Drivers)
	for _, w := range c.Warnings {
		fmt.Fprintln(os.Stderr, "piaohao:", w)
	}
	return c, err
}

type version struct{}

// Run prints the module's version and the commit it was built from.
func (version) Run() error { //nolint:unparam // kong's signature
	info, _ := debug.ReadBuildInfo()
	revision := "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	fmt.Println("piaohao", info.Main.Version, revision, info.GoVersion)
	return nil
}
