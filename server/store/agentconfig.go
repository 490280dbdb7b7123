package store

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// AgentConfig is what a template has an agent do. Ids are given when a build
// writes it down, and stay for what keeps its name.
type AgentConfig struct {
	MOTDFile    string          `json:"motd_file,omitempty"`
	DisplayApps []string        `json:"display_apps,omitempty"` // nil means all
	Scripts     []AgentScript   `json:"scripts,omitempty"`
	Apps        []AgentApp      `json:"apps,omitempty"`
	Metadata    []AgentMetadata `json:"metadata,omitempty"`
	Monitors    AgentMonitors   `json:"monitors,omitzero"`
}

// AgentScript is run by the agent.
type AgentScript struct {
	ID          uuid.UUID     `json:"id"`
	LogSourceID uuid.UUID     `json:"log_source_id"`
	Name        string        `json:"name"`
	Icon        string        `json:"icon,omitempty"`
	Script      string        `json:"script"`
	Cron        string        `json:"cron,omitempty"`
	LogPath     string        `json:"log_path,omitempty"`
	RunOnStart  bool          `json:"run_on_start,omitempty"`
	RunOnStop   bool          `json:"run_on_stop,omitempty"`
	BlocksLogin bool          `json:"blocks_login,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
}

// AgentApp is a URL or a command that people open.
type AgentApp struct {
	ID          uuid.UUID     `json:"id"`
	Slug        string        `json:"slug"`
	Name        string        `json:"name,omitempty"`
	Icon        string        `json:"icon,omitempty"`
	URL         string        `json:"url,omitempty"`
	Command     string        `json:"command,omitempty"`
	Group       string        `json:"group,omitempty"`
	Order       int           `json:"order,omitempty"`
	OpenIn      string        `json:"open_in,omitempty"` // slim-window or tab
	Share       string        `json:"share"`             // owner, authenticated, organization or public
	External    bool          `json:"external,omitempty"`
	Subdomain   bool          `json:"subdomain,omitempty"`
	Hidden      bool          `json:"hidden,omitempty"`
	HealthURL   string        `json:"health_url,omitempty"` // "" is none
	HealthEvery time.Duration `json:"health_every,omitempty"`
	Threshold   int           `json:"threshold,omitempty"` // failures in a row that are borne
}

// AgentMetadata is a value that the agent finds out again and again.
type AgentMetadata struct {
	Key      string        `json:"key"`
	Name     string        `json:"name,omitempty"`
	Script   string        `json:"script"`
	Order    int           `json:"order,omitempty"`
	Interval time.Duration `json:"interval"` // 0 is once
	Timeout  time.Duration `json:"timeout,omitempty"`
}

// AgentMonitors are the resources that are watched; a threshold is in per cent.
type AgentMonitors struct {
	Memory  *AgentMonitor  `json:"memory,omitempty"`
	Volumes []AgentMonitor `json:"volumes,omitempty"`
}

// AgentMonitor is one of them.
type AgentMonitor struct {
	Path      string `json:"path,omitempty"` // of a volume
	Threshold int    `json:"threshold"`
}

// identified is the config of an agent with ids for all in it.
func (c AgentConfig) identified(agent uuid.UUID) AgentConfig {
	named := map[string]int{}
	id := func(kind, name string) uuid.UUID {
		named[kind+name]++
		return uuid.NewSHA1(agent, []byte(kind+"/"+strconv.Itoa(named[kind+name])+"/"+name))
	}
	c.Scripts, c.Apps = append([]AgentScript(nil), c.Scripts...), append([]AgentApp(nil), c.Apps...)
	for i := range c.Scripts {
		c.Scripts[i].ID, c.Scripts[i].LogSourceID = id("script", c.Scripts[i].Name), id("log", c.Scripts[i].Name)
	}
	for i := range c.Apps {
		c.Apps[i].ID = id("app", c.Apps[i].Slug)
	}
	return c
}
