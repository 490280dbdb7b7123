package server

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/berthdev/berth/agent/script"
	"github.com/berthdev/berth/server/store"
)

// agentConfigParameter is the parameter of the built-in template that says what
// the agent shall do, as YAML or JSON, in the words of Terraform's provider.
const agentConfigParameter = "agent_config"

// Bounds of what an agent can be given.
const (
	maxConfig  = 512 << 10 // bytes of text
	maxScripts = 64
	maxApps    = 64
	maxKeys    = 64 // of metadata
	maxVolumes = 16
)

// configText is the text of the parameter, decoded.
type configText struct {
	Dir                   string            `yaml:"dir"`
	Env                   map[string]string `yaml:"env"`
	MOTDFile              string            `yaml:"motd_file"`
	StartupScript         string            `yaml:"startup_script"`
	StartupScriptBehavior string            `yaml:"startup_script_behavior"`
	ShutdownScript        string            `yaml:"shutdown_script"`
	ConnectionTimeout     int64             `yaml:"connection_timeout"`
	TroubleshootingURL    string            `yaml:"troubleshooting_url"`
	DisplayApps           map[string]bool   `yaml:"display_apps"`
	Scripts               []scriptText      `yaml:"scripts"`
	Apps                  []appText         `yaml:"apps"`
	Metadata              []metadataText    `yaml:"metadata"`
	Monitors              monitorsText      `yaml:"resources_monitoring"`
}

type scriptText struct {
	DisplayName      string `yaml:"display_name"`
	Icon             string `yaml:"icon"`
	Script           string `yaml:"script"`
	Cron             string `yaml:"cron"`
	LogPath          string `yaml:"log_path"`
	RunOnStart       bool   `yaml:"run_on_start"`
	RunOnStop        bool   `yaml:"run_on_stop"`
	StartBlocksLogin bool   `yaml:"start_blocks_login"`
	Timeout          int64  `yaml:"timeout"` // seconds
}

type appText struct {
	Slug        string `yaml:"slug"`
	DisplayName string `yaml:"display_name"`
	Icon        string `yaml:"icon"`
	URL         string `yaml:"url"`
	Command     string `yaml:"command"`
	Group       string `yaml:"group"`
	Order       int    `yaml:"order"`
	OpenIn      string `yaml:"open_in"`
	Share       string `yaml:"share"`
	External    bool   `yaml:"external"`
	Subdomain   bool   `yaml:"subdomain"`
	Hidden      bool   `yaml:"hidden"`
	Healthcheck *struct {
		URL       string `yaml:"url"`
		Interval  int64  `yaml:"interval"` // seconds
		Threshold int    `yaml:"threshold"`
	} `yaml:"healthcheck"`
}

type metadataText struct {
	Key         string `yaml:"key"`
	DisplayName string `yaml:"display_name"`
	Script      string `yaml:"script"`
	Order       int    `yaml:"order"`
	Interval    int64  `yaml:"interval"` // seconds
	Timeout     int64  `yaml:"timeout"`  // seconds
}

type monitorsText struct {
	Memory *struct {
		Enabled   bool `yaml:"enabled"`
		Threshold int  `yaml:"threshold"`
	} `yaml:"memory"`
	Volumes []struct {
		Path      string `yaml:"path"`
		Enabled   bool   `yaml:"enabled"`
		Threshold int    `yaml:"threshold"`
	} `yaml:"volumes"`
}

// configure has an agent do what a text says. Unknown names are errors: what is
// misspelled would be missed late.
func configure(spec *store.AgentSpec, text string) error {
	if len(text) > maxConfig {
		return fmt.Errorf("more than %d KiB", maxConfig>>10)
	}
	var c configText
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return errors.New(strings.TrimPrefix(firstLine(err), "yaml: "))
	}
	spec.Directory, spec.ConnectionTimeoutSeconds, spec.TroubleshootingURL = c.Dir, c.ConnectionTimeout, c.TroubleshootingURL
	for name, value := range c.Env {
		if !envName.MatchString(name) || strings.ContainsRune(value, 0) {
			return fmt.Errorf("env %q: want the name of a variable, and a value without NUL", name)
		}
		spec.Environment[name] = value
	}
	spec.Config.MOTDFile = c.MOTDFile
	return errors.Join(c.scripts(&spec.Config), c.apps(&spec.Config), c.metadata(&spec.Config), c.monitors(&spec.Config), c.displayApps(&spec.Config))
}

