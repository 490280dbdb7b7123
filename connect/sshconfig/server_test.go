package sshconfig

import (
	"slices"
	"strings"
	"testing"
)

// TestRule5ServerOptions is security rule 5 of the design: what a server sends
// runs nothing on this machine and opens no way back to it.
func TestRule5ServerOptions(t *testing.T) {
	lines, refused := FromServer(map[string]string{
		"ServerAliveInterval": "30", "serveralivecountmax": "3", "SetEnv": "A=b LC_X=y/z", "SendEnv": "LANG LC_*",
		"LogLevel": "DEBUG1", "ForwardAgent": "no", "Compression": "",
	})
	want := []string{"ForwardAgent=no", "LogLevel=DEBUG1", "SendEnv=LANG LC_*", "serveralivecountmax=3", "ServerAliveInterval=30", "SetEnv=A=b LC_X=y/z"}
	if !slices.Equal(lines, want) || refused != nil {
		t.Errorf("FromServer of harmless options = %q, refused %q; want %q", lines, refused, want)
	}
	for key, values := range map[string][]string{
		"ProxyCommand": {"evil"}, "proxycommand": {"evil"}, "ProxyJump": {"evil"}, "LocalCommand": {"evil"}, "PermitLocalCommand": {"yes"},
		"Match": {"exec evil"}, "Host": {"*"}, "Include": {"/tmp/x"}, "KnownHostsCommand": {"evil"}, "PKCS11Provider": {"/tmp/x"},
		"SecurityKeyProvider": {"/tmp/x"}, "XAuthLocation": {"/tmp/x"}, "IdentityAgent": {"/tmp/x"}, "IdentityFile": {"~/.netrc"},
		"ForwardAgent": {"yes", "$SSH_AUTH_SOCK"}, "ForwardX11": {"yes"}, "ForwardX11Trusted": {"yes"},
		"RemoteForward": {"1 localhost:22"}, "LocalForward": {"1 a:1"}, "DynamicForward": {"1080"}, "GatewayPorts": {"yes"}, "Tunnel": {"yes"},
		"UserKnownHostsFile": {"/tmp/x"}, "GlobalKnownHostsFile": {"/tmp/x"}, "StrictHostKeyChecking": {"yes"}, "HostName": {"evil"},
		"ControlPath": {"/tmp/x"}, "ControlMaster": {"yes"}, "CanonicalizeHostname": {"yes"}, "AddKeysToAgent": {"yes"}, "GSSAPIDelegateCredentials": {"yes"},
		"SendEnv": {"*", "AWS_SECRET_ACCESS_KEY", "LANG AWS_*"}, "SetEnv": {"A", "A=b\nProxyCommand x", "A=$HOME", "A=\"b\"", "A=%h"},
		"ServerAliveInterval": {"-1", "x", "1\nHost *", "1 #", "9999999"}, "LogLevel": {"LOUD"}, "User": {"-l", "a b"},
		"": {"x"}, "A\nProxyCommand": {"x"}, "#": {"x"},
	} {
		for _, value := range values {
			if lines, refused := FromServer(map[string]string{key: value}); lines != nil || len(refused) != 1 {
				t.Errorf("FromServer(%q: %q) = %q, refused %q; want it refused", key, value, lines, refused)
			}
		}
	}
}

// TestRule5ServerNames is security rule 5: a server leads no hosts to itself but
// those of its workspaces.
func TestRule5ServerNames(t *testing.T) {
	for _, prefix := range []string{"", "coder.", "coder-dev."} {
		if got, err := ServerPrefix(prefix); got != prefix || err != nil {
			t.Errorf("ServerPrefix(%q) = %q, %v; want it taken", prefix, got, err)
		}
	}
	for _, prefix := range []string{"github.", "g", "*", "coder.*", "coder. *", "coder.\nHost ", "Coder.", "coder" + strings.Repeat("x", 99)} {
		if got, err := ServerPrefix(prefix); got != DefaultPrefix || err == nil {
			t.Errorf("ServerPrefix(%q) = %q, %v; want it refused", prefix, got, err)
		}
	}
	const server = "berth.example.com"
	for _, suffix := range []string{"", "coder", "coder-dev.corp", "berth.example.com", "ssh.berth.example.com"} {
		if got, err := ServerSuffix(suffix, server); got != suffix || err != nil {
			t.Errorf("ServerSuffix(%q, %q) = %q, %v; want it taken", suffix, server, got, err)
		}
	}
	for _, suffix := range []string{"com", "github.com", "example.com", "dev", "corp", "local", "*", "coder *", "coder\nMatch all", "-x", "coder.", "xberth.example.com", "Coder"} {
		if got, err := ServerSuffix(suffix, server); got != DefaultSuffix || err == nil {
			t.Errorf("ServerSuffix(%q, %q) = %q, %v; want it refused", suffix, server, got, err)
		}
	}
}

func FuzzFromServer(f *testing.F) {
	f.Add("SetEnv", "A=b")
	f.Add("LogLevel\n", "QUIET\nHost *")
	f.Fuzz(func(t *testing.T, key, value string) {
		lines, _ := FromServer(map[string]string{key: value})
		for _, line := range lines {
			if hasControl(line) || strings.ContainsAny(line, "\"'`$%\\#") || checkSSHOption(line) != nil {
				t.Errorf("FromServer(%q: %q) gives the line %q", key, value, line)
			}
		}
	})
}
