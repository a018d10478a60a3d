package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"time"
)

// ownCertificate looks at the files of the listener's certificate.
func ownCertificate(_ context.Context, x *examination) []Finding {
	t := x.Config.TLS
	if !t.On() {
		return nil
	}
	leaf, chain, err := readPair(t.Cert, t.Key)
	if err != nil {
		return []Finding{{
			Level: Problem, Seen: err.Error(), Why: "the server does not start with it, and one that runs keeps the old certificate",
			Where: inConfig, Fix: []string{"tls: {cert: /etc/latchkey/tls/fullchain.pem, key: /etc/latchkey/tls/privkey.pem}"},
		}}
	}
	list := ending("the certificate "+t.Cert, leaf, x.Now())
	if u, err := url.Parse(x.Config.PublicURL); err == nil && u.Hostname() != "" {
		if leaf.VerifyHostname(u.Hostname()) != nil {
			list = append(list, Finding{
				Level: Problem, Seen: fmt.Sprintf("the certificate is for %q, and public_url is %s", leaf.DNSNames, x.Config.PublicURL),
				Why: "clients refuse to speak to a server of another name", Where: inConfig, Fix: []string{"public_url: https://" + nameOf(leaf)},
			})
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: x.Roots, Intermediates: chain, CurrentTime: midway(leaf)}); err != nil {
		list = append(list, Finding{
			Level: Warning, Seen: "this machine does not trust the certificate: " + err.Error(),
			Why:   "either its authority is one of your own, which each client must be told, or the certificates between it and the root are missing in the file",
			Where: atCommand, Fix: []string{"cat cert.pem intermediate.pem > " + t.Cert, "LATCHKEY_CA_FILE=/path/ca.pem   # for clients, if the authority is your own"},
		})
	}
	if len(list) == 0 {
		list = append(list, fine("the certificate fits its key and the server's name, and is good until %s", stamp(leaf.NotAfter)))
	}
	return list
}

// readPair reads a certificate with the ones behind it, and its key.
func readPair(certFile, keyFile string) (*x509.Certificate, *x509.CertPool, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate's key cannot be read: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate %s and the key %s cannot be used: %v", certFile, keyFile, err)
	}
	chain := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain.AddCert(c)
		}
	}
	return pair.Leaf, chain, nil
}

// ending reports a certificate that has ended, is not good yet, or ends soon:
// with less than a third of its life left, or two weeks of a long one.
func ending(what string, leaf *x509.Certificate, now time.Time) []Finding {
	renew := []string{"# renew it: certbot renew, or your authority's way"}
	const why = "clients refuse a certificate that is not good at the time"
	left := leaf.NotAfter.Sub(now)
	switch {
	case left < 0:
		return []Finding{{Level: Problem, Seen: fmt.Sprintf("%s ended at %s", what, stamp(leaf.NotAfter)), Why: why, Where: atCommand, Fix: renew}}
	case now.Before(leaf.NotBefore):
		return []Finding{{Level: Problem, Seen: fmt.Sprintf("%s is not good before %s", what, stamp(leaf.NotBefore)), Why: why, Where: atCommand, Fix: []string{"date   # is it right?"}}}
	case left < min(leaf.NotAfter.Sub(leaf.NotBefore)/3, 14*24*time.Hour):
		return []Finding{{Level: Warning, Seen: fmt.Sprintf("%s ends at %s", what, stamp(leaf.NotAfter)), Why: why, Where: atCommand, Fix: renew}}
	}
	return nil
}

// midway is a time at which a certificate is good, so that its end, which is
// looked at by itself, is not said twice.
func midway(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
}

func nameOf(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return "…"
}
