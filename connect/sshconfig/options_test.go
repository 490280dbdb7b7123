package sshconfig

import (
	"reflect"
	"strings"
	"testing"
)

func TestOptionsAreRemembered(t *testing.T) {
	for _, want := range []Options{
		{},
		{
			Wait: "no", HostPrefix: "ws.", HostnameSuffix: "corp.example", DisableAutostart: true,
			SSHOptions: []string{"ForwardAgent=yes", "SetEnv A=b=c"}, Header: []string{"a=b", "c=d # :wait=yes"}, HeaderCommand: `echo "x=y"`,
		},
	} {
		body, err := Hosts{Program: "coder", ConfigDir: "/c", Prefix: "ws.", Options: want}.Body()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{body, crlf(body)} {
			if got := ReadOptions([]byte(text)); !reflect.DeepEqual(got, want) {
				t.Errorf("ReadOptions of\n%s= %+v, want %+v", text, got, want)
			}
		}
		if !want.Equal(ReadOptions([]byte(body))) {
			t.Errorf("options do not equal those that were read back of\n%s", body)
		}
	}
	if !(Options{Wait: "auto"}).Equal(Options{}) {
		t.Error("to wait as the template says is not the same as to say nothing")
	}
}

func TestOptionsThatCannotBeWritten(t *testing.T) {
	for want, o := range map[string]Options{
		"--wait":            {Wait: "maybe"},
		"--ssh-host-prefix": {HostPrefix: "* "},
		"--hostname-suffix": {HostnameSuffix: "a b"},
		"--ssh-option":      {SSHOptions: []string{"A=b", "Compression yes\nHost *"}},
		"want KEY":          {SSHOptions: []string{"# a comment"}},
		"begins a block":    {SSHOptions: []string{"hOst=a"}},
		"--header":          {Header: []string{"a=b\nHost *"}},
		"--header-command":  {HeaderCommand: "a\x00b"},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("(%+v).Check() = %v, want an error with %q", o, err, want)
		}
	}
	fine := Options{Wait: "yes", HostPrefix: "coder.", HostnameSuffix: "a-b.c", SSHOptions: []string{"A=b", "A = b", "ProxyCommand x 'y' %h"}, Header: []string{"a=b"}}
	if err := fine.Check(); err != nil {
		t.Errorf("(%+v).Check() = %v", fine, err)
	}
}

func FuzzReadOptions(f *testing.F) {
	f.Add([]byte("# :wait=no\n# :ssh-option=A=b\r\n # :header=\n# :x\n# :ssh-host-prefix"))
	f.Fuzz(func(t *testing.T, section []byte) {
		o := ReadOptions(section)
		if o.Check() != nil {
			return
		}
		body, err := Hosts{Program: "coder", ConfigDir: "/c", Suffix: "coder", Options: o}.Body()
		if err != nil {
			t.Fatalf("Body with %+v: %v", o, err)
		}
		if again := ReadOptions([]byte(body)); !again.Equal(o) {
			t.Errorf("options %+v are read back as %+v", o, again)
		}
		if _, err := Section([]byte(start + body + end)); err != nil {
			t.Errorf("options %+v break the section: %v", o, err)
		}
	})
}
