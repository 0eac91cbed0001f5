package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"piaohao/internal/config"
)

func TestFromOS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.env")
	if err := os.WriteFile(path, []byte("LOG_LEVEL=debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, variable, want string }{
		{"a file that is named", path, ""},
		{"none", "off", ""},
		{"no such file", filepath.Join(dir, "canary"), "ENV_FILE: there is no such file; write its path"},
		{"a folder", dir, "ENV_FILE: the file cannot be read"},
	} {
		t.Run("A100 "+row.name, func(t *testing.T) {
			t.Parallel()
			src, err := config.FromOS([]string{"ENV_FILE=" + row.variable, "DATA_DIR=/x=y"})
			if row.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(src, drivers)
			want := slog.LevelInfo
			file := ""
			if row.variable == path {
				want, file = slog.LevelDebug, path
			}
			if err != nil || c.LogLevel != want || c.EnvFile != file || c.DataDir != "/x=y" {
				t.Errorf("level %v, file %q, folder %q, %v", c.LogLevel, c.EnvFile, c.DataDir, err)
			}
		})
	}
}

// TestDefaultEnvFile changes the folder of the whole process and cannot run beside others.
func TestDefaultEnvFile(t *testing.T) { //nolint:paralleltest // see above
	t.Chdir(t.TempDir())
	src, err := config.FromOS(nil)
	if err != nil || src.File != nil || src.FileName != "" {
		t.Errorf("without a file: %q, %v", src.FileName, err)
	}
	if err := os.WriteFile(".env", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err = config.FromOS(nil)
	if err != nil || src.File == nil || src.FileName != "./.env" {
		t.Errorf("with an empty file: %q, %v", src.FileName, err)
	}
	if err := os.WriteFile("key.pem", []byte(privateText()), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := src.ReadFile("key.pem"); err != nil || string(text) != privateText() {
		t.Errorf("a key's file: %v", err)
	}
	if _, err := src.ReadFile("."); err == nil {
		t.Error("a folder was read as a key")
	}
	if _, err := src.ReadFile(os.DevNull); err == nil {
		t.Error("a device was read as a key")
	}
}

// TestPrintingAccounts: whatever prints the settings prints no secret of an account.
func TestPrintingAccounts(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		settings("shared", "old", "new", "alipay", "url"),
		settings("shared", "old", "new", "alipay", "ALIPAY_SANDBOX=true", "WECHAT_SANDBOX=true"),
	} {
		t.Run("A100 printing accounts", func(t *testing.T) {
			t.Parallel()
			c, err := load(file)
			if err != nil || len(c.Accounts)+len(c.Shelved) != 3 {
				t.Fatal(err)
			}
			var log strings.Builder
			slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c)
			slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", c)
			fmt.Fprintf(&log, "%v %+v %#v", c, c, c)
			for _, a := range append(c.Accounts, c.Shelved...) {
				slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "settings", a.Settings)
				slog.New(slog.NewTextHandler(&log, nil)).Info("start", "settings", a.Settings)
				fmt.Fprintf(&log, "%v %+v %#v", a, a.Settings, a.Settings)
			}
			for _, content := range []string{oldKey, newKey, privateText()[40:80]} {
				if strings.Contains(log.String(), content) {
					t.Error("a secret was printed")
				}
			}
		})
	}
}
