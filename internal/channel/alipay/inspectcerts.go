package alipay

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
)

// publishedRootSN names the root bundle that Alipay gives to everyone, in production and sandbox (opendocs, certificates).
const publishedRootSN = "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6"

// certificates reads the three of certificate mode.
func (i *inspector) certificates(c *Config) {
	app, appOK := i.read(appCertField, parse(c.AppCert))
	cert, certOK := i.read(certField, parse(c.Cert))
	root, rootOK := i.read(rootCertField, parse(c.RootCert))
	if appOK && certOK && i.isOwn(cert.Public) && !i.isOwn(app.Public) {
		i.fault("swapped", appCertField.setting, "is not of ALIPAY_PRIVATE_KEY, but ALIPAY_CERT is: they are swapped", "exchange the two")
		appOK, certOK = false, false
	}
	rootOK = rootOK && i.root(root)
	appOK = appOK && i.appCert(app, c.AppID)
	certOK = certOK && i.alipayCert(cert)
	if !appOK || !certOK || !rootOK {
		return
	}
	i.held.public = cert.Public
	i.held.certs = &certificates{
		app: app.Certificates[0], alipay: cert.Certificates[0], intermediates: cert.Certificates[1:], roots: root.Certificates,
		appSN: serial(app.Certificates[0]), alipaySN: serial(cert.Certificates[0]), rootSN: rootSerial(root.Certificates),
	}
	i.good("mode", "", "certificate mode")
}

func (i *inspector) root(found keys.Found) bool {
	switch rootSerial(found.Certificates) {
	case "":
		i.fault("not_root", rootCertField.setting, "is no root certificate", rootCertField.cure)
		return false
	case publishedRootSN:
		i.good("certificate", rootCertField.setting, "holds Alipay's root certificates")
	default:
		i.add(channel.LevelWarn, "other_root", rootCertField.setting, "is another file than the root certificates that Alipay gives to everyone",
			"compare it with alipayRootCert.crt of the console")
	}
	return true
}

func (i *inspector) appCert(found keys.Found, appID string) bool {
	cert := found.Certificates[0]
	switch other := appOf(cert); {
	case cert.IsCA:
		i.fault("root_as_certificate", appCertField.setting, "is the certificate of an authority, not the app's", appCertField.cure)
	case i.held.private != nil && !i.isOwn(found.Public):
		i.fault("key_mismatch", appCertField.setting, "is not the certificate of ALIPAY_PRIVATE_KEY", "put the pair there: "+
			"the private key whose certificate request was uploaded, and appCertPublicKey_APPID.crt that the console gave for it")
	case other != "" && isAppID(appID) && !placeholder(appID) && other != appID:
		i.fault("other_app", appCertField.setting, "is the certificate of another app than ALIPAY_APP_ID", appCertField.cure)
	default:
		return i.valid(appCertField, cert, "certificate", "holds the app's certificate: requests name it")
	}
	return false
}

// appOf is the APPID in the name of an app's certificate, which is <PID>-<APPID> or the PID alone; "" without one.
func appOf(cert *x509.Certificate) string {
	pid, appID, _ := strings.Cut(cert.Subject.CommonName, "-")
	if !isPID(pid) || !isAppID(appID) {
		return ""
	}
	return appID
}

func (i *inspector) alipayCert(found keys.Found) bool {
	cert := found.Certificates[0]
	switch {
	case i.isOwn(found.Public):
		i.fault("own_certificate", certField.setting, "is the app's own certificate, the pair of ALIPAY_PRIVATE_KEY", certField.cure)
	case cert.IsCA:
		i.fault("root_as_certificate", certField.setting, "is the certificate of an authority, not Alipay's own", certField.cure)
	case published(found.Public):
		i.publishedPublic(certField)
	default:
		return i.valid(certField, cert, "certificate", "holds Alipay's certificate: it verifies answers and notices")
	}
	return false
}

// valid says until when a good certificate is valid.
func (i *inspector) valid(f field, cert *x509.Certificate, code, text string) bool {
	const day = "2006-01-02"
	until := cert.NotAfter.UTC().Format(day)
	switch {
	case i.now.After(cert.NotAfter):
		i.fault("expired", f.setting, "expired on "+until, "renew it in the console, and "+f.cure)
		return false
	case i.now.Before(cert.NotBefore):
		i.fault("not_yet_valid", f.setting, "is valid from "+cert.NotBefore.UTC().Format(day)+" only", "set this machine's clock, or "+f.cure)
		return false
	case i.now.Add(soon).After(cert.NotAfter):
		i.add(channel.LevelWarn, "expires_soon", f.setting, "expires on "+until, "renew it in the console, and "+f.cure)
	}
	i.good(code, f.setting, fmt.Sprintf("%s; number %s, valid until %s", text, serial(cert), until))
	return true
}

// forLive says what may not be used with real money.
func (c *Config) forLive(h held, now time.Time) []channel.Finding {
	i := inspector{now: now}
	if strings.HasPrefix(c.AppID, sandboxApp) {
		i.fault("sandbox_app", "ALIPAY_APP_ID", "names an app of the sandbox, where no money moves",
			"set ALIPAY_SANDBOX=true, or put the APPID and the keys of the real app there")
	}
	if strings.HasPrefix(c.AppID, simulatedApp) || strings.HasPrefix(c.SellerID, simulatedSeller) {
		i.fault("simulator", "", "the APPID or the PID is one of the simulator's", "put the real app's there")
	}
	if h.certs != nil && h.certs.leadsToRoot(i.now) != nil {
		i.fault("untrusted_certificate", certField.setting, "does not lead to the root certificates in ALIPAY_ROOT_CERT, as those of the sandbox do not",
			certField.cure+", whole: it holds two certificates")
	}
	return i.findings
}

// What the numbers of our simulator begin with; no real number like them is known.
const (
	simulatedApp    = "202100000000"
	simulatedSeller = "208800000000"
)
