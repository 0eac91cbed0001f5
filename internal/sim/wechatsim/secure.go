package wechatsim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"time"

	"piaohao/internal/sim/simkit"
)

// securePaths are served only over TLS and to who shows the merchant's certificate (APIv2, 安全规范, API证书).
const securePaths = "/secapi/"

// secure lets in only who has proved in the TLS handshake to hold the merchant's certificate. What stands before the
// platform answers everyone else, and not in the platform's own form.
func (s *Sim) secure(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			noCertificate(w, "400 No required SSL certificate was sent")
			return
		}
		if !bytes.Equal(r.TLS.PeerCertificates[0].Raw, s.merchantCert) {
			noCertificate(w, "400 The SSL certificate error")
			return
		}
		serve(w, r)
	}
}

func noCertificate(w http.ResponseWriter, title string) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprintf(w, "<html><head><title>%s</title></head><body><center><h1>400 Bad Request</h1></center><hr><center>nginx</center></body></html>", title)
}

// Listen opens the platform's own TLS on addr, host and port, port 0 = a free one, the same as before a restart if it still
// is free; whoever serves on the listener serves
// what Mount mounts. Credentials then name its origin, under the host of the platform's other address, and its authority.
// Every caller is asked for a certificate; only /secapi wants one.
func (s *Sim) Listen(addr string) (net.Listener, error) {
	host, err := publicHost(s.kit.PublicURL)
	if err != nil {
		return nil, err
	}
	own, authority, err := s.serverCertificate(host)
	if err != nil {
		return nil, err
	}
	l, port, err := s.listenAsBefore(addr)
	if err != nil {
		return nil, fmt.Errorf("wechatsim: listen with TLS: %w", err)
	}
	s.credentials.SecureURL, s.credentials.SecureCA = "https://"+net.JoinHostPort(host, port), authority
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, Time: s.kit.Wall,
	}), nil
}

const securePortKind = "wechat.secure_port"

// listenAsBefore keeps a port that it was free to choose: gateways read the credentials when they start, and outlive us.
func (s *Sim) listenAsBefore(addr string) (net.Listener, string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	if port == "0" {
		if err := s.kit.Books.Do(func(tx *simkit.Tx) error {
			_, err := tx.Get(securePortKind, addr, &port)
			return err
		}); err != nil {
			return nil, "", err
		}
	}
	open := &net.ListenConfig{}
	l, err := open.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil && net.JoinHostPort(host, port) != addr { // somebody else has it now
		l, err = open.Listen(context.Background(), "tcp", addr)
	}
	if err != nil {
		return nil, "", err
	}
	if _, port, err = net.SplitHostPort(l.Addr().String()); err == nil {
		err = s.kit.Books.Do(func(tx *simkit.Tx) error { return tx.Put(securePortKind, addr, port) })
	}
	if err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	return l, port, nil
}

func publicHost(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("wechatsim: %q names no host", origin)
	}
	return u.Hostname(), nil
}

// serverCertificate issues the listener's certificate for the host and for this machine, with a key that lives as long as
// the process, and returns the authority as PEM.
func (s *Sim) serverCertificate(host string) (tls.Certificate, string, error) {
	root, err := s.authority()
	if err != nil {
		return tls.Certificate{}, "", err
	}
	caKey, err := s.kit.Key(CAKey)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	now := s.kit.Wall().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()), Subject: pkix.Name{CommonName: host}, NotBefore: now.Add(-clockTolerance),
		NotAfter: now.Add(certificateLife), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else {
		template.DNSNames = append(template.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root, &key.PublicKey, caKey)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("wechatsim: certificate of the TLS listener: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, simkit.CertificatesPEM(root.Raw), nil
}

// authority is the certificate of who issues all others, kept: clients trust it across restarts.
func (s *Sim) authority() (*x509.Certificate, error) {
	der, err := s.kit.KeptBytes("wechat.ca_cert", func() ([]byte, error) {
		key, err := s.kit.Key(CAKey)
		if err != nil {
			return nil, err
		}
		made, err := simkit.Issue(newAuthority(s.kit), &key.PublicKey, nil, key)
		if err != nil {
			return nil, err
		}
		return made.Raw, nil
	})
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// merchantCertificate reads the merchant's own out of what it is given.
func merchantCertificate(c Credentials) ([]byte, error) {
	block, _ := pem.Decode([]byte(c.MchCert))
	if block == nil {
		return nil, errors.New("wechatsim: the merchant's certificate is no PEM")
	}
	return block.Bytes, nil
}
