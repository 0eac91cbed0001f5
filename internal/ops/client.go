package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"piaohao/internal/gateway"
)

const (
	askTime   = 30 * time.Second
	maxAnswer = 64 << 20 // bytes
)

// Client is a desk at a running server.
type Client struct{ http *http.Client }

// Dial finds the server of a data folder. ErrNobody: none answers there.
func Dial(ctx context.Context, dir string) (*Client, error) {
	conn, err := dial(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	return &Client{&http.Client{
		Timeout: askTime,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		},
	}}, nil
}

// Timelines implements Desk.
func (c *Client) Timelines(ctx context.Context, number string) (out []gateway.Timeline, err error) {
	err = c.ask(ctx, http.MethodGet, "/payments?number="+url.QueryEscape(number), nil, &out)
	return out, err
}

// Incidents implements Desk.
func (c *Client) Incidents(ctx context.Context, limit int) (out []gateway.Trouble, err error) {
	err = c.ask(ctx, http.MethodGet, "/incidents?limit="+strconv.Itoa(limit), nil, &out)
	return out, err
}

// Operate implements Desk.
func (c *Client) Operate(ctx context.Context, a gateway.Act) (out gateway.Timeline, err error) {
	err = c.ask(ctx, http.MethodPost, "/acts", a, &out)
	return out, err
}

// Keys implements Desk.
func (c *Client) Keys(ctx context.Context) (out []gateway.Key, err error) {
	err = c.ask(ctx, http.MethodGet, "/keys", nil, &out)
	return out, err
}

// CreateKey implements Desk.
func (c *Client) CreateKey(ctx context.Context, shop, name string) (out gateway.NewKey, err error) {
	err = c.ask(ctx, http.MethodPost, "/keys", wish{shop, name}, &out)
	return out, err
}

// RevokeKey implements Desk.
func (c *Client) RevokeKey(ctx context.Context, id string) (out gateway.Key, err error) {
	err = c.ask(ctx, http.MethodDelete, "/keys/"+url.PathEscape(id), nil, &out)
	return out, err
}

func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://piaohao"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its text repeats an address that nobody knows
		}
		return fmt.Errorf("the server did not answer at its socket: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the server's answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var r refusal
		if json.Unmarshal(text, &r) != nil || r.Code == "" {
			return fmt.Errorf("the server answered %s: it may be of another version than this program", resp.Status)
		}
		return &gateway.Error{Code: gateway.Code(r.Code), Public: r.Message, Param: r.Param}
	}
	return json.Unmarshal(text, out)
}
