// Package ext stands in for a module that Traefik keeps beside its own and publishes nowhere: fields that others may add.
package ext

type HTTP struct{}

type Router struct{}
