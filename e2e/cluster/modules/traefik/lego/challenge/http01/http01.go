package http01

import (
	"time"

	"github.com/go-acme/lego/v5/challenge"
)

const PathPrefix = "/.well-known/acme-challenge/"

func SetDelay(time.Duration) challenge.Option { return challenge.Option{} }
