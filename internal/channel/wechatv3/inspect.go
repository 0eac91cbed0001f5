package wechatv3

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"piaohao/internal/keys"
)

// merchantKey reads the merchant's half: a private key and the serial number of its certificate, from any of four
// settings, which must agree. knownNumber: the merchant number can be used, which is the password of the PKCS#12 file.
func (i *inspector) merchantKey(knownNumber bool) {
	private, privateFine := i.privateKey()
	cert, certFine := i.merchantCert()
	p12Key, p12Cert, p12Fine := i.p12(knownNumber)
	serial, serialFine := i.serialNo()
	if i.key = private; private == nil {
		i.key = p12Key
	}
	if !privateFine || !certFine || !p12Fine || !serialFine {
		return
	}
	switch {
	case i.key == nil:
		i.fault(envPrivateKey, "missing", "is not set, and neither is "+envMchP12,
			"set "+envPrivateKey+" (apiclient_key.pem) or "+envMchP12+" (apiclient_cert.p12), from: "+consoleCert)
		return
	case private != nil && p12Key != nil && !private.Equal(p12Key):
		i.fault(envMchP12, "key_mismatch", "holds another private key than "+envPrivateKey, "set one of the two, or both of one download")
		return
	}
	certSetting := envMchCert
	if cert == nil {
		cert, certSetting = p12Cert, envMchP12
	}
	switch {
	case cert == nil && serial == "":
		i.fault(envSerialNo, "missing", "is not set, and neither is "+envMchCert+" or "+envMchP12,
			"set "+envSerialNo+", or "+envMchCert+" (apiclient_cert.pem), or "+envMchP12+" (apiclient_cert.p12), from: "+consoleCert)
		return
	case cert != nil && !i.key.PublicKey.Equal(cert.PublicKey):
		i.fault(certSetting, "key_mismatch", "is not the certificate of the private key that is set",
			"set apiclient_key.pem and apiclient_cert.pem of one download")
		return
	case cert != nil && serial != "" && canonical(serialOf(cert)) != canonical(serial):
		i.fault(envSerialNo, "serial_mismatch", "is not the serial number of "+certSetting, "unset it: the certificate tells it")
		return
	case cert != nil && !i.dated(certSetting, cert, "renew it at: "+consoleCert):
		return
	case serial == "":
		serial = serialOf(cert)
	}
	if cert != nil && knownNumber && mchIDForm.MatchString(cert.Subject.CommonName) && cert.Subject.CommonName != i.MerchantID {
		i.warn(certSetting, "other_merchant", "is made out to another merchant number than "+envMerchantID, "compare it with the merchant console")
	}
	i.serial = strings.ToUpper(serial)
	i.ok("", "merchant_key", "requests are signed with the key of merchant API certificate "+i.serial)
}

// privateKey is nil when the setting is empty; fine is false when it is at fault.
func (i *inspector) privateKey() (key *rsa.PrivateKey, fine bool) {
	if i.PrivateKey.Empty() {
		return nil, true
	}
	found, ok := i.parse(envPrivateKey, i.PrivateKey.Reveal(), keys.Private, "set the content of apiclient_key.pem")
	if ok {
		i.ok(envPrivateKey, "key", fmt.Sprintf("private key, %s, %s: signs requests", found.Form, bits(found.Public)))
	}
	return found.Private, ok
}

func (i *inspector) merchantCert() (cert *x509.Certificate, fine bool) {
	if i.MchCert == "" {
		return nil, true
	}
	found, ok := i.parse(envMchCert, i.MchCert, keys.Certificate, "set the content of apiclient_cert.pem")
	if !ok {
		return nil, false
	}
	i.ok(envMchCert, "certificate", "certificate, "+found.Form+": names the key that signs requests")
	return found.Certificates[0], true
}

func (i *inspector) p12(knownNumber bool) (key *rsa.PrivateKey, cert *x509.Certificate, fine bool) {
	switch {
	case i.MchP12.Empty():
		return nil, nil, true
	case !knownNumber: // its password
		return nil, nil, false
	}
	const cure = "set the base64 of apiclient_cert.p12, or name the file with " + envMchP12 + "_FILE"
	key, cert, err := keys.P12(armoured(i.MchP12.Reveal()), i.MerchantID)
	switch {
	case errors.Is(err, keys.ErrP12Password):
		i.fault(envMchP12, "p12_password", err.Error(), "the platform takes the merchant number as the file's password: compare "+envMerchantID+" with the file")
		return nil, nil, false
	case errors.Is(err, keys.ErrShort):
		i.fault(envMchP12, "key_short", "holds a key shorter than 2048 bits, and the platform takes no such key", cure)
		return nil, nil, false
	case err != nil:
		i.fault(envMchP12, "key_unreadable", "is no PKCS#12 file with an RSA key and its certificate", cure)
		return nil, nil, false
	case publishedKey(&key.PublicKey):
		i.fault(envMchP12, "published_key", "holds a key of a published example, which anybody can sign with", cure)
		return nil, nil, false
	}
	i.ok(envMchP12, "key", "private key and certificate, PKCS#12, "+bits(&key.PublicKey)+": signs requests")
	return key, cert, true
}