// firstLine joins the lines of an error of YAML.
func firstLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

var (
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	slugText = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)
	keyText  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
)

func (c configText) scripts(into *store.AgentConfig) error {
	all := c.Scripts
	if c.StartupScript != "" {
		all = append(all, scriptText{DisplayName: "Startup Script", Script: c.StartupScript, RunOnStart: true, StartBlocksLogin: c.StartupScriptBehavior == "blocking"})
	}
	if c.ShutdownScript != "" {
		all = append(all, scriptText{DisplayName: "Shutdown Script", Script: c.ShutdownScript, RunOnStop: true})
	}
	switch {
	case len(all) > maxScripts:
		return fmt.Errorf("%d scripts, at most %d are allowed", len(all), maxScripts)
	case c.StartupScriptBehavior != "" && c.StartupScriptBehavior != "blocking" && c.StartupScriptBehavior != "non-blocking":
		return errors.New("startup_script_behavior: want blocking or non-blocking")
	}
	for i, s := range all {
		if err := s.check(); err != nil {
			return fmt.Errorf("script %d (%s): %w", i+1, s.DisplayName, err)
		}
		into.Scripts = append(into.Scripts, store.AgentScript{
			Name: s.DisplayName, Icon: s.Icon, Script: s.Script, Cron: s.Cron, LogPath: s.LogPath,
			RunOnStart: s.RunOnStart, RunOnStop: s.RunOnStop, BlocksLogin: s.StartBlocksLogin, Timeout: time.Duration(s.Timeout) * time.Second,
		})
	}
	return nil
}

func (s scriptText) check() error {
	switch {
	case s.DisplayName == "" || len(s.DisplayName) > 128:
		return errors.New("display_name: want 1 to 128 bytes")
	case s.Script == "":
		return errors.New("script is missing")
	case !s.RunOnStart && !s.RunOnStop && s.Cron == "":
		return errors.New("want run_on_start, run_on_stop or cron: it would never run")
	case s.StartBlocksLogin && !s.RunOnStart:
		return errors.New("start_blocks_login needs run_on_start")
	case s.Timeout < 0 || s.Timeout > maxSeconds:
		return errors.New("timeout: want seconds, at most a week")
	case s.Cron != "":
		return script.CheckCron(s.Cron)
	}
	return nil
}

// maxSeconds is a week: what takes longer is a mistake.
const maxSeconds = 7 * 24 * 60 * 60

func (c configText) apps(into *store.AgentConfig) error {
	if len(c.Apps) > maxApps {
		return fmt.Errorf("%d apps, at most %d are allowed", len(c.Apps), maxApps)
	}
	seen := map[string]bool{}
	for _, a := range c.Apps {
		app, err := a.app()
		if err == nil && seen[a.Slug] {
			err = errors.New("there is another one")
		}
		if err != nil {
			return fmt.Errorf("app %q: %w", a.Slug, err)
		}
		seen[a.Slug] = true
		into.Apps = append(into.Apps, app)
	}
	return nil
}

