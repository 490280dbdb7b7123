package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/berthdev/berth/connect/forward"
	"github.com/berthdev/berth/connect/sshclient"
)

// remoteForward is a rule of --remote-forward, whose Listen is in the workspace.
func remoteForward(rule forward.Rule) sshclient.Forward {
	f := sshclient.Forward{
		Name: "--remote-forward " + rule.Listen.String() + ":" + near(rule),
		Port: rule.Listen.Port, Path: rule.Listen.Path,
	}
	if rule.Target.Path != "" {
		f.Dial = dialing("unix", rule.Target.Path)
	} else {
		f.Dial = dialing("tcp", near(rule))
	}
	return f
}

// near is the side of a rule that is here.
func near(rule forward.Rule) string {
	if rule.Target.Path == "" && rule.Target.Host == "" {
		return net.JoinHostPort("localhost", strconv.Itoa(int(rule.Target.Port)))
	}
	return rule.Target.String()
}

// tellPorts names the ports that the workspace chose.
func tellPorts(w io.Writer, rules []forward.Rule, ports []uint16) {
	for i, rule := range rules {
		if rule.Listen.Path == "" && rule.Listen.Port == 0 {
			fmt.Fprintf(w, "Port %d of the workspace is %s here.\n", ports[i], near(rule))
		}
	}
}

// explainRefused says what to do about a forward for which the workspace does not
// listen.
func explainRefused(err error) error {
	if errors.Is(err, sshclient.ErrForwardRefused) {
		return withHint(err, "is it in use in the workspace, or is forwarding switched off there?")
	}
	return err
}
