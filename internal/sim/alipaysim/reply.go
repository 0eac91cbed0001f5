package alipaysim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// node is the inner object of a reply. Values are strings or what
// encoding/json turns into JSON.
type node map[string]any

func success() node { return node{"code": "10000", "msg": messages["10000"]} }

// refusal is the failure with what the method echoes beside it.
func refusal(f *failure, echo node) node {
	n := node{"code": f.code, "msg": messages[f.code], "sub_code": f.subCode, "sub_msg": f.subMsg()}
	for name, value := range echo {
		n[name] = value
	}
	return n
}

// head is the order in which real replies begin; the rest is alphabetical.
var head = []string{"code", "msg", "sub_code", "sub_msg"}

// encode writes the node compactly: SDKs cut the signed text out of the raw
// reply by naive means, so whitespace and order are part of the wire format.
func (n node) encode() (string, error) {
	names := make([]string, 0, len(n))
	for name := range n {
		if !slices.Contains(head, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range append(slices.Clone(head), names...) {
		value, present := n[name]
		if !present {
			continue
		}
		raw, err := plainJSON(value)
		if err != nil {
			return "", err
		}
		if text.Len() > 0 {
			text.WriteByte(',')
		}
		text.WriteString(`"` + name + `":` + raw)
	}
	return "{" + text.String() + "}", nil
}

// plainJSON encodes without the HTML escapes that the platform does not write.
func plainJSON(value any) (string, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSuffix(buffer.String(), "\n"), nil
}

// escapeSlashes writes / as \/, as the platform's own encoder does. A slash
// occurs only inside JSON strings.
func escapeSlashes(raw string) string { return strings.ReplaceAll(raw, "/", `\/`) }

// nodeName is alipay.trade.query → alipay_trade_query_response.
func nodeName(method string) string {
	return strings.ReplaceAll(method, ".", "_") + "_response"
}

// layout is the whole reply; an empty signature leaves sign out. In certificate mode the certificate's SN stands right
// behind the node, where SDKs cut, and is not signed.
func layout(name, raw, certSN, signature string) string {
	text := `{"` + name + `":` + raw
	if certSN != "" && signature != "" {
		text += `,"alipay_cert_sn":"` + certSN + `"`
	}
	if signature != "" {
		text += `,"sign":"` + signature + `"`
	}
	return text + "}"
}
