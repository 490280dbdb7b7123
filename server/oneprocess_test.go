//go:build linux

package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berthdev/berth/agent"
	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/server/api"
)

// TestAllInOneProcess has the server, an agent, its session host and a client in
// one process: nothing of them is the process's own.
func TestAllInOneProcess(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.configured(c, "blue", "{env: {WHERE: here}, startup_script: echo begun}")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	its := d.client()
	its.Token = d.agentToken(c, ws)
	dir := t.TempDir()
	t.Setenv("HOME", dir) // whose start files no shell reads
	var hosts sync.WaitGroup
	a := agent.New(agent.Config{
		Client: its, Sessions: host.Options{DataDir: dir, LogDir: dir, StopTimeout: 10 * time.Second},
		StartHost: func(name string) error {
			hosts.Go(func() {
				if err := host.Run(context.Background(), host.Config{Name: name, Version: api.Version}); err != nil {
					t.Errorf("session host: %v", err)
				}
			})
			return nil
		},
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	end := sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("agent: %v", err)
		}
		hosts.Wait()
	})
	defer end()
	d.waitAgent(c, ws.ID, func(a api.Agent) bool { return a.LifecycleState == api.LifecycleReady })

	conn := connect.Open(connect.Config{Client: c})
	defer conn.Close()
	if err := conn.Reach(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	stream, err := conn.LastingSSH(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, chans, reqs, err := ssh.NewClientConn(stream, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(errors.Join(err, stream.Close()))
	}
	client := ssh.NewClient(sc, chans, reqs)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("echo $WHERE"); err != nil || string(out) != "here\n" {
		t.Errorf("a login says %q, %v, want the template's variable", out, err)
	}
	client.Close()
	end()
	if got, err := c.Agent(t.Context(), id); err != nil || got.LifecycleState != api.LifecycleOff {
		t.Errorf("agent after its end = %s, %v, want off", got.LifecycleState, err)
	}
	lines, err := c.AgentLogs(t.Context(), id, 0)
	if err != nil || len(lines) != 1 || lines[0].Output != "begun" {
		t.Errorf("log = %+v, %v, want the script's line", lines, err)
	}
}
