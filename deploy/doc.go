// Package deploy holds the files with which the gateway is put into service: proxies in front of it, a unit of systemd,
// an image. Its tests run what they say; docs/production.md tells how to use them.
package deploy
