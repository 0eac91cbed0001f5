package faults_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"net/url"
	"strings"
)

// notice is what a platform's notice is about.
type notice struct {
	transaction string // the platform's number of the payment
	refund      string // our number of the refund, "" = it is about the payment
	success     bool   // it was answered with success
}

// read opens a notice and its answer: WeChat's is sealed JSON and wants a 2xx, Alipay's is a form and wants a word.
func (w *town) read(path string, body []byte, status int, answer []byte) (notice, error) {
	if strings.Contains(path, "alipay") {
		form, err := url.ParseQuery(string(body))
		n := notice{transaction: form.Get("trade_no"), success: string(answer) == "success"}
		if form.Has("refund_fee") {
			n.refund = form.Get("out_biz_no")
		}
		return n, err
	}
	var sealed struct {
		Resource struct {
			Ciphertext     []byte
			Nonce          string
			AssociatedData string `json:"associated_data"`
		}
	}
	if err := json.Unmarshal(body, &sealed); err != nil {
		return notice{}, err
	}
	block, err := aes.NewCipher([]byte(w.sealing))
	if err != nil {
		return notice{}, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return notice{}, err
	}
	text, err := seal.Open(nil, []byte(sealed.Resource.Nonce), sealed.Resource.Ciphertext, []byte(sealed.Resource.AssociatedData))
	if err != nil {
		return notice{}, err
	}
	var facts struct {
		TransactionID string `json:"transaction_id"`
		OutRefundNo   string `json:"out_refund_no"`
	}
	err = json.Unmarshal(text, &facts)
	return notice{transaction: facts.TransactionID, refund: facts.OutRefundNo, success: status/100 == 2}, err
}
