package derp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"tailscale.com/types/key"
)

// ServerName is the one name in the certificate of every relay. Clients know
// the certificate by its hash (Keys.CertName).
const ServerName = "relay.berth.internal"

// nodeKeyType is the type of the PEM block with the node key in text form.
const nodeKeyType = "BERTH RELAY NODE KEY"

// Keys are what a relay is known by: clients pin both. They are made once and
// kept by the server.
type Keys struct {
	Node        key.NodePrivate
	Certificate tls.Certificate
}

// GenerateKeys returns new keys. The certificate never expires: a pinned one
// that did would lock every client out, and clients' clocks may be wrong.
func GenerateKeys() (*Keys, error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key of relay: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ServerName}, DNSNames: []string{ServerName},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		return nil, fmt.Errorf("make certificate of relay: %w", err)
	}
	return &Keys{Node: key.NewNode(), Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}}, nil
}

// CertName returns what a client of ours puts into the CertName of a relay to
// pin this certificate.
func (k *Keys) CertName() string {
	sum := sha256.Sum256(k.Certificate.Certificate[0])
	return "sha256-raw:" + hex.EncodeToString(sum[:])
}

// MarshalText returns the keys in PEM; they are secret.
func (k *Keys) MarshalText() ([]byte, error) {
	node, err := k.Node.MarshalText()
	if err != nil {
		return nil, err
	}
	priv, err := x509.MarshalPKCS8PrivateKey(k.Certificate.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode key of relay: %w", err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: nodeKeyType, Bytes: node})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv})...)
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate.Certificate[0]})...), nil
}

// UnmarshalText reads what MarshalText wrote.
func (k *Keys) UnmarshalText(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != nodeKeyType {
		return errors.New("keys of relay: no node key")
	}
	var out Keys
	if err := out.Node.UnmarshalText(block.Bytes); err != nil || out.Node.IsZero() {
		return errors.New("keys of relay: malformed node key")
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return fmt.Errorf("keys of relay: %w", err)
	}
	out.Certificate = cert
	*k = out
	return nil
}