func (a appText) app() (store.AgentApp, error) {
	app := store.AgentApp{
		Slug: a.Slug, Name: a.DisplayName, Icon: a.Icon, URL: a.URL, Command: a.Command, Group: a.Group, Order: a.Order,
		OpenIn: orDefault(a.OpenIn, "slim-window"), Share: orDefault(a.Share, "owner"), External: a.External, Subdomain: a.Subdomain, Hidden: a.Hidden,
	}
	switch {
	case !slugText.MatchString(a.Slug) || len(a.Slug) > 64:
		return app, errors.New("slug: want small letters, digits and single hyphens")
	case (a.URL == "") == (a.Command == ""):
		return app, errors.New("want either url or command")
	case app.OpenIn != "slim-window" && app.OpenIn != "tab":
		return app, errors.New("open_in: want slim-window or tab")
	case app.Share != "owner" && app.Share != "authenticated" && app.Share != "organization" && app.Share != "public":
		return app, errors.New("share: want owner, authenticated, organization or public")
	}
	if h := a.Healthcheck; h != nil {
		if h.URL == "" || h.Interval < 1 || h.Interval > maxSeconds || h.Threshold < 1 {
			return app, errors.New("healthcheck: want url, interval (seconds) and threshold, both at least 1")
		}
		app.HealthURL, app.HealthEvery, app.Threshold = h.URL, time.Duration(h.Interval)*time.Second, h.Threshold
	}
	return app, nil
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (c configText) metadata(into *store.AgentConfig) error {
	if len(c.Metadata) > maxKeys {
		return fmt.Errorf("%d metadata keys, at most %d are allowed", len(c.Metadata), maxKeys)
	}
	seen := map[string]bool{}
	for _, m := range c.Metadata {
		switch {
		case !keyText.MatchString(m.Key):
			return fmt.Errorf("metadata %q: key: want letters, digits, dots, hyphens and underscores", m.Key)
		case seen[m.Key]:
			return fmt.Errorf("metadata %q: there is another one", m.Key)
		case m.Script == "":
			return fmt.Errorf("metadata %q: script is missing", m.Key)
		case m.Interval < 0 || m.Interval > maxSeconds || m.Timeout < 0 || m.Timeout > maxSeconds:
			return fmt.Errorf("metadata %q: interval and timeout: want seconds, at most a week", m.Key)
		}
		seen[m.Key] = true
		into.Metadata = append(into.Metadata, store.AgentMetadata{
			Key: m.Key, Name: orDefault(m.DisplayName, m.Key), Script: m.Script, Order: m.Order,
			Interval: time.Duration(m.Interval) * time.Second, Timeout: time.Duration(m.Timeout) * time.Second,
		})
	}
	return nil
}

func (c configText) monitors(into *store.AgentConfig) error {
	if m := c.Monitors.Memory; m != nil && m.Enabled {
		into.Monitors.Memory = &store.AgentMonitor{Threshold: m.Threshold}
	}
	if len(c.Monitors.Volumes) > maxVolumes {
		return fmt.Errorf("%d volumes, at most %d are allowed", len(c.Monitors.Volumes), maxVolumes)
	}
	for _, v := range c.Monitors.Volumes {
		if !strings.HasPrefix(v.Path, "/") {
			return fmt.Errorf("resources_monitoring: volume %q: want an absolute path", v.Path)
		}
		if v.Enabled {
			into.Monitors.Volumes = append(into.Monitors.Volumes, store.AgentMonitor{Path: v.Path, Threshold: v.Threshold})
		}
	}
	return nil
}

// displayApps are the buttons that clients show, with the defaults of
// Terraform's provider.
func (c configText) displayApps(into *store.AgentConfig) error {
	if c.DisplayApps == nil {
		return nil
	}
	into.DisplayApps = []string{}
	known := map[string]bool{}
	for _, app := range displayApps {
		known[app] = true
		on, said := c.DisplayApps[app]
		if on || !said && app != "vscode_insiders" {
			into.DisplayApps = append(into.DisplayApps, app)
		}
	}
	for name := range c.DisplayApps {
		if !known[name] {
			return fmt.Errorf("display_apps: there is no %q", name)
		}
	}
	return nil
}

// displayApps are all of them.
var displayApps = []string{"vscode", "vscode_insiders", "web_terminal", "port_forwarding_helper", "ssh_helper"}