func (i *inspector) serialNo() (serial string, fine bool) {
	const cure = "set the 40 hexadecimal digits at: " + consoleCert
	switch {
	case i.SerialNo == "":
		return "", true
	case strings.HasPrefix(i.SerialNo, peerIDPrefix):
		i.fault(envSerialNo, "serial", "holds the id of a WeChat Pay public key, which belongs in "+envPublicKeyID, cure)
	case !i.filled(envSerialNo, i.SerialNo, cure):
	case !serialForm.MatchString(i.SerialNo):
		i.fault(envSerialNo, "serial", "must be the certificate's serial number in hexadecimal, without colons or blanks", cure)
	case publishedText(strings.ToUpper(i.SerialNo)):
		i.fault(envSerialNo, "published_key", "is the serial number of a published example", cure)
	default:
		return i.SerialNo, true
	}
	return "", false
}

// dated reports whether a certificate counts today, and says how long.
func (i *inspector) dated(setting string, cert *x509.Certificate, cure string) bool {
	const day = "2006-01-02"
	until := cert.NotAfter.In(beijing).Format(day)
	switch {
	case !i.now.Before(cert.NotAfter):
		i.fault(setting, "expired", "expired on "+until, cure)
	case i.now.Before(cert.NotBefore):
		i.fault(setting, "not_yet_valid", "begins on "+cert.NotBefore.In(beijing).Format(day), "set this machine's clock by NTP, or wait")
	case cert.NotAfter.Sub(i.now) < expiresSoon:
		i.warn(setting, "expires_soon", "expires on "+until, cure)
		return true
	default:
		i.ok(setting, "dates", "valid until "+until)
		return true
	}
	return false
}

// platformKeys reads the platform's half: the public key, certificates known from the start, or both.
func (i *inspector) platformKeys() {
	public, publicFine := i.publicKey()
	certs := i.platformCerts()
	if !publicFine {
		return
	}
	const downloads = "platform certificates, which are downloaded under the APIv3 key"
	switch {
	case public && certs > 0:
		i.ok("", "mode", "public key and certificate mode side by side: notices and answers are verified with either, as each names it")
	case public:
		i.ok("", "mode", "public key mode: notices and answers are verified with the WeChat Pay public key; with "+downloads+", too, as long as the platform lists any")
	default:
		i.ok("", "mode", "certificate mode: notices and answers are verified with "+downloads+
			"; a merchant number without any (most since October 2024) needs "+envPublicKeyID+" and "+envPublicKey)
	}
}

// publicKey reports whether there is one; fine is false when it is at fault.
func (i *inspector) publicKey() (there, fine bool) {
	const idCure, keyCure = "set the id beside the key, PUB_KEY_ID_ included, from: " + consolePublic,
		"set the content of pub_key.pem, from: " + consolePublic
	if i.PublicKey == "" && i.PublicKeyID == "" {
		return false, true
	}
	idFine := i.filled(envPublicKeyID, i.PublicKeyID, idCure)
	switch {
	case !idFine:
	case !peerIDForm.MatchString(i.PublicKeyID):
		i.fault(envPublicKeyID, "public_key_id", "must be PUB_KEY_ID_ and digits", idCure)
		idFine = false
	case publishedText(i.PublicKeyID):
		i.fault(envPublicKeyID, "published_key", "is the id of a published example", idCure)
		idFine = false
	}
	if i.PublicKey == "" {
		i.fault(envPublicKey, "missing", "is not set", keyCure)
		return false, false
	}
	found, keyFine := i.parse(envPublicKey, i.PublicKey, keys.Public, keyCure)
	switch {
	case !keyFine:
	case i.key != nil && i.key.PublicKey.Equal(found.Public): // every answer would look forged
		i.fault(envPublicKey, "own_public_key", "is your own public key, not WeChat Pay's", keyCure)
		keyFine = false
	default:
		i.ok(envPublicKey, "key", fmt.Sprintf("public key, %s, %s: verifies notices and answers", found.Form, bits(found.Public)))
	}
	if !idFine || !keyFine {
		return false, false
	}
	i.peerID = i.PublicKeyID
	i.start[i.peerID] = peer{id: i.peerID, key: found.Public}
	return true, true
}

// platformCerts takes what is pasted as the start of what is known, and returns how many.
func (i *inspector) platformCerts() int {
	if i.PlatformCert == "" {
		return 0
	}
	const cure = "unset it: platform certificates are downloaded"
	found, ok := i.parse(envPlatformCert, i.PlatformCert, keys.Certificate, cure)
	if !ok {
		return 0
	}
	var taken int
	for _, cert := range found.Certificates {
		key, isRSA := cert.PublicKey.(*rsa.PublicKey)
		switch {
		case !isRSA || key.N.BitLen() < keys.MinBits:
			i.fault(envPlatformCert, "key_short", "holds a certificate whose key is shorter than 2048 bits", cure)
		case publishedKey(key):
			i.fault(envPlatformCert, "published_key", "holds a certificate of a published example, which anybody can sign with", cure)
		case merchants(cert, key, i.key):
			i.fault(envPlatformCert, "own_certificate", "holds a merchant API certificate, not WeChat Pay's", "move it to "+envMchCert+"; "+cure)
		case i.serial != "" && canonical(serialOf(cert)) == canonical(i.serial):
			i.fault(envSerialNo, "serial", "is the serial number of the certificate in "+envPlatformCert+", not of your own", "set the 40 hexadecimal digits at: "+consoleCert)
		case i.dated(envPlatformCert, cert, cure):
			p := peerOf(cert, key)
			i.start[canonical(p.id)] = p
			taken++
		}
	}
	if taken > 0 {
		i.ok(envPlatformCert, "certificate", fmt.Sprintf("%d platform certificates, %s: verify notices and answers until the first download", taken, found.Form))
	}
	return taken
}
