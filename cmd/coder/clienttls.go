package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// clientTLS are the files of connections to a server that demands certificates
// of its clients, or has one of an authority that this system does not know.
type clientTLS struct{ cert, key, ca string }

func (f *clientTLS) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.cert, "client-tls-cert-file", "", "show the certificate in this PEM `file` to the server")
	env(fs, "client-tls-cert-file", "CODER_CLIENT_TLS_CERT_FILE")
	fs.StringVar(&f.key, "client-tls-key-file", "", "PEM `file` of its private key (default: that of the certificate)")
	env(fs, "client-tls-key-file", "CODER_CLIENT_TLS_KEY_FILE")
	fs.StringVar(&f.ca, "client-tls-ca-file", "", "trust the authorities in this PEM `file` too")
	env(fs, "client-tls-ca-file", "CODER_CLIENT_TLS_CA_FILE")
}

// config is what the files say, nil when none is given. It reads them.
func (f clientTLS) config() (*tls.Config, error) {
	if f == (clientTLS{}) {
		return nil, nil
	}
	if f.cert == "" && f.key != "" {
		return nil, errors.New("--client-tls-key-file: want --client-tls-cert-file too")
	}
	cfg := &tls.Config{}
	if f.cert != "" {
		pair, err := f.pair()
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if f.ca != "" {
		var err error
		if cfg.RootCAs, err = authorities(f.ca); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

func (f clientTLS) pair() (tls.Certificate, error) {
	if f.key == "" {
		f.key = f.cert
	}
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the client's certificate: %w", err)
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the client's private key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client's certificate %s and key %s: %w", f.cert, f.key, err)
	}
	return pair, nil
}

// authorities are those of this system and those in a file.
func authorities(file string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates of authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without any
	}
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("there is no certificate in %s", file)
	}
	return pool, nil
}

// words are the flags as another run of this program takes them, in whatever
// directory it is.
func (f clientTLS) words() ([]string, error) {
	var words []string
	for _, w := range []struct{ flag, file string }{
		{"--client-tls-cert-file", f.cert}, {"--client-tls-key-file", f.key}, {"--client-tls-ca-file", f.ca},
	} {
		if w.file == "" {
			continue
		}
		path, err := filepath.Abs(w.file)
		if err != nil {
			return nil, err
		}
		words = append(words, w.flag, path)
	}
	return words, nil
}
