package forward

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"8080", "8080>8080"},
		{"5678:1234", "5678>1234"},
		{"0:80", "0>80"},
		{"8080,9000:3000", "8080>8080 9000>3000"},
		{"9090-9092", "9090>9090 9091>9091 9092>9092"},
		{"8080, 10000-10002:10010-10012", "8080>8080 10000>10010 10001>10011 10002>10012"},
		{"1.2.3.4:8080", "1.2.3.4:8080>8080"},
		{"1.2.3.4:8080:80", "1.2.3.4:8080>80"},
		{"localhost:8080:80", "8080>80"},
		{"[::1]:8080:80", "[::1]:8080>80"},
		{"[::]:1-2:3-4", "[::]:1>3 [::]:2>4"},
		{"5432:db.internal:5432", "5432>db.internal:5432"},
		{"5432:localhost:5432", "5432>5432"},
		{"5432:[fd00::7]:5432", "5432>[fd00::7]:5432"},
		{"0.0.0.0:5432:db:5432", "0.0.0.0:5432>db:5432"},
		{"[::1]:1:[::2]:3", "[::1]:1>[::2]:3"},
		{"/tmp/a.sock:8080", "/tmp/a.sock>8080"},
		{"2375:/run/docker.sock", "2375>/run/docker.sock"},
		{"/tmp/a.sock:/run/b:c.sock", "/tmp/a.sock>/run/b:c.sock"},
	} {
		rules, err := Parse("tcp", c.text)
		if err != nil {
			t.Errorf("Parse(%q) = %v", c.text, err)
			continue
		}
		var got []string
		for _, r := range rules {
			got = append(got, fmt.Sprint(r.Listen, ">", r.Target))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("Parse(%q) = %s, want %s", c.text, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ network, text, want string }{
		{"tcp", "", "want a port"},
		{"tcp", "8080,", "want a port"},
		{"tcp", "0", "a port to connect to is from 1"},
		{"tcp", "8080:0", "from 1 to 65535"},
		{"tcp", "65536", "is no port"},
		{"tcp", "8080:", "nothing follows"},
		{"tcp", "9-7", "no range"},
		{"tcp", "9-", "is no port"},
		{"tcp", "1-3:1-2", "3 ports and 2: both"},
		{"tcp", "1-3:/run/x", "3 ports and 1: both"},
		{"tcp", "host", "want a port"},
		{"tcp", "::1:80:80", "want a port"},
		{"tcp", "[::1:80:80", "closing bracket"},
		{"tcp", "[::1]80", "want a colon"},
		{"tcp", "1:2:3:4:5", "too many colons"},
		{"tcp", "/tmp/x", "needs something on the other side"},
		{"tcp", "1-10001", "more than 10000"},
		{"udp", "53:dns.internal:53", "workspace itself"},
		{"udp", "/tmp/x:53", "tcp only"},
	} {
		if rules, err := Parse(c.network, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%s, %q) = %v, %v; want an error with %q", c.network, c.text, rules, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"8080", "1-3:4-6", "[::1]:1:2", "/a:/b", "1:h:2,3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse("tcp", text)
		if err != nil {
			return
		}
		for _, r := range rules {
			again, err := Parse("tcp", r.Listen.String()+":"+r.Target.String())
			if strings.Contains(r.Listen.Path, ",") || strings.Contains(r.Target.Path, ",") {
				continue
			}
			if err != nil || len(again) != 1 || again[0] != r {
				t.Errorf("%q: rule %+v reads again as %+v, %v", text, r, again, err)
			}
		}
	})
}
