package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/api"
)

// What a server says ends on a terminal, which must not obey it.
func TestReport(t *testing.T) {
	hostile := &api.Error{StatusCode: 400, Response: api.Response{
		Message: "no \x1b[31mway\x07", Detail: "a\rb", Validations: []api.Validation{{Field: "f\x1b", Detail: "\u009bx"}},
	}}
	call := "http://berth.example.com/api/v2/users"
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"control characters", hostile, "error: no  [31mway  (400): a b\n  f :  x\n"},
		{"not UTF-8", errors.New("a\xffb"), "error: a\uFFFDb\n"},
		{"long", errors.New(strings.Repeat("é", 1001) + "\nx"), "error: " + strings.Repeat("é", 1000) + "...\nx\n"},
		{"hint", withHint(errors.New("x"), "coder login http://\x1b[31m\nerror: y"), "error: x\nhint: coder login http:// [31m error: y\n"},
		{
			"late header", fmt.Errorf("reach the server: %w", &url.Error{Op: "Get", URL: call, Err: context.DeadlineExceeded}),
			"error: reach the server: no answer in time\nhint: is http://berth.example.com the right server, and is it running?\n",
		},
		{"late body", fmt.Errorf("decode the answer of GET /users: %w", context.DeadlineExceeded), "error: decode the answer of GET /users: no answer in time\n"},
		{
			"certificate", &url.Error{Op: "Get", URL: call, Err: &tls.CertificateVerificationError{Err: errors.New("x")}},
			"error: tls: failed to verify certificate: x\nhint: --client-tls-ca-file names an authority to trust besides the system's; coder doctor says more\n",
		},
		{
			"proxy", &url.Error{Op: "Get", URL: call, Err: errors.New("proxyconnect tcp: refused")},
			"error: proxyconnect tcp: refused\nhint: HTTPS_PROXY and HTTP_PROXY name the proxy, NO_PROXY the hosts that are reached without it\n",
		},
		{"no URL", fmt.Errorf("parse the URL: %w", &url.Error{Op: "parse", URL: "http://a\nb", Err: errors.New("bad")}), "error: parse the URL: bad\n"},
	} {
		var out bytes.Buffer
		if status := report(&out, nil, c.err); status != 1 || out.String() != c.want {
			t.Errorf("%s: report = %d, %q; want 1, %q", c.name, status, out.String(), c.want)
		}
	}
}
